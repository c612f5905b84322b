"""The books are read while payments are written: every reader sees whole payments, and none is disturbed."""

import asyncio

from ledger.connections import open_pool
from ledger.history import PostgresHistory
from ledger.port import Decision
from ledger.postgres import PostgresLedger
from payments.history import PaymentFilter
from payments.money import Money
from payments.payment import Payment, RefundStatus
from tests.contract.ledger_words import DECLINED, Books, a_claim, a_refund, declined, refunded, succeeded
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


def assert_whole(payment: Payment) -> None:
    """What the payment says is what its refunds say."""
    sums = {
        status: sum(refund.amount for refund in payment.refunds if refund.status is status) for status in RefundStatus
    }
    assert payment.amount_refunded == sums[RefundStatus.SUCCEEDED]
    assert payment.amount_refundable == 4990 - sums[RefundStatus.SUCCEEDED] - sums[RefundStatus.PENDING]


async def test_payment_and_its_refunds_are_of_one_moment_while_refunds_are_made(servers: Servers) -> None:
    pool = await open_pool(servers.postgres.dsn, 4)
    books, history = Books(PostgresLedger(pool), pool), PostgresHistory(pool)
    key = await books.claimed(customer=(customer := new_key("cus")))
    await books.ledger.decide(succeeded(key))

    async def refund() -> None:
        for number in range(60):
            await books.ledger.reserve_refund(a_refund(key, f"r{number}", 1))
            end = refunded(key, f"r{number}", 1) if number % 3 else DECLINED
            await books.ledger.end_refund(key, f"r{number}", end)

    writing, seen = asyncio.create_task(refund()), set[int]()
    while not writing.done():
        payment = await books.ledger.find_payment(key)
        assert payment is not None
        (listed,) = await history.payments(PaymentFilter(customer=customer), None, 2)
        for found in (payment, listed):
            assert_whole(found)
            seen.add(found.amount_refundable)
    await writing
    await pool.close()
    assert len(seen) > 5, "it must have been read while it was written"
