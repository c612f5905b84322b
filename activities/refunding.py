"""Refunds of a charged payment."""

import asyncio
from typing import Final

from temporalio import activity

from activities.deciding import movement
from activities.failures import temporal_failures
from activities.settling import Settling
from gateways.port import PaymentGateway
from ledger.port import Ledger, RefundRecord
from ledger.postings import Account
from payments.messages import Refunded, RefundOrder
from payments.operations import Declined, Executed, Refund
from payments.payment import Failure, Payment, RefundStatus
from payments.payment import Refund as RefundRow

_LATE: Final = "The processor had confirmed this refund, and it failed after all. The amount can be refunded again."

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
            refunds = await self._ledger.refunds(payment_id)
            for start in range(_looked_through(), len(refunds), _LOOK_UPS_AT_ONCE):
                some = refunds[start : start + _LOOK_UPS_AT_ONCE]
                await asyncio.gather(*(self._check(record.payment, refund) for refund in some))
                activity.heartbeat(start + _LOOK_UPS_AT_ONCE)
            record = await self._ledger.find(payment_id)
            return None if record is None else record.payment

    async def _check(self, payment: Payment, refund: RefundRow) -> None:
        if refund.status is not RefundStatus.SUCCEEDED:
            return
        word = await self._gateway.find(_operation(payment, refund.id, refund.amount))
        # Nothing found says nothing: processors forget what is old.
        if isinstance(word, Declined):
            failure = Failure(code=word.code, message=f"{_LATE} {word.message}".strip())
            await self._ledger.reverse_refund(payment.id, refund.id, failure)

    async def _finish(self, record: RefundRecord) -> RefundRecord:
        refund = record.refund
        operation = _operation(record.payment, refund.id, refund.amount)
        # Several refunds of one charge can be made, so a second one under a forgotten key would be made as well.
        outcome = await self._settling.settle_by_record(
            operation, fresh=record.reserved_now, sent_since=refund.created_at
        )
        match outcome:
            case Executed():
                end = movement(operation, outcome, Account.REFUNDS_PAYABLE)
            case Declined():
                end = Failure(code=outcome.code, message=outcome.message)
        return await self._ledger.end_refund(refund.payment_id, refund.id, end)


def _looked_through() -> int:
    """How many of the refunds an earlier try has seen: each stays in its place for ever."""
    details = activity.info().heartbeat_details
    return int(details[0]) if details else 0


def _operation(payment: Payment, refund_id: str, amount: int) -> Refund:
    money = payment.money.model_copy(update={"amount": amount})
    return Refund(payment_id=payment.id, money=money, capture=str(payment.processor_reference), refund_id=refund_id)
