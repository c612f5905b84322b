"""The feed: every event numbered once, without gaps, each payment's in their order; readers who keep the last number
miss none, whatever is written, numbered and killed meanwhile."""

import asyncio
from itertools import pairwise

import asyncpg
import pytest

from payments.timeline import FeedEvent
from paysaga.dev.postgres import EmbeddedPostgres
from tests.contract import own_server, test_ledger_chain
from tests.contract.ledger_words import Books, declined, succeeded
from tests.contract.test_ledger_chain import findings, paid

books, dsn = test_ledger_chain.books, test_ledger_chain.dsn
server, own_books = own_server.server, own_server.own_books


async def all_events(books: Books, limit: int = 7) -> list[FeedEvent]:
    found: list[FeedEvent] = []
    while part := await books.ledger.events(found[-1].sequence if found else 0, limit):
        found += part
    return found


def assert_whole(events: list[FeedEvent]) -> None:
    """Numbered from 1 without gaps, none twice, and each payment's in the order in which they happened."""
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert len({event.id for event in events}) == len(events)
    positions: dict[str, list[int]] = {}
    for event in events:
        positions.setdefault(event.payment_id, []).append(int(event.id.removeprefix("evt_")))
    assert all(a < b for of_payment in positions.values() for a, b in pairwise(of_payment))


async def test_feed_is_every_timeline_in_one(books: Books) -> None:
    keys = await paid(books, 3)
    assert await books.ledger.events(0, 10) == ()
    assert await books.ledger.extend_feed() == 6
    assert await books.ledger.extend_feed() == 0
    events = await all_events(books)
    assert_whole(events)
    for key in keys:
        of_payment = [
            event.model_dump(exclude={"sequence", "payment_id"}) for event in events if event.payment_id == key
        ]
        assert of_payment == [event.model_dump() for event in await books.ledger.timeline(key)]


async def test_reader_who_keeps_the_last_number_misses_nothing_while_others_write(books: Books) -> None:
    """Some of them slowly: a transaction that stays open comes later, and is not skipped."""
    slow = await books.claimed()
    seen: list[FeedEvent] = []

    async def write(count: int) -> None:
        for number in range(count):
            key = await books.claimed()
            await books.ledger.decide(succeeded(key) if number % 2 else declined(key))

    async def read_all() -> None:
        while part := await books.ledger.events(seen[-1].sequence if seen else 0, 5):
            seen.extend(part)

    async with books.pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE payments SET unknown_operation = 'capture', unknown_since = now(),"
                                 " unknown_next_check = now() WHERE id = $1", slow)  # fmt: skip
        writers = asyncio.gather(*(write(20) for _ in range(4)))
        while not writers.done():
            await asyncio.gather(read_all(), books.ledger.extend_feed(), books.ledger.extend_feed())
        await writers
        while await books.ledger.extend_feed():
            pass
    assert await books.ledger.extend_feed() == 1
    await read_all()
    assert_whole(seen)
    assert len(seen) == 2 + 160
    assert (seen[-1].payment_id, seen[-1].type) == (slow, "payment.outcome_unknown")
    assert await books.pool.fetchval("SELECT count(*) FROM unfed") == 0


async def test_numbers_stay_gapless_when_postgresql_is_killed_again_and_again(
    server: EmbeddedPostgres, own_books: Books
) -> None:
    for pause in (0.001, 0.003, 0.006):
        await paid(own_books, 20)
        under_way = [asyncio.create_task(own_books.ledger.extend_feed()), asyncio.create_task(paid(own_books, 5))]
        await asyncio.sleep(pause)
        await server.kill()
        await asyncio.wait(under_way)
        for task in under_way:
            task.exception()
        await server.start()
    while await own_books.ledger.extend_feed():
        pass
    events = await all_events(own_books, 50)
    assert_whole(events)
    assert len(events) == await own_books.pool.fetchval("SELECT count(*) FROM payment_events")
    assert (await findings(server.dsn))[0] == {}


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("DELETE FROM event_feed WHERE sequence = 2", "every event has its number or waits for it"),
        ("UPDATE event_feed SET sequence = 9 WHERE sequence = 4", "the feed has no gaps"),
    ],
)
async def test_feed_that_was_changed_is_noticed(books: Books, dsn: str, statement: str, rule: str) -> None:
    await paid(books, 2)
    await books.ledger.extend_feed()
    await books.ledger.extend_chain()
    db = await asyncpg.connect(dsn)
    await db.execute(f"SET session_replication_role = replica; {statement}")
    await db.close()
    assert rule in (await findings(dsn))[0]


@pytest.mark.parametrize("statement", ["UPDATE {} SET sequence = 7", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_feed_is_append_only(books: Books, statement: str) -> None:
    await paid(books)
    await books.ledger.extend_feed()
    with pytest.raises(asyncpg.RestrictViolationError):
        await books.by_hand(statement.format("event_feed"))
