"""Refunds of a charged payment."""

import asyncio
from typing import Final

from temporalio import activity

from activities.failures import temporal_failures
from activities.settling import Settling
from gateways.port import PaymentGateway
from ledger.port import Ledger, RefundRecord
from ledger.postings import Account, Movement
from payments.identifiers import OperationKind
from payments.messages import Refunded, RefundOrder
from payments.operations import Declined, Executed, Refund, key_of
from payments.payment import Failure, Payment, RefundStatus

_LATE: Final = "The processor had confirmed this refund, and it failed after all. The amount can be refunded again."

# A payment of hundreds of refunds must be looked through within one try.
_LOOK_UPS_AT_ONCE: Final = 20


class RefundActivities:
    """As the steps of a payment, each may run any number of times with the same input."""

    def __init__(self, gateway: PaymentGateway, ledger: Ledger) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._settling = Settling(gateway, ledger)

    @activity.defn
    async def refund(self, order: RefundOrder) -> Refunded:
        """Reserve the amount in the ledger, ask the processor, and write down what came of it."""
        async with temporal_failures():
            record = await self._ledger.reserve_refund(order)
            if record.refund.status is RefundStatus.PENDING:
                record = await self._finish(record)
            return Refunded(refund=record.refund, fingerprint=record.fingerprint, payment=record.payment)

    @activity.defn
    async def check_refunds(self, payment_id: str) -> Payment | None:
        """Ask the processor whether the refunds that it confirmed still stand, and reverse those that don't.

        Returns the payment as it stands then.
        """
        async with temporal_failures():
            record = await self._ledger.find(payment_id)
            if record is None:
                return None
            payment = record.payment
            refunds = await self._ledger.refunds(payment_id)
            confirmed = [refund for refund in refunds if refund.status is RefundStatus.SUCCEEDED]
            for start in range(0, len(confirmed), _LOOK_UPS_AT_ONCE):
                some = confirmed[start : start + _LOOK_UPS_AT_ONCE]
                operations = [_operation(record.payment, refund.id, refund.amount) for refund in some]
                words = await asyncio.gather(*(self._gateway.find(operation) for operation in operations))
                for refund, word in zip(some, words, strict=True):
                    # Nothing found says nothing: processors forget what is old.
                    if isinstance(word, Declined):
                        failure = Failure(code=word.code, message=f"{_LATE} {word.message}".strip())
                        payment = (await self._ledger.reverse_refund(payment_id, refund.id, failure)).payment
            return payment

    async def _finish(self, record: RefundRecord) -> RefundRecord:
        refund = record.refund
        operation = _operation(record.payment, refund.id, refund.amount)
        # Several refunds of one charge can be made, so a second one under a forgotten key would be made as well.
        outcome = await self._settling.settle_by_record(
            operation, fresh=record.reserved_now, sent_since=refund.created_at
        )
        match outcome:
            case Executed():
                end = _movement(operation, outcome)
            case Declined():
                end = Failure(code=outcome.code, message=outcome.message)
        return await self._ledger.end_refund(refund.payment_id, refund.id, end)


def _operation(payment: Payment, refund_id: str, amount: int) -> Refund:
    money = payment.money.model_copy(update={"amount": amount})
    return Refund(payment_id=payment.id, money=money, capture=str(payment.processor_reference), refund_id=refund_id)


def _movement(operation: Refund, done: Executed) -> Movement:
    return Movement(
        operation=OperationKind.REFUND,
        operation_key=key_of(operation),
        processor_reference=done.reference,
        money=operation.money,
        account=Account.REFUNDS,
    )
