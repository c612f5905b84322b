"""The chain over the journal, and the proof that the books are as they should be."""

import hashlib
from collections.abc import AsyncGenerator
from typing import Final

import asyncpg
from pydantic import BaseModel, ConfigDict

from ledger.connections import Connected, Connection
from ledger.queries import QUERIES, load_queries

INVARIANTS: Final = load_queries("invariants.sql")
# Some milliseconds.
EXTENDED_AT_ONCE: Final = 200
_FIRST_HASH: Final = hashlib.sha256(b"").digest()
_READ_AT_ONCE: Final = 2_000


class Finding(BaseModel):
    """One rule, and the first row that breaks it."""

    model_config = ConfigDict(frozen=True)

    rule: str
    broken_by: str | None = None


class Head(BaseModel):
    """The chain's last number and hash: whoever keeps them can show later that nothing before was changed."""

    model_config = ConfigDict(frozen=True)

    number: int
    hash: str
    """SHA-256, 64 hex digits."""


class PostgresChain(Connected):
    """Gives movements their numbers."""

    async def extend_chain(self) -> int:
        """Number what waits, at most `EXTENDED_AT_ONCE`; returns how many, none while somebody else is at it."""

        async def work(connection: Connection) -> int:
            return int(await connection.fetchval(QUERIES["extend_chain"], EXTENDED_AT_ONCE))

        return await self._run(work)


async def verify(connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncGenerator[Finding | Head]:
    """Every rule with what breaks it, the chain last, then its head; all of one moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for rule, statement in INVARIANTS.items():
            yield Finding(rule=rule, broken_by=await connection.fetchval(statement, timeout=None))
        head = Head(number=0, hash=_FIRST_HASH.hex())
        last, broken = _FIRST_HASH, None
        async for row in connection.cursor(QUERIES["chain"], prefetch=_READ_AT_ONCE, timeout=None):
            number = head.number + 1
            last = hashlib.sha256(last + f"{number} {row['text']}".encode()).digest()
            if row["number"] != number or row["hash"] != last:
                broken = f"number {row['number']}, transaction {row['transaction']}"
                break
            head = Head(number=number, hash=last.hex())
        yield Finding(rule="every hash of the chain is that of what stands in the books", broken_by=broken)
        yield head
