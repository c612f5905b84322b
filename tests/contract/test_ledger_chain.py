"""The chain: every movement numbered once, without gaps, by whoever comes first; balances never wait for it."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator

import asyncpg
import pytest
import pytest_asyncio

from ledger.balances import PostgresBalances
from ledger.chain import Finding, Head, verify
from ledger.connections import open_pool
from ledger.postgres import PostgresLedger
from ledger.reading import Balance
from paysaga.dev.postgres import EmbeddedPostgres
from tests.contract import own_server
from tests.contract.ledger_words import Books, a_refund, declined, refunded, succeeded, undone
from tests.harness import Servers

server, own_books = own_server.server, own_server.own_books


@pytest_asyncio.fixture
async def dsn(servers: Servers) -> AsyncGenerator[str]:
    """Books of one's own, which nobody numbers."""
    async with servers.another_database() as dsn:
        yield dsn


@pytest_asyncio.fixture
async def books(dsn: str) -> AsyncGenerator[Books]:
    pool = await open_pool(dsn, 20)
    yield Books(PostgresLedger(pool), pool)
    await pool.close()


async def paid(books: Books, count: int = 1) -> list[str]:
    keys = [await books.claimed() for _ in range(count)]
    for key in keys:
        await books.ledger.decide(succeeded(key))
    return keys


async def chain(books: Books) -> list[asyncpg.Record]:
    """Checked as an outsider would: with nothing but the rows."""
    rows = await books.pool.fetch(
        "SELECT number, transaction, hash, chained_text(transaction) AS text FROM ledger_chain ORDER BY number"
    )
    last = hashlib.sha256(b"").digest()
    for number, row in enumerate(rows, start=1):
        last = hashlib.sha256(last + f"{number} {row['text']}".encode()).digest()
        assert (row["number"], row["hash"]) == (number, last)
    return rows


async def findings(dsn: str) -> tuple[dict[str, str], Head]:
    """What breaks which rule, and the chain's head."""
    db = await asyncpg.connect(dsn)
    found = [finding async for finding in verify(db)]
    await db.close()
    *rules, head = found
    assert isinstance(head, Head)
    return {f.rule: f.broken_by for f in rules if isinstance(f, Finding) and f.broken_by is not None}, head


async def test_every_movement_has_one_number_without_gaps(books: Books) -> None:
    await paid(books, 3)
    assert await books.ledger.extend_chain() == 3
    assert await books.ledger.extend_chain() == 0
    (key,) = await paid(books)
    await books.ledger.reserve_refund(a_refund(key))
    await books.ledger.end_refund(key, "refund", refunded(key, "refund", 4990))
    assert await books.ledger.extend_chain() == 3
    assert [row["transaction"] for row in await chain(books)] == [
        row["sequence"] for row in await books.pool.fetch("SELECT sequence FROM ledger_transactions ORDER BY sequence")
    ]


async def test_movement_that_is_rolled_back_leaves_no_gap(books: Books) -> None:
    async with books.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SET LOCAL ROLE NONE; SELECT nextval('ledger_transactions_sequence_seq')")
        await transaction.rollback()
    await paid(books, 2)
    await books.ledger.extend_chain()
    assert len(await chain(books)) == 2


async def test_whoever_comes_at_once_takes_turns_while_payments_are_written(books: Books) -> None:
    """And a payment whose transaction is open for long is numbered when it is there, after those that overtook it."""
    slow = await books.claimed()
    async with books.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT id FROM payments WHERE id = $1 FOR UPDATE", slow)
        late = asyncio.create_task(books.ledger.decide(succeeded(slow)))
        writers = asyncio.gather(*(paid(books, 20) for _ in range(4)))
        while not writers.done():
            await asyncio.gather(*(books.ledger.extend_chain() for _ in range(4)))
        await writers
    await late
    while await books.ledger.extend_chain():
        pass
    rows = await chain(books)
    assert len(rows) == 81
    last = await books.pool.fetchval("SELECT payment_id FROM ledger_transactions WHERE sequence = $1", rows[-1][1])
    assert last == slow
    assert await books.pool.fetchval("SELECT count(*) FROM unchained") == 0


async def test_balances_are_right_before_and_after_numbering(books: Books) -> None:
    keys = await paid(books, 3)
    await books.ledger.decide(undone(await books.claimed()))
    await books.ledger.decide(declined(await books.claimed()))
    await books.ledger.extend_chain()
    await books.ledger.reserve_refund(a_refund(keys[0], "r", 990))
    await books.ledger.end_refund(keys[0], "r", refunded(keys[0], "r", 990))
    found: list[tuple[Balance, ...]] = []
    for _ in range(2):
        found.append(await _balances(books))
        await books.ledger.extend_chain()
    assert found[0] == found[1]
    assert {(b.account, b.debits, b.credits, b.balance_decimal) for b in found[0]} == {
        ("processor_receivable:sandbox", 4 * 4990, 4990 + 990, "139.80"),
        ("sales", 0, 3 * 4990, "-149.70"),
        ("refunds", 990, 0, "9.90"),
        ("refunds_payable", 990, 990, "0.00"),
        ("suspense", 4990, 4990, "0.00"),
    }
    assert sum(balance.balance for balance in found[0]) == 0


async def _balances(books: Books) -> tuple[Balance, ...]:
    return await PostgresBalances(books.pool).balances()


async def test_good_books_break_no_rule(books: Books, dsn: str) -> None:
    keys = await paid(books, 5)
    for refund in ("a", "b"):
        await books.ledger.reserve_refund(a_refund(keys[0], refund, 10))
    await books.ledger.end_refund(keys[0], "a", refunded(keys[0], "a", 10))
    await books.ledger.decide(undone(await books.claimed()))
    await books.ledger.extend_chain()
    await paid(books)  # and one that waits
    broken, head = await findings(dsn)
    assert broken == {}
    assert head.number == 10
    assert head.hash == (await chain(books))[-1]["hash"].hex()


# What somebody with the database in their hands may do to the books, and the rules that notice it.
CHAIN = "every hash of the chain is that of what stands in the books"
TAMPERED: dict[str, tuple[str, set[str]]] = {
    "amount": (
        "UPDATE postings SET amount = 1 WHERE transaction = 2",
        {
            CHAIN,
            "every payment says what is posted for it",
            "the history tells every movement once",
            "every total is the sum of the movements in the chain",
        },
    ),
    "account": (
        "UPDATE postings SET credit_account = 'refunds' WHERE transaction = 2",
        {CHAIN, "every total is the sum of the movements in the chain"},
    ),
    "reference": ("UPDATE ledger_transactions SET processor_reference = 'x' WHERE sequence = 2", {CHAIN}),
    "time": ("UPDATE ledger_transactions SET created_at = now() WHERE sequence = 2", {CHAIN}),
    "hash": ("UPDATE ledger_chain SET hash = sha256('x') WHERE number = 2", {CHAIN}),
    "last link cut off": (
        "DELETE FROM ledger_chain WHERE number = 5",
        {
            "every movement is in the chain or waits for its number",
            "every total is the sum of the movements in the chain",
        },
    ),
    "link taken out": (
        "DELETE FROM ledger_chain WHERE number = 2",
        {
            CHAIN,
            "every movement is in the chain or waits for its number",
            "every total is the sum of the movements in the chain",
        },
    ),
    "posting taken out": (
        "DELETE FROM postings WHERE transaction = 2",
        {
            CHAIN,
            "every movement has its posting",
            "every payment says what is posted for it",
            "the history tells every movement once",
            "every total is the sum of the movements in the chain",
        },
    ),
    "refunded": (
        "UPDATE refunds SET amount = 11 WHERE id = 'r'",
        {"every payment says what its refunds say"},
    ),
    "line of the history": (
        "UPDATE history SET amount = 1 WHERE transaction = 2",
        {"the history tells every movement once"},
    ),
    "line of the history taken out": (
        "DELETE FROM history WHERE transaction = 2",
        {"the history tells every movement once"},
    ),
    "total": (
        "UPDATE account_totals SET debits = debits + 1",
        {"every total is the sum of the movements in the chain"},
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_tampering_is_noticed_and_named(books: Books, dsn: str, what: str) -> None:
    statement, rules = TAMPERED[what]
    keys = await paid(books, 3)
    await books.ledger.reserve_refund(a_refund(keys[0], "r", 10))
    await books.ledger.end_refund(keys[0], "r", refunded(keys[0], "r", 10))
    await books.ledger.extend_chain()
    assert (await findings(dsn))[0] == {}
    db = await asyncpg.connect(dsn)
    await db.execute("INSERT INTO accounts VALUES ('refunds', 'EUR') ON CONFLICT DO NOTHING")
    await db.execute(f"SET session_replication_role = replica; {statement}")
    await db.close()
    broken, _ = await findings(dsn)
    assert set(broken) == rules
    for rule in rules & {CHAIN}:
        assert broken[rule].startswith("number 2, " if what != "link taken out" else "number 3, ")


async def test_rule_that_was_switched_off_is_noticed(books: Books, dsn: str) -> None:
    await books.by_hand("ALTER TABLE postings DISABLE TRIGGER append_only")
    broken, _ = await findings(dsn)
    assert broken == {"rules are all in force": "trigger append_only of postings is disabled"}


@pytest.mark.parametrize("statement", ["UPDATE {} SET number = 7", "DELETE FROM {}", "TRUNCATE {}"])
async def test_chain_is_append_only(books: Books, statement: str) -> None:
    await paid(books)
    await books.ledger.extend_chain()
    with pytest.raises(asyncpg.RestrictViolationError):
        await books.by_hand(statement.format("ledger_chain"))


async def test_chain_goes_on_where_it_was_when_postgresql_is_killed(server: EmbeddedPostgres, own_books: Books) -> None:
    await paid(own_books, 30)
    numbering = asyncio.create_task(own_books.ledger.extend_chain())
    await asyncio.sleep(0.002)
    await server.kill()
    await asyncio.wait({numbering})
    await server.start()
    while await own_books.ledger.extend_chain():
        pass
    assert len(await chain(own_books)) == 30
    assert (await findings(server.dsn))[0] == {}
