"""Counts rows of payments as they change."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from benchmarks.jobs import Sent

# A range of the primary key: asking often must not slow down what is measured.
_COUNT: Final = """
    SELECT count(*) FROM payments WHERE id BETWEEN $1 AND $2 AND (status = 'processing') = $3
"""


@asynccontextmanager
async def counted_rows(
    dsn: str, payments: Sequence[Sent], *, processing: bool
) -> AsyncGenerator[Callable[[], Awaitable[int]]]:
    """Counts those of the payments, whose keys have a prefix of their own, that are processing, or decided."""
    keys = [payment.payment_id for payment in payments]
    connection = await asyncpg.connect(dsn)

    async def count() -> int:
        number: int = await connection.fetchval(_COUNT, min(keys), max(keys), processing)
        return number

    try:
        yield count
    finally:
        await connection.close()
