"""What happened to payments, from PostgreSQL. The database's own triggers write it: see 0006_payment_events.sql."""

from typing import Final

import asyncpg
from pydantic import JsonValue, TypeAdapter

from ledger.connections import Connected, Connection
from ledger.queries import QUERIES
from payments.timeline import FeedEvent, TimelineEvent

# Some ten milliseconds.
FED_AT_ONCE: Final = 2_000
_DATA: Final = TypeAdapter(dict[str, JsonValue])


class PostgresTimeline(Connected):
    """The part of `ledger.port.Ledger` that is about what happened."""

    async def timeline(self, payment_id: str) -> tuple[TimelineEvent, ...]:
        """See `Ledger.timeline`."""

        async def work(connection: Connection) -> tuple[TimelineEvent, ...]:
            return tuple(_event_of(row) for row in await connection.fetch(QUERIES["timeline"], payment_id))

        return await self._run(work)


class PostgresFeed(Connected):
    """The feed of all events: see 0009_event_feed.sql."""

    async def extend_feed(self) -> int:
        """Number what waits, at most `FED_AT_ONCE`; returns how many, none while somebody else is at it."""

        async def work(connection: Connection) -> int:
            return int(await connection.fetchval(QUERIES["extend_feed"], FED_AT_ONCE))

        return await self._run(work)

    async def events(self, after: int, limit: int) -> tuple[FeedEvent, ...]:
        """See `ledger.reading.Feed`."""

        async def work(connection: Connection) -> tuple[FeedEvent, ...]:
            rows = await connection.fetch(QUERIES["events_after"], after, limit)
            return tuple(map(fed_event_of, rows))

        return await self._run(work)


def fed_event_of(row: asyncpg.Record) -> FeedEvent:
    """The row of an event, with its number."""
    return FeedEvent(sequence=row["sequence"], payment_id=row["payment_id"], **_event_of(row).model_dump())


def _event_of(row: asyncpg.Record) -> TimelineEvent:
    return TimelineEvent(
        id=f"evt_{row['position']}",
        type=row["type"],
        actor=row["actor"],
        refund_id=row["refund_id"],
        reference=row["reference"],
        data=_DATA.validate_json(row["data"]),
        created_at=row["created_at"],
    )
