"""Lists of payments and of what moved, from PostgreSQL. The database's own triggers write it: see 0007_history.sql."""

from typing import Final

import asyncpg

from ledger.balances import PostgresBalances
from ledger.connections import Connection
from ledger.queries import QUERIES
from ledger.rows import whole_payment_of
from payments.history import PaymentFilter, Place, Transaction, TransactionFilter, TransactionStatus, TransactionType
from payments.payment import Failure, Payment

_PREFIX: Final = "txn_"


class PostgresHistory(PostgresBalances):
    """Implements `ledger.reading.History`, and `Balances`, over a pool of connections opened with `READING`."""

    async def payments(self, wanted: PaymentFilter, after: Place | None, limit: int) -> tuple[Payment, ...]:
        """See `History.payments`."""

        async def work(connection: Connection) -> tuple[Payment, ...]:
            fields = (*_columns(wanted), after and after.created_at, after and after.id, limit)
            return tuple(whole_payment_of(row) for row in await connection.fetch(QUERIES["payments_page"], *fields))

        return await self._run(work)

    async def transactions(self, wanted: TransactionFilter, after: Place | None, limit: int) -> tuple[Transaction, ...]:
        """See `History.transactions`."""

        async def work(connection: Connection) -> tuple[Transaction, ...]:
            position = after and int(after.id.removeprefix(_PREFIX))
            fields = (*_columns(wanted), after and after.created_at, position, limit, wanted.type)
            return tuple(_line_of(row) for row in await connection.fetch(QUERIES["history_page"], *fields))

        return await self._run(work)


def _columns(wanted: PaymentFilter | TransactionFilter) -> tuple[object, ...]:
    return (
        wanted.customer,
        wanted.order_id,
        wanted.currency,
        wanted.status,
        wanted.created_from,
        wanted.created_to,
    )


def _line_of(row: asyncpg.Record) -> Transaction:
    type_, status = TransactionType(row["type"]), TransactionStatus(row["status"])
    failure = None
    # A refund that succeeded may have failed since: its reversal has the reason, and a line of its own.
    fails = status is not TransactionStatus.SUCCEEDED or type_ is TransactionType.REFUND_REVERSAL
    if fails and row["failure_code"] is not None:
        failure = Failure(code=row["failure_code"], message=row["failure_message"])
    return Transaction(
        id=f"{_PREFIX}{row['position']}",
        type=type_,
        status=status,
        amount=row["amount"],
        currency=row["currency"],
        amount_requested=row["amount_requested"],
        payment_id=row["payment_id"],
        refund_id=row["refund_id"],
        customer=row["customer"],
        order_id=row["order_id"],
        description=row["description"],
        processor=row["processor"],
        processor_reference=row["processor_reference"],
        operation_key=row["operation_key"],
        failure=failure,
        created_at=row["created_at"],
    )
