"""What endpoints are to be sent, in PostgreSQL: see 0011_webhooks_out.sql."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from ledger.connections import Connection
from ledger.endpoints import PostgresEndpoints, endpoint_of
from ledger.outbox import WAITING_SHOWN, Due
from ledger.queries import QUERIES
from ledger.timeline import fed_event_of
from payments.retrying import After, Health, Progress, after
from payments.timeline import FeedEvent
from payments.webhooks import DeliveryStatus, EndpointStatus, Reply

# Some ten milliseconds.
TAKEN_AT_ONCE: Final = 500
# An endpoint whose secret is rotated again and again: a header has its length.
SIGNING_AT_ONCE: Final = 5
# The probe of an endpoint that is down needn't be due itself.
_ANY_TIME: Final = timedelta(days=365)


class PostgresOutbox(PostgresEndpoints):
    """Implements `ledger.outbox.Outbox` over a pool of connections."""

    async def take_due(
        self, endpoint_id: str, being_sent: Sequence[int], room: int, now: datetime, *, probe: bool
    ) -> Due | None:
        """See `Outbox.take_due`."""

        async def work(connection: Connection) -> Due | None:
            row = await connection.fetchrow(QUERIES["webhook_news"], endpoint_id)
            if row is None:
                return None
            endpoint = endpoint_of(row)
            if endpoint.status is not EndpointStatus.ENABLED:
                return Due(endpoint=endpoint)
            if row["news"]:
                await _enqueue(connection, endpoint_id, now)
            probe_at: datetime | None = row["probe_at"]
            events: tuple[FeedEvent, ...] = ()
            if probe_at is None:
                events = await _due(connection, endpoint_id, now, being_sent, room)
            elif (probe or probe_at <= now) and room and not being_sent:
                events = await _due(connection, endpoint_id, now + _ANY_TIME, (), 1)
            signing = await connection.fetch(QUERIES["secrets"], endpoint_id, SIGNING_AT_ONCE) if events else []
            return Due(
                endpoint=endpoint,
                secrets=tuple(row["secret"] for row in signing),
                events=events,
                probe_at=probe_at,
            )

        return await self._run(work)

    async def end_attempt(self, endpoint_id: str, sequence: int, reply: Reply, now: datetime, jitter: float) -> None:
        """See `Outbox.end_attempt`."""

        async def work(connection: Connection) -> None:
            async with connection.transaction():
                row = await connection.fetchrow(QUERIES["lock_endpoint"], endpoint_id)
                delivery = await connection.fetchrow(QUERIES["lock_delivery"], endpoint_id, sequence)
                if row is None or delivery is None:
                    return
                await connection.execute(
                    QUERIES["write_attempt"],
                    endpoint_id,
                    sequence,
                    delivery["attempts"] + 1,
                    now - reply.duration,
                    reply.duration // timedelta(milliseconds=1),
                    reply.status,
                    reply.body,
                    reply.error,
                )
                await connection.execute(QUERIES["count_attempt"], endpoint_id, sequence, now)
                if delivery["status"] == DeliveryStatus.PENDING and row["status"] == EndpointStatus.ENABLED:
                    progress, last = _progress_of(delivery), delivery["last_attempt_at"]
                    change = after(reply, _health_of(row), progress, last_attempt=last, now=now, jitter=jitter)
                    await _apply(connection, row, delivery, change, now)

        await self._run(work)

    async def count_waiting(self, endpoint_id: str) -> int:
        """See `Outbox.count_waiting`."""

        async def work(connection: Connection) -> int:
            return int(await connection.fetchval(QUERIES["count_waiting"], endpoint_id, WAITING_SHOWN + 1))

        return await self._run(work)


async def _enqueue(connection: Connection, endpoint_id: str, now: datetime) -> None:
    async with connection.transaction():
        row = await connection.fetchrow(QUERIES["lock_endpoint"], endpoint_id)
        if row is not None:
            fields = (endpoint_id, row["reached"], TAKEN_AT_ONCE, row["events"], now)
            await connection.execute(QUERIES["enqueue_deliveries"], *fields)


async def _due(
    connection: Connection, endpoint_id: str, until: datetime, being_sent: Sequence[int], room: int
) -> tuple[FeedEvent, ...]:
    rows = await connection.fetch(QUERIES["due_deliveries"], endpoint_id, until, list(being_sent), room)
    return tuple(map(fed_event_of, rows))


async def _apply(
    connection: Connection, endpoint: asyncpg.Record, delivery: asyncpg.Record, change: After, now: datetime
) -> None:
    id_, sequence, progress, health = endpoint["id"], delivery["sequence"], change.progress, change.health
    await connection.execute(
        QUERIES["change_delivery"],
        id_,
        sequence,
        progress.status,
        progress.tries,
        progress.next_attempt_at,
        progress.failing_since,
        progress.hurried,
    )
    if health != _health_of(endpoint):
        status = EndpointStatus.ENABLED if health.disabled is None else EndpointStatus.DISABLED
        same = (endpoint["url"], endpoint["description"], endpoint["events"])
        fields = (status, health.disabled, health.failing_since, health.failing, health.probe_at)
        await connection.execute(QUERIES["change_endpoint"], id_, *same, *fields)
    if progress.status is not DeliveryStatus.PENDING:
        await connection.execute(QUERIES["next_of_payment"], id_, delivery["payment_id"], now)
    if change.back:
        await connection.execute(QUERIES["hurry"], id_, now, change.was_down)


def _health_of(row: asyncpg.Record) -> Health:
    return Health(failing_since=row["failing_since"], failing=row["failing"], probe_at=row["probe_at"])


def _progress_of(row: asyncpg.Record) -> Progress:
    return Progress(
        status=DeliveryStatus(row["status"]),
        tries=row["tries"],
        next_attempt_at=row["next_attempt_at"],
        failing_since=row["failing_since"],
        hurried=row["hurried"],
    )
