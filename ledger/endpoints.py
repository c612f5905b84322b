"""Endpoints of the webhooks that we send, in PostgreSQL."""

import secrets
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from ledger.connections import Connected, Connection
from ledger.outbox import EndpointChange
from ledger.queries import QUERIES
from payments.webhooks import (
    ENDPOINTS_MAX,
    Attempt,
    DeliveryStatus,
    DisabledReason,
    EndpointStatus,
    WebhookDelivery,
    WebhookEndpoint,
)

# Of each delivery in a list. One that was a probe of an endpoint that was down for days may have hundreds.
ATTEMPTS_SHOWN: Final = 10
_LAST_SEQUENCE: Final = 2**63 - 1


class PostgresEndpoints(Connected):
    """Implements `ledger.outbox.Endpoints` over a pool of connections."""

    async def add_endpoint(self, wanted: EndpointChange, secret: str, after: int | None) -> WebhookEndpoint | None:
        """See `Endpoints.add_endpoint`."""
        id_ = f"we_{secrets.token_hex(8)}"

        async def work(connection: Connection) -> WebhookEndpoint | None:
            async with connection.transaction():
                await connection.execute(QUERIES["lock_endpoints"])
                if len(await connection.fetch(QUERIES["endpoints"])) >= ENDPOINTS_MAX:
                    return None
                end: int = await connection.fetchval(QUERIES["feed_end"])
                if after is not None and after > end:
                    raise ValueError(f"the feed ends at {end} now")
                events = None if wanted.events is None else list(wanted.events)
                fields = (id_, wanted.url, wanted.description, events, end if after is None else after)
                row = await connection.fetchrow(QUERIES["add_endpoint"], *fields)
                await connection.execute(QUERIES["add_secret"], id_, secret)
                return endpoint_of(row) if row is not None else None

        return await self._run(work)

    async def endpoints(self) -> tuple[WebhookEndpoint, ...]:
        """See `Endpoints.endpoints`."""

        async def work(connection: Connection) -> tuple[WebhookEndpoint, ...]:
            return tuple(endpoint_of(row) for row in await connection.fetch(QUERIES["endpoints"]))

        return await self._run(work)

    async def endpoint(self, endpoint_id: str) -> WebhookEndpoint | None:
        """See `Endpoints.endpoint`."""

        async def work(connection: Connection) -> WebhookEndpoint | None:
            row = await connection.fetchrow(QUERIES["endpoint"], endpoint_id)
            return None if row is None else endpoint_of(row)

        return await self._run(work)

    async def change_endpoint(self, endpoint_id: str, change: EndpointChange) -> WebhookEndpoint | None:
        """See `Endpoints.change_endpoint`."""

        async def work(connection: Connection) -> WebhookEndpoint | None:
            async with connection.transaction():
                row = await connection.fetchrow(QUERIES["lock_endpoint"], endpoint_id)
                if row is None:
                    return None
                wanted = {name: getattr(change, name) for name in change.model_fields_set}
                changed = endpoint_of(row).model_copy(update=wanted)
                enabled = changed.status is EndpointStatus.ENABLED
                anew = enabled and (changed.url != row["url"] or row["status"] != EndpointStatus.ENABLED)
                row = await connection.fetchrow(
                    QUERIES["change_endpoint"],
                    endpoint_id,
                    changed.url,
                    changed.description,
                    None if changed.events is None else list(changed.events),
                    changed.status,
                    None if enabled else changed.disabled_reason or DisabledReason.BY_REQUEST,
                    *((None, 0, None) if anew else (row["failing_since"], row["failing"], row["probe_at"])),
                )
                if anew:
                    await connection.execute(QUERIES["hurry"], endpoint_id, datetime.now(UTC), True)
                return endpoint_of(row) if row is not None else None

        return await self._run(work)

    async def delete_endpoint(self, endpoint_id: str) -> bool:
        """See `Endpoints.delete_endpoint`."""

        async def work(connection: Connection) -> bool:
            async with connection.transaction():
                await connection.execute(QUERIES["expire_secrets"], endpoint_id, timedelta(0))
                return await connection.fetchval(QUERIES["delete_endpoint"], endpoint_id) is not None

        return await self._run(work)

    async def rotate_secret(self, endpoint_id: str, secret: str, others_for: timedelta) -> bool:
        """See `Endpoints.rotate_secret`."""

        async def work(connection: Connection) -> bool:
            async with connection.transaction():
                if await connection.fetchrow(QUERIES["lock_endpoint"], endpoint_id) is None:
                    return False
                await connection.execute(QUERIES["expire_secrets"], endpoint_id, others_for)
                await connection.execute(QUERIES["add_secret"], endpoint_id, secret)
                return True

        return await self._run(work)

    async def deliveries(
        self, endpoint_id: str, status: DeliveryStatus | None, below: int | None, limit: int
    ) -> tuple[WebhookDelivery, ...]:
        """See `Endpoints.deliveries`."""
        before = _LAST_SEQUENCE if below is None else below

        async def work(connection: Connection) -> tuple[WebhookDelivery, ...]:
            if status is None:
                rows = await connection.fetch(QUERIES["deliveries_page"], endpoint_id, before, limit)
            else:
                fields = (endpoint_id, status, before, limit)
                rows = await connection.fetch(QUERIES["deliveries_page_of_status"], *fields)
            attempts: defaultdict[int, list[Attempt]] = defaultdict(list)
            fields = (endpoint_id, [row["sequence"] for row in rows], ATTEMPTS_SHOWN)
            for row in await connection.fetch(QUERIES["attempts_of_page"], *fields):
                attempts[row["sequence"]].append(Attempt.model_validate(dict(row)))
            return tuple(_delivery_of(row, attempts[row["sequence"]]) for row in rows)

        return await self._run(work)

    async def redeliver(self, endpoint_id: str, position: int) -> bool:
        """See `Endpoints.redeliver`."""

        async def work(connection: Connection) -> bool:
            async with connection.transaction():
                if await connection.fetchrow(QUERIES["lock_endpoint"], endpoint_id) is None:
                    return False
                row = await connection.fetchrow(QUERIES["find_delivery"], endpoint_id, position)
                if row is None:
                    return False
                fields = (endpoint_id, row["sequence"], row["payment_id"], datetime.now(UTC))
                await connection.execute(QUERIES["redeliver"], *fields)
                return True

        return await self._run(work)


def endpoint_of(row: asyncpg.Record) -> WebhookEndpoint:
    """The row of an endpoint."""
    return WebhookEndpoint.model_validate(dict(row))


def _delivery_of(row: asyncpg.Record, attempts: list[Attempt]) -> WebhookDelivery:
    return WebhookDelivery(
        id=f"evt_{row['position']}",
        sequence=row["sequence"],
        type=row["type"],
        payment_id=row["payment_id"],
        status=row["status"],
        next_attempt_at=row["next_attempt_at"],
        attempt_count=row["attempts"],
        attempts=tuple(attempts),
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )
