"""Numbers of movements and events, and what they may not be. Tried with plain SQL."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from tests.integration import ledger_rows
from tests.integration.ledger_rows import Connection, a_paid_payment, insert, rule_of

db = ledger_rows.db
HASH = b"x" * 32


async def refused(db: Connection, table: str, *rows: dict[str, Any]) -> str | None:
    """The rule that the last of these rows breaks."""
    transaction = db.transaction()
    await transaction.start()
    for row in rows[:-1]:
        await insert(db, table, **row)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
        await insert(db, table, **rows[-1])
    await transaction.rollback()
    return rule_of(refusal)


@asynccontextmanager
async def unseen(db: Connection) -> AsyncGenerator[None]:
    """What is written meanwhile is not there for the worker of these servers, which would number it."""
    transaction = db.transaction()
    await transaction.start()
    yield
    await transaction.rollback()


async def test_a_movement_has_one_number_and_a_number_one_movement(db: Connection) -> None:
    async with unseen(db):
        first, second = [
            await db.fetchval(
                "SELECT sequence FROM ledger_transactions WHERE payment_id = $1", await a_paid_payment(db)
            )
            for _ in range(2)
        ]
        link = {"number": 10**15, "transaction": first, "hash": HASH}
        assert await refused(db, "ledger_chain", link, link | {"transaction": second}) == "ledger_chain_pkey"
        assert await refused(db, "ledger_chain", link, link | {"number": 10**15 + 1}) == "chained_once"
        assert await refused(db, "ledger_chain", link | {"number": 0}) == "chain_begins_at_one"
        assert await refused(db, "ledger_chain", link | {"hash": b"short"}) == "hash_is_sha256"
        assert await refused(db, "ledger_chain", link | {"transaction": -1}) == "chained_transaction"
        assert await refused(db, "unchained", {"transaction": first}) == "unchained_pkey"


async def test_totals_stand_once_for_each_account_and_are_never_negative(db: Connection) -> None:
    total = {"account": "sales", "currency": "XTS", "debits": 0, "credits": 1}
    assert await refused(db, "account_totals", total, total) == "account_totals_pkey"
    assert await refused(db, "account_totals", total | {"credits": -1}) == "totals_are_not_negative"


async def test_an_event_has_one_number_and_a_number_one_event(db: Connection) -> None:
    async with unseen(db):
        first, second = await db.fetch(
            "SELECT position FROM payment_events WHERE payment_id = $1 ORDER BY position", await a_paid_payment(db)
        )
        fed = {"sequence": 10**15, "position": first[0]}
        assert await refused(db, "event_feed", fed, fed | {"position": second[0]}) == "event_feed_pkey"
        assert await refused(db, "event_feed", fed, fed | {"sequence": 10**15 + 1}) == "fed_once"
        assert await refused(db, "event_feed", fed | {"sequence": 0}) == "feed_begins_at_one"
        assert await refused(db, "event_feed", fed | {"position": -1}) == "fed_event"
        assert await refused(db, "unfed", {"position": first[0]}) == "unfed_pkey"
