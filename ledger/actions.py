"""Payments whose customer must confirm first, and what happens after a payment's end, in PostgreSQL."""

from ledger.connections import Connected, Connection
from ledger.port import PaymentRecord
from ledger.posting import post
from ledger.postings import Movement
from ledger.queries import QUERIES
from ledger.recorded import recorded
from payments.operations import RequiresAction


class PostgresActions(Connected):
    """The part of `ledger.port.Ledger` that is about customers' actions and late truths."""

    async def require_action(self, payment_id: str, action: RequiresAction) -> PaymentRecord:
        """See `Ledger.require_action`."""

        async def work(connection: Connection) -> PaymentRecord:
            await connection.execute(QUERIES["require_action"], payment_id, action.model_dump_json())
            return await recorded(connection, payment_id)

        return await self._run(work)

    async def end_action(self, payment_id: str) -> PaymentRecord:
        """See `Ledger.end_action`."""

        async def work(connection: Connection) -> PaymentRecord:
            await connection.execute(QUERIES["end_action"], payment_id)
            return await recorded(connection, payment_id)

        return await self._run(work)

    async def count_late_release(self, payment_id: str, before: int) -> None:
        """See `Ledger.count_late_release`."""

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES["count_late_release"], payment_id, before)

        await self._run(work)

    async def count_refused_refund(self, payment_id: str, before: int) -> None:
        """See `Ledger.count_refused_refund`."""

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES["count_refused_refund"], payment_id, before)

        await self._run(work)

    async def redo_refund(self, payment_id: str, before: int, failed: str, again: Movement) -> None:
        """See `Ledger.redo_refund`."""

        async def work(connection: Connection) -> None:
            async with connection.transaction():
                if await connection.execute(QUERIES["count_late_refund"], payment_id, before) == "UPDATE 1":
                    await connection.execute(QUERIES["reverse_posting"], payment_id, failed)
                    await post(connection, (await recorded(connection, payment_id)).payment, again)

        await self._run(work)
