"""Refunds that are pending and holds that are open when their accounts come into the books."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg

from ledger.connections import NO_SETTINGS, open_pool
from ledger.migrate import migrate, migrations
from ledger.postgres import PostgresLedger
from tests.contract.ledger_words import DECLINED, Books, a_refund, declined, refunded
from tests.contract.test_ledger_chain import findings, paid
from tests.contract.test_ledger_owed_and_held import balances, held
from tests.integration import test_migrations

dsn = test_migrations.dsn
REFUNDS = ("made", "refused", "later")
BEFORE = {"processor_receivable:sandbox": 4990, "sales": -4990}
UNDER_WAY = BEFORE | {"refunds": 30, "refunds_payable": -30}
AFTERWARDS = {"processor_receivable:sandbox": 4980, "sales": -4990, "refunds": 20, "refunds_payable": -10}


@asynccontextmanager
async def opened(dsn: str, **settings: str) -> AsyncGenerator[Books]:
    pool = await open_pool(dsn, 2, settings or NO_SETTINGS)
    yield Books(PostgresLedger(pool), pool)
    await pool.close()


def memo(amount: int) -> dict[str, int]:
    return {"held_authorizations:sandbox": amount, "held_authorizations_contra": -amount}


async def test_what_is_under_way_is_posted_and_goes_on(dsn: str) -> None:
    """Though finance has closed an account of it."""
    (name,) = [name for name in migrations() if name.endswith("_owed_and_held.sql")]
    db = await asyncpg.connect(dsn)
    await migrate(db, before=name)
    async with opened(dsn, role="none") as books:
        (key,) = await paid(books)
        for refund in (*REFUNDS, "done before"):
            await books.ledger.reserve_refund(a_refund(key, refund, 10))
        await books.ledger.end_refund(key, "done before", DECLINED)
        holds = [await held(books) for _ in range(2)]
        await books.claimed()
        await books.ledger.decide(declined(await held(books)))
        assert await balances(books) == BEFORE
    await db.execute("INSERT INTO accounts VALUES ('refunds', 'EUR', now())")
    assert name in await migrate(db)
    assert await db.fetchval("SELECT tgenabled = 'O' FROM pg_trigger WHERE tgname = 'account_is_open'")
    await db.execute("UPDATE accounts SET closed_at = NULL")
    await db.close()
    async with opened(dsn) as books:
        assert await balances(books) == UNDER_WAY | memo(2 * 4990)
        await books.ledger.extend_chain()
        assert (await findings(dsn))[0] == {}
        await books.ledger.end_refund(key, "made", refunded(key, "made", 10))
        await books.ledger.end_refund(key, "refused", DECLINED)
        await books.ledger.decide(declined(holds[0]).model_copy(update={"amount_authorized": 4990}))
        assert await balances(books) == AFTERWARDS | memo(4990)
        assert (await findings(dsn))[0] == {}
