"""The books in PostgreSQL: named statements, each a transaction of its own."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from ledger.port import Claim, Decision, LedgerRefused, LedgerUnavailable, PaymentRecord
from ledger.postings import Movement, Posting, posting_for
from ledger.queries import QUERIES
from ledger.rows import decided, record_of
from payments.messages import Ending
from payments.payment import ORDER_ALREADY_PAID, Failure, Payment, processing_payment
from payments.state import PaymentStatus, can_move

Result = TypeVar("Result")
# Quoted: only the type stubs know that these classes are generic.
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

# One statement takes milliseconds; beyond this PostgreSQL is in trouble and the caller should know it.
STATEMENT_TIMEOUT_SECONDS: Final = 5.0
# Below the three seconds in which the API must say that the database is down.
CONNECT_TIMEOUT_SECONDS: Final = 2.0

# What PostgreSQL answers when a rule of ours is broken: retrying can't help. Everything else may pass.
_REFUSALS: Final = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)
_OUTAGES: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
# The pool hands out a connection that PostgreSQL closed when it restarted: every method here may run twice.
# InternalClientError is what asyncpg raises when PostgreSQL's farewell has come and the end of the connection hasn't.
_STALE: Final = (
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.AdminShutdownError,
    asyncpg.InternalClientError,
    ConnectionResetError,
)

_ORDER_TAKEN: Final = Failure(
    code=ORDER_ALREADY_PAID,
    message="Another payment for this order is open or paid. Nothing was charged.",
)


async def open_pool(dsn: str, connections: int) -> Pool:
    """A pool that connects when first used, so that a process can start while PostgreSQL is down."""
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=connections,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=STATEMENT_TIMEOUT_SECONDS,
        # asyncpg would send four statements to clean up after each use; ours leave nothing behind.
        reset=_leave_as_it_is,
    )


async def _leave_as_it_is(_connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """No statement of ours changes the session, takes an advisory lock or opens a cursor."""


class PostgresLedger:
    """Implements `ledger.port.Ledger` over a pool of connections."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

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
            return record_of(_present(row, claim.payment_id))

        return await self._run(work)

    async def find(self, payment_id: str) -> PaymentRecord | None:
        """See `Ledger.find`."""

        async def work(connection: Connection) -> PaymentRecord | None:
            row = await connection.fetchrow(QUERIES["find"], payment_id)
            return None if row is None else record_of(row)

        return await self._run(work)

    async def mark_unknown(self, payment_id: str, operation: str, next_check: timedelta) -> None:
        """See `Ledger.mark_unknown`."""

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES["mark_unknown"], payment_id, operation, next_check)

        await self._run(work)

    async def begin_undoing(self, payment_id: str, ending: Ending) -> Payment | None:
        """See `Ledger.begin_undoing`."""

        async def work(connection: Connection) -> Payment | None:
            if await connection.fetchval(QUERIES["begin_undoing"], payment_id, ending.model_dump_json()) is not None:
                return None
            row = await connection.fetchrow(QUERIES["find"], payment_id)
            return record_of(_present(row, payment_id)).answer

        return await self._run(work)

    async def decide(self, decision: Decision) -> Payment:
        """See `Ledger.decide`."""

        async def work(connection: Connection) -> Payment:
            while True:
                row = _present(await connection.fetchrow(QUERIES["find"], decision.payment_id), decision.payment_id)
                record = record_of(row)
                if record.answer is not None:
                    return record.answer
                if not can_move(record.payment.status, decision.status):
                    raise LedgerRefused("state_machine", f"{record.payment.status} can't become {decision.status}")
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
                )
                if written is not None:
                    return answer

        return await self._run(work)

    async def migrations_applied(self) -> list[str]:
        """File names of the migrations that this database has. Raises `LedgerUnavailable`."""

        async def work(connection: Connection) -> list[str]:
            return [row["name"] for row in await connection.fetch(QUERIES["migrations_applied"])]

        return await self._run(work)

    async def _run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Give the work a connection, and our words to what PostgreSQL may say."""
        for again in (True, False):
            try:
                async with self._pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS) as connection:
                    return await work(connection)
            except _STALE as error:
                if not again:
                    raise LedgerUnavailable(f"PostgreSQL closed the connection: {error}") from error
                await self._pool.expire_connections()
            except _REFUSALS as error:
                raise LedgerRefused(_rule_of(error), str(error.args[0])) from error
            except _OUTAGES as error:
                raise LedgerUnavailable(f"PostgreSQL: {type(error).__name__}: {error}") from error
        raise AssertionError("the second round returns or raises")


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


def _present(row: asyncpg.Record | None, payment_id: str) -> asyncpg.Record:
    if row is None:
        # Not a refusal: a lost row (a backup that was restored?) is no reason to undo a charge.
        raise LedgerUnavailable(f"there is no row for payment {payment_id!r}; was an old backup restored?")
    return row


def _rule_of(error: asyncpg.PostgresError) -> str:
    rule = getattr(error, "constraint_name", None)
    return rule or type(error).__name__
