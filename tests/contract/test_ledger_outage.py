"""A ledger whose database is away says so, writes nothing, and goes on when it is back."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio

from ledger.connections import open_pool
from ledger.migrate import migrate
from ledger.port import Delivery, Inbox, Ledger, LedgerUnavailable, WebhookEvent
from ledger.postgres import PostgresLedger
from payments.messages import CaptureOrder
from paysaga.dev.ports import HOST, free_port
from paysaga.dev.postgres import EmbeddedPostgres
from tests.contract.ledger_words import ACTION, DECLINED, RELEASE, Books, a_claim, a_refund, given_back, sale, succeeded

Call = Callable[[PostgresLedger, str], Awaitable[object]]
CAPTURE = CaptureOrder(key="ship", fingerprint="0" * 64, amount=1, asked_at=datetime.now(UTC))
EVENT = WebhookEvent(processor="sandbox", id="evt_1", type="refund.failed", concerns="refund", payment_id="a-key")

CALLS: dict[str, Call] = {
    "claim": lambda ledger, key: ledger.claim(a_claim(key)),
    "find": lambda ledger, key: ledger.find(key),
    "find_payment": lambda ledger, key: ledger.find_payment(key),
    "mark_unknown": lambda ledger, key: ledger.mark_unknown(key, "capture", timedelta(seconds=1)),
    "require_action": lambda ledger, key: ledger.require_action(key, ACTION),
    "end_action": lambda ledger, key: ledger.end_action(key),
    "count_refused_refund": lambda ledger, key: ledger.count_refused_refund(key, 0),
    "count_late_release": lambda ledger, key: ledger.count_late_release(key, 0),
    "redo_refund": lambda ledger, key: ledger.redo_refund(key, 0, "refund-1", given_back(key)),
    "begin_undoing": lambda ledger, key: ledger.begin_undoing(key, RELEASE),
    "decide": lambda ledger, key: ledger.decide(succeeded(key)),
    "begin_capture": lambda ledger, key: ledger.begin_capture(key, CAPTURE),
    "reserve_refund": lambda ledger, key: ledger.reserve_refund(a_refund(key, "another")),
    "now": lambda ledger, key: ledger.now(),
    "refunds": lambda ledger, key: ledger.refunds(key),
    "timeline": lambda ledger, key: ledger.timeline(key),
    "find_refund": lambda ledger, key: ledger.find_refund(key, "one"),
    "mark_refund_unknown": lambda ledger, key: ledger.mark_refund_unknown(key, "one", timedelta(seconds=1)),
    "end_refund": lambda ledger, key: ledger.end_refund(key, "one", DECLINED),
    "reverse_refund": lambda ledger, key: ledger.reverse_refund(key, "one", DECLINED),
    "store_event": lambda ledger, key: ledger.store_event(EVENT.model_copy(update={"payment_id": key})),
    "take_events": lambda ledger, _key: ledger.take_events(1, timedelta(seconds=1)),
    "end_delivery": lambda ledger, _key: ledger.end_delivery("sandbox", [EVENT.id], Delivery.DELIVERED),
}


@pytest_asyncio.fixture(scope="module")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("outage"), free_port())
    await server.start()
    connection = await asyncpg.connect(server.dsn)
    await migrate(connection)
    await connection.close()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def books(postgres: EmbeddedPostgres) -> AsyncGenerator[Books]:
    pool = await open_pool(postgres.dsn, 5)
    yield Books(PostgresLedger(pool), pool)
    await pool.close()


def test_every_method_of_the_ports_is_tried_here() -> None:
    assert set(CALLS) == {name for port in (Ledger, Inbox) for name in vars(port) if not name.startswith("_")}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_call_is_unavailable_when_nobody_listens(call: Call) -> None:
    pool = await open_pool(f"postgresql://nobody:x@{HOST}:{free_port()}/paysaga", 2)
    begin = time.monotonic()
    with pytest.raises(LedgerUnavailable):
        await call(PostgresLedger(pool), "a-key")
    assert time.monotonic() - begin < 3
    await pool.close()


async def test_call_is_unavailable_when_the_database_does_not_exist(postgres: EmbeddedPostgres) -> None:
    pool = await open_pool(postgres.dsn.removesuffix("paysaga") + "elsewhere", 2)
    with pytest.raises(LedgerUnavailable):
        await PostgresLedger(pool).find("a-key")
    await pool.close()


async def test_every_call_is_unavailable_while_postgres_is_killed_and_goes_on_afterwards(
    postgres: EmbeddedPostgres, books: Books
) -> None:
    key, before = await books.claimed(), await books.claimed()
    await books.ledger.decide(succeeded(before))
    await postgres.kill()
    try:
        await _until_every_connection_is_dead(books)
        for call in CALLS.values():
            with pytest.raises(LedgerUnavailable):
                await call(books.ledger, key)
    finally:
        await postgres.start()
    record = await books.found(key)
    assert (record.answer, record.undoing, record.payment.outcome_unknown) == (None, None, None)
    await books.ledger.decide(succeeded(key))
    assert await books.posted(key) == [sale()]
    assert await books.posted(before) == [sale()]


async def _until_every_connection_is_dead(books: Books) -> None:
    """PostgreSQL's processes outlive the one that was killed for a moment, and may answer in it."""
    dead = 0
    async with asyncio.timeout(20):
        while dead < 10:
            try:
                await books.ledger.find("a-key")
            except LedgerUnavailable:
                dead += 1
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_first_call_after_postgres_closed_every_connection_succeeds(
    postgres: EmbeddedPostgres, books: Books, call: Call
) -> None:
    """A restart leaves the pool with connections that are dead and don't know it."""
    key = await books.claimed()
    await books.ledger.reserve_refund(a_refund(key, "one"))
    held = [await books.pool.acquire() for _ in range(5)]
    backends = [await connection.fetchval("SELECT pg_backend_pid()") for connection in held]
    for connection in held:
        await books.pool.release(connection)
    killer = await asyncpg.connect(postgres.dsn)
    for backend in backends:
        await killer.execute("SELECT pg_terminate_backend($1)", backend)
    await killer.close()
    await call(books.ledger, key)
    assert (await books.found(key)).payment.id == key


async def test_decision_that_waits_for_a_lock_too_long_is_unavailable_and_writes_nothing(
    postgres: EmbeddedPostgres, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.connections.STATEMENT_TIMEOUT_SECONDS", 0.5)
    hasty = await open_pool(postgres.dsn, 1)
    key = await books.claimed()
    async with books.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", key)
        with pytest.raises(LedgerUnavailable):
            await PostgresLedger(hasty).decide(succeeded(key))
    await hasty.close()
    assert (await books.found(key)).answer is None
    assert await books.transactions(key) == 0
