"""Events of processors in PostgreSQL."""

from collections.abc import Sequence
from datetime import timedelta

from ledger.connections import Connected, Connection
from ledger.port import Delivery, WebhookEvent
from ledger.queries import QUERIES


class PostgresInbox(Connected):
    """Implements `ledger.port.Inbox` over a pool of connections."""

    async def store_event(self, event: WebhookEvent) -> bool:
        """See `Inbox.store_event`."""

        async def work(connection: Connection) -> bool:
            fields = (event.processor, event.id, event.type, event.concerns, event.payment_id)
            return await connection.fetchval(QUERIES["store_event"], *fields) is not None

        return await self._run(work)

    async def take_events(self, limit: int, lease: timedelta) -> tuple[WebhookEvent, ...]:
        """See `Inbox.take_events`."""

        async def work(connection: Connection) -> tuple[WebhookEvent, ...]:
            rows = await connection.fetch(QUERIES["take_events"], limit, lease)
            return tuple(WebhookEvent.model_validate(dict(row)) for row in rows)

        return await self._run(work)

    async def end_delivery(self, processor: str, ids: Sequence[str], delivery: Delivery) -> None:
        """See `Inbox.end_delivery`."""

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES["end_delivery"], processor, list(ids), delivery)

        await self._run(work)
