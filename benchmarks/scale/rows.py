"""Counts rows of payments as they change."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from benchmarks.jobs import Sent

_COUNT: Final = "SELECT count(*) FROM payments WHERE id = ANY ($1) AND (status = 'processing') = $2"


@asynccontextmanager
async def counted_rows(
    dsn: str, payments: Sequence[Sent], *, processing: bool
) -> AsyncGenerator[Callable[[], Awaitable[int]]]:
    """Counts those of the payments that are processing, or decided."""
    keys = [payment.payment_id for payment in payments]
    connection = await asyncpg.connect(dsn)

    async def count() -> int:
        number: int = await connection.fetchval(_COUNT, keys, processing)
        return number

    try:
        yield count
    finally:
        await connection.close()
