"""Reads what is compared after a run: the database's rows and the processor's journal."""

from collections.abc import Sequence
from typing import Final

import aiohttp
import asyncpg
from pydantic import BaseModel, TypeAdapter

from benchmarks.jobs import Mismatch, Sent
from benchmarks.systems.base import System
from benchmarks.verification import Done, Recorded, mismatches

# FULL, so that a transaction without a payment and a payment without a transaction show, too.
_ROWS: Final = """
    SELECT coalesce(p.id, t.payment_id, 'posting ' || o.sequence) AS payment_id, p.status, p.amount, p.currency,
           p.amount_captured, t.operation_key, t.operation, o.amount AS posted_amount, o.currency AS posted_currency
    FROM payments p
    FULL JOIN ledger_transactions t ON t.payment_id = p.id
    FULL JOIN postings o ON o.transaction = t.sequence
"""
_RECORDED: Final = TypeAdapter(list[Recorded])


class _Journal(BaseModel):
    data: list[Done]


async def compare(system: System, sent: Sequence[Sent], waiting: Sequence[Sent] = ()) -> list[Mismatch]:
    """Everything that the system's database and its processor hold, against all that was sent; `waiting`: payments
    that must not have been charged yet."""
    connection = await asyncpg.connect(system.postgres.dsn)
    try:
        rows = await connection.fetch(_ROWS)
    finally:
        await connection.close()
    async with aiohttp.ClientSession() as session, session.get(f"{system.sandbox.url}/journal") as reply:
        reply.raise_for_status()
        journal = _Journal.model_validate_json(await reply.read())
    recorded = _RECORDED.validate_python([dict(row) for row in rows])
    return mismatches(sent, recorded, journal.data, waiting)
