"""The books are read while payments are written: every reader sees whole payments, and none is disturbed."""

import asyncio

from ledger.connections import open_pool
from ledger.port import Decision
from ledger.postgres import PostgresLedger
from payments.money import Money
from tests.contract.ledger_words import Books, a_claim, declined, succeeded
from tests.harness import Servers, new_key

PAYMENTS = 120
# A currency that no other test uses: its sums are this test's own.
CURRENCY = "SZL"

# One statement, so one moment: what the payments say, what the journal says, and how many are decided.
_BOOKS = """
    SELECT (SELECT coalesce(sum(amount_captured), 0) FROM payments WHERE currency = $1) AS payments,
           (SELECT coalesce(sum(balance), 0) FROM balances
               WHERE currency = $1 AND account LIKE 'processor%') AS journal,
           (SELECT count(*) FROM payments WHERE currency = $1 AND answer IS NOT NULL) AS decided
"""


async def test_every_reading_while_payments_are_decided_finds_payments_and_journal_equal(servers: Servers) -> None:
    pool = await open_pool(servers.postgres.dsn, 8)
    books = Books(PostgresLedger(pool), pool)
    keys = [new_key("read") for _ in range(PAYMENTS)]
    for number, key in enumerate(keys):
        await books.ledger.claim(a_claim(key, amount=100 + number, currency=CURRENCY))
    turn = asyncio.Semaphore(4)

    async def decided(decision: Decision) -> None:
        async with turn:
            await books.ledger.decide(decision)

    def decision(number: int, key: str) -> Decision:
        return succeeded(key, Money(amount=100 + number, currency=CURRENCY)) if number % 5 else declined(key)

    writing = asyncio.gather(*(decided(decision(number, key)) for number, key in enumerate(keys)))
    readings = [await pool.fetchrow(_BOOKS, CURRENCY)]
    while not writing.done():
        readings.append(await pool.fetchrow(_BOOKS, CURRENCY))
        await asyncio.sleep(0)
    await writing
    readings.append(await pool.fetchrow(_BOOKS, CURRENCY))
    await pool.close()

    seen = [reading for reading in readings if reading is not None]
    assert [reading for reading in seen if reading["payments"] != reading["journal"]] == []
    counts = [reading["decided"] for reading in seen]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, PAYMENTS)
    assert len(set(counts)) > 5, "it must have been read while it was written"
