"""Refunds in PostgreSQL. Each change holds the payment's row, so that they follow one another."""

from datetime import datetime, timedelta
from typing import Final

from ledger.connections import Connected, Connection
from ledger.port import LedgerUnavailable, RefundRecord
from ledger.posting import post
from ledger.postings import Account, Movement
from ledger.queries import QUERIES
from ledger.recorded import recorded
from ledger.rows import present, record_of, refund_of
from payments.identifiers import OperationKind, operation_key
from payments.messages import RefundOrder
from payments.payment import Failure, Payment, Refund, RefundStatus
from payments.refunds import REFUSALS, REFUSALS_MAX, refusal_of

# Names the correction, as the processor's key names what it corrects.
_REVERSAL_PREFIX: Final = "reversal-of-"


class PostgresRefunds(Connected):
    """The part of `ledger.port.Ledger` that is about refunds."""

    async def reserve_refund(self, order: RefundOrder) -> RefundRecord:
        """See `Ledger.reserve_refund`."""

        async def work(connection: Connection) -> RefundRecord:
            async with connection.transaction():
                payment = await _locked(connection, order.payment_id)
                known = await _found(connection, payment, order.refund_id)
                return known or await _add(connection, payment, order)

        return await self._run(work)

    async def find_refund(self, payment_id: str, refund_id: str) -> RefundRecord | None:
        """See `Ledger.find_refund`."""

        async def work(connection: Connection) -> RefundRecord | None:
            row = await connection.fetchrow(QUERIES["find"], payment_id)
            return None if row is None else await _found(connection, record_of(row).payment, refund_id)

        return await self._run(work)

    async def refunds(self, payment_id: str) -> tuple[Refund, ...]:
        """See `Ledger.refunds`."""

        async def work(connection: Connection) -> tuple[Refund, ...]:
            return tuple(refund_of(row) for row in await connection.fetch(QUERIES["refunds_of"], payment_id))

        return await self._run(work)

    async def mark_refund_unknown(self, payment_id: str, refund_id: str, next_check: timedelta) -> None:
        """See `Ledger.mark_refund_unknown`."""

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES["mark_refund_unknown"], payment_id, refund_id, next_check)

        await self._run(work)

    async def end_refund(self, payment_id: str, refund_id: str, end: Movement | Failure) -> RefundRecord:
        """See `Ledger.end_refund`."""
        failure, movement = (end, None) if isinstance(end, Failure) else (None, end)

        async def work(connection: Connection) -> RefundRecord:
            async with connection.transaction():
                payment = await _locked(connection, payment_id)
                refund = _there(await _found(connection, payment, refund_id), refund_id).refund
                if refund.status is RefundStatus.PENDING:
                    await _end(connection, refund, failure, movement and movement.processor_reference)
                    given_back = refund.amount if movement else 0
                    await connection.execute(QUERIES["apply_refund"], payment_id, refund.amount, given_back)
                    if movement is not None:
                        await post(connection, payment, movement)
                return await _afterwards(connection, payment_id, refund_id)

        return await self._run(work)

    async def reverse_refund(self, payment_id: str, refund_id: str, failure: Failure) -> RefundRecord:
        """See `Ledger.reverse_refund`."""

        async def work(connection: Connection) -> RefundRecord:
            async with connection.transaction():
                payment = await _locked(connection, payment_id)
                refund = _there(await _found(connection, payment, refund_id), refund_id).refund
                if refund.status is RefundStatus.SUCCEEDED:
                    await _end(connection, refund, failure, None)
                    await connection.execute(QUERIES["apply_refund"], payment_id, 0, -refund.amount)
                    await post(connection, payment, _reversal(refund))
                return await _afterwards(connection, payment_id, refund_id)

        return await self._run(work)


def _reversal(refund: Refund) -> Movement:
    key = operation_key(OperationKind.REFUND, refund.payment_id, refund_id=refund.id)
    return Movement(
        operation="refund_reversal",
        operation_key=f"{_REVERSAL_PREFIX}{key}",
        processor_reference=str(refund.processor_reference),
        money=refund.money,
        account=Account.REFUNDS,
    )


async def _locked(connection: Connection, payment_id: str) -> Payment:
    """The payment as it is once its row is ours. Two statements: one would read what was there before it waited."""
    await connection.execute(QUERIES["lock"], payment_id)
    return (await recorded(connection, payment_id)).payment


async def _found(connection: Connection, payment: Payment, refund_id: str) -> RefundRecord | None:
    row = await connection.fetchrow(QUERIES["find_refund"], payment.id, refund_id)
    if row is None:
        return None
    return RefundRecord(refund=refund_of(row), fingerprint=row["fingerprint"], payment=payment)


def _there(record: RefundRecord | None, refund_id: str) -> RefundRecord:
    if record is None:
        raise LedgerUnavailable(f"there is no row for refund {refund_id!r}; was an old backup restored?")
    return record


async def _afterwards(connection: Connection, payment_id: str, refund_id: str) -> RefundRecord:
    payment = (await recorded(connection, payment_id)).payment
    return _there(await _found(connection, payment, refund_id), refund_id)


async def _add(connection: Connection, payment: Payment, order: RefundOrder) -> RefundRecord:
    counts = present(await connection.fetchrow(QUERIES["count_refunds"], payment.id, sorted(REFUSALS)), payment.id)
    refusal = order.refused or refusal_of(payment, order.amount, counts["accepted"])
    amount = order.amount or (payment.amount_refundable if refusal is None else 0)
    if refusal is not None and counts["refused"] >= REFUSALS_MAX:
        now: datetime = await connection.fetchval(QUERIES["now"])
        return RefundRecord(
            refund=order.refused_for(refusal, payment.currency, now),
            fingerprint=order.fingerprint,
            payment=payment,
        )
    await connection.execute(
        QUERIES["add_refund"],
        payment.id,
        order.refund_id,
        order.fingerprint,
        amount,
        payment.currency,
        order.reason,
        order.requested_by,
        RefundStatus.PENDING if refusal is None else RefundStatus.FAILED,
        refusal and refusal.code,
        refusal and refusal.message,
    )
    if refusal is None:
        await connection.execute(QUERIES["reserve_for_refund"], payment.id, amount)
    record = await _afterwards(connection, payment.id, order.refund_id)
    return record.model_copy(update={"reserved_now": refusal is None})


async def _end(connection: Connection, refund: Refund, failure: Failure | None, reference: str | None) -> None:
    await connection.execute(
        QUERIES["end_refund"],
        refund.payment_id,
        refund.id,
        RefundStatus.SUCCEEDED if failure is None else RefundStatus.FAILED,
        failure and failure.code,
        failure and failure.message,
        reference,
    )
