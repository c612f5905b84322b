"""Payments whose customer must confirm first, in PostgreSQL."""

from ledger.connections import Connected, Connection
from ledger.port import PaymentRecord
from ledger.queries import QUERIES
from ledger.rows import present, record_of
from payments.operations import RequiresAction


class PostgresActions(Connected):
    """The part of `ledger.port.Ledger` that is about customers' actions."""

    async def require_action(self, payment_id: str, action: RequiresAction) -> PaymentRecord:
        """See `Ledger.require_action`."""

        async def work(connection: Connection) -> PaymentRecord:
            await connection.execute(QUERIES["require_action"], payment_id, action.model_dump_json())
            return await _as_it_is(connection, payment_id)

        return await self._run(work)

    async def end_action(self, payment_id: str) -> PaymentRecord:
        """See `Ledger.end_action`."""

        async def work(connection: Connection) -> PaymentRecord:
            await connection.execute(QUERIES["end_action"], payment_id)
            return await _as_it_is(connection, payment_id)

        return await self._run(work)

    async def count_late_release(self, payment_id: str, before: int) -> None:
        """See `Ledger.count_late_release`."""

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES["count_late_release"], payment_id, before)

        await self._run(work)


async def _as_it_is(connection: Connection, payment_id: str) -> PaymentRecord:
    return record_of(present(await connection.fetchrow(QUERIES["find"], payment_id), payment_id))
