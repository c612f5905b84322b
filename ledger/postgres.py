"""The books in PostgreSQL: named statements, each a transaction of its own."""

from datetime import datetime, timedelta
from typing import Final

from ledger.actions import PostgresActions
from ledger.cases import PostgresCases
from ledger.chain import PostgresChain
from ledger.connections import Connection
from ledger.inbox import PostgresInbox
from ledger.port import CAPTURED_IS_NOT_CANCELED, Claim, Decision, LedgerRefused, PaymentRecord
from ledger.postings import Movement, Posting, posting_for
from ledger.queries import QUERIES
from ledger.recorded import recorded
from ledger.refunds import PostgresRefunds
from ledger.rows import decided, present, record_of, whole_payment_of
from ledger.sending import PostgresOutbox
from ledger.timeline import PostgresFeed, PostgresTimeline
from payments.messages import CaptureOrder, Ending
from payments.payment import ORDER_ALREADY_PAID, Failure, Payment, processing_payment
from payments.state import OPEN, PaymentStatus, can_move

_ORDER_TAKEN: Final = Failure(
    code=ORDER_ALREADY_PAID,
    message="Another payment for this order is open or paid. Nothing was charged.",
)


class PostgresLedger(
    PostgresRefunds,
    PostgresActions,
    PostgresTimeline,
    PostgresInbox,
    PostgresChain,
    PostgresFeed,
    PostgresOutbox,
    PostgresCases,
):
    """Implements `ledger.port.Ledger`, `Inbox`, `ledger.outbox.Outbox` and `ledger.reconciliation.Cases` over a pool of
    connections."""

    async def claim(self, claim: Claim) -> PaymentRecord:
        """See `Ledger.claim`."""
        request = claim.request

        async def work(connection: Connection) -> PaymentRecord:
            fields = (
                claim.payment_id,
                request.fingerprint(),
                request.model_dump_json(exclude_none=True),
                request.amount,
                request.currency,
                request.customer,
                request.order_id,
                claim.processor,
                claim.run,
            )
            row = await connection.fetchrow(QUERIES["claim"], *fields)
            if row is not None:
                return record_of(row, claimed_now=True)
            row = await connection.fetchrow(QUERIES["find"], claim.payment_id)
            if row is None:
                now: datetime = await connection.fetchval(QUERIES["now"])
                answer = processing_payment(claim.payment_id, request, now).model_copy(
                    update={"status": PaymentStatus.FAILED, "processor": claim.processor, "failure": _ORDER_TAKEN}
                )
                refusal = (_ORDER_TAKEN.code, _ORDER_TAKEN.message, answer.model_dump_json(), now)
                row = await connection.fetchrow(QUERIES["claim_refused_for_order"], *fields, *refusal)
                row = row or await connection.fetchrow(QUERIES["find"], claim.payment_id)
            return record_of(present(row, claim.payment_id))

        return await self._run(work)

    async def find(self, payment_id: str) -> PaymentRecord | None:
        """See `Ledger.find`."""

        async def work(connection: Connection) -> PaymentRecord | None:
            row = await connection.fetchrow(QUERIES["find"], payment_id)
            return None if row is None else record_of(row)

        return await self._run(work)

    async def now(self) -> datetime:
        """See `Ledger.now`."""
        now: datetime = await self._run(lambda connection: connection.fetchval(QUERIES["now"]))
        return now

    async def find_payment(self, payment_id: str) -> Payment | None:
        """See `Ledger.find_payment`."""

        async def work(connection: Connection) -> Payment | None:
            row = await connection.fetchrow(QUERIES["find_whole"], payment_id)
            return None if row is None else whole_payment_of(row)

        return await self._run(work)

    async def mark_unknown(self, payment_id: str, operation: str, next_check: timedelta) -> None:
        """See `Ledger.mark_unknown`."""

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES["mark_unknown"], payment_id, operation, next_check)

        await self._run(work)

    async def begin_undoing(self, payment_id: str, ending: Ending) -> Payment | None:
        """See `Ledger.begin_undoing`."""

        async def work(connection: Connection) -> Payment | None:
            fields = (payment_id, ending.model_dump_json(), not ending.gives_up)
            if await connection.fetchval(QUERIES["begin_undoing"], *fields) is not None:
                return None
            record = await recorded(connection, payment_id)
            if record.payment.status in OPEN:
                raise LedgerRefused(CAPTURED_IS_NOT_CANCELED, "the hold is being captured")
            return _as_decided(record, ending.status)

        return await self._run(work)

    async def begin_capture(self, payment_id: str, order: CaptureOrder) -> PaymentRecord:
        """See `Ledger.begin_capture`."""

        async def work(connection: Connection) -> PaymentRecord:
            await connection.execute(QUERIES["begin_capture"], payment_id, order.model_dump_json())
            return await recorded(connection, payment_id)

        return await self._run(work)

    async def decide(self, decision: Decision) -> Payment:
        """See `Ledger.decide`."""

        async def work(connection: Connection) -> Payment:
            while True:
                row = present(await connection.fetchrow(QUERIES["find"], decision.payment_id), decision.payment_id)
                record = record_of(row)
                before = record.payment.status
                if before not in OPEN or before is decision.status:
                    return _as_decided(record, decision.status)
                if record.undoing is not None and decision.status is PaymentStatus.AUTHORIZED:
                    raise LedgerRefused("undone_never_succeeds", "the payment is being undone")
                if decision.unless_confirmed and record.action_ended_at is not None:
                    raise LedgerRefused("confirmed_is_undone_first", "the customer has confirmed the payment")
                if not can_move(before, decision.status):
                    raise LedgerRefused("state_machine", f"{before} can't become {decision.status}")
                answer = decided(record.payment, decision, row["read_at"])
                postings = [(m, posting_for(m, str(record.payment.processor))) for m in decision.movements]
                written = await connection.fetchval(
                    QUERIES["decide"],
                    answer.id,
                    answer.status,
                    answer.amount_authorized,
                    answer.amount_captured,
                    answer.amount_refunded,
                    answer.processor_reference,
                    answer.failure and answer.failure.code,
                    answer.failure and answer.failure.message,
                    answer.conflicted,
                    answer.model_dump_json(),
                    answer.updated_at,
                    *_columns(postings),
                    before,
                    decision.hold and decision.hold.reference,
                    decision.hold and decision.hold.expires_at,
                    decision.unless_confirmed,
                )
                if written is not None:
                    return answer

        return await self._run(work)

    async def migrations_applied(self) -> list[str]:
        """File names of the migrations that this database has. Raises `LedgerUnavailable`."""

        async def work(connection: Connection) -> list[str]:
            return [row["name"] for row in await connection.fetch(QUERIES["migrations_applied"])]

        return await self._run(work)


def _as_decided(record: PaymentRecord, status: PaymentStatus) -> Payment:
    """What the word that decided the payment said; of a hold there are two, that it is held and what became of it."""
    answer = record.answer or record.payment
    is_later_word = answer.status is PaymentStatus.AUTHORIZED and status is not PaymentStatus.AUTHORIZED
    return record.payment if is_later_word else answer


def _columns(postings: list[tuple[Movement, Posting]]) -> list[list[str] | list[int]]:
    """What moved and what it posts, as one array for each column."""
    return [
        [movement.operation_key for movement, _ in postings],
        [movement.operation for movement, _ in postings],
        [movement.processor_reference for movement, _ in postings],
        [posting.debit_account for _, posting in postings],
        [posting.credit_account for _, posting in postings],
        [posting.money.amount for _, posting in postings],
        [posting.money.currency for _, posting in postings],
    ]
