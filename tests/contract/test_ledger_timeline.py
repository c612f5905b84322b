"""What the ledger tells of a payment: each change once, in order, and nothing of what was refused or rolled back."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
import pytest_asyncio

from ledger.connections import open_pool
from ledger.port import LedgerRefused
from ledger.postgres import PostgresLedger
from payments.money import Money
from payments.payment import RefundStatus
from payments.timeline import Actor
from tests.contract.ledger_words import EUR, RELEASE, Books, a_claim, a_refund, declined, refunded, succeeded, undone
from tests.harness import Servers, new_key


@pytest_asyncio.fixture
async def books(servers: Servers) -> AsyncGenerator[Books]:
    pool = await open_pool(servers.postgres.dsn, 20)
    yield Books(PostgresLedger(pool), pool)
    await pool.close()


async def types(books: Books, key: str) -> list[str]:
    return [event.type for event in await books.ledger.timeline(key)]


async def test_nothing_is_told_of_a_key_that_was_never_claimed(books: Books) -> None:
    assert await books.ledger.timeline(new_key()) == ()


async def test_event_tells_when_by_whom_with_which_reference_and_amount(books: Books) -> None:
    key = await books.claimed()
    payment = await books.ledger.decide(succeeded(key))
    created, charged = await books.ledger.timeline(key)
    assert (created.type, created.actor, created.reference) == ("payment.created", Actor.CLIENT, None)
    assert created.data == {"amount": 4990, "currency": "EUR"}
    assert (charged.type, charged.actor, charged.reference) == ("payment.succeeded", Actor.WORKFLOW, f"cap_{key}")
    assert charged.data == {"amount_captured": 4990, "currency": "EUR"}
    assert created.id != charged.id
    assert payment.created_at <= created.created_at < charged.created_at
    assert charged.created_at >= payment.updated_at


async def test_what_is_said_twice_is_told_once(books: Books) -> None:
    claim = a_claim()
    key = claim.payment_id
    for _ in range(2):
        await books.ledger.claim(claim)
    for _ in range(3):
        await books.ledger.mark_unknown(key, "authorize", timedelta(seconds=1))
    for _ in range(2):
        await books.ledger.begin_undoing(key, RELEASE)
        await books.ledger.decide(declined(key))
        await books.ledger.decide(succeeded(key))
    told = ["payment.created", "payment.outcome_unknown", "payment.undoing", "payment.declined"]
    assert await types(books, key) == told


async def test_payment_that_is_refused_for_its_order_is_created_and_has_failed(books: Books) -> None:
    order = new_key("order")
    await books.claimed(order_id=order)
    key = await books.claimed(order_id=order)
    created, failed = await books.ledger.timeline(key)
    assert (created.actor, failed.actor) == (Actor.CLIENT, Actor.WORKFLOW)
    assert (failed.type, failed.data) == ("payment.failed", {"code": "order_already_paid"})


async def test_charge_that_was_given_back_tells_both_amounts(books: Books) -> None:
    key = await books.claimed()
    await books.ledger.decide(undone(key))
    *_, failed = await books.ledger.timeline(key)
    amounts = {"amount_captured": EUR.amount, "amount_refunded": EUR.amount, "currency": "EUR"}
    assert (failed.type, failed.data) == ("payment.failed", {"code": "recording_refused"} | amounts)


async def test_what_the_books_refuse_is_not_told(books: Books) -> None:
    key = await books.claimed(currency="GNF")
    await books.by_hand("INSERT INTO accounts VALUES ('sales', 'GNF', now())")
    with pytest.raises(LedgerRefused):
        await books.ledger.decide(succeeded(key, Money(amount=EUR.amount, currency="GNF")))
    assert await types(books, key) == ["payment.created"]


async def test_twenty_refunds_at_once_are_told_in_the_order_in_which_they_happened(books: Books) -> None:
    """Each refund's events in their order, times that never go back, and amounts that add up at every moment."""
    key = await books.claimed()
    await books.ledger.decide(succeeded(key))

    async def one(n: int) -> None:
        refund = f"r{n}"
        if (await books.ledger.reserve_refund(a_refund(key, refund, 499))).refund.status is RefundStatus.PENDING:
            await books.ledger.mark_refund_unknown(key, refund, timedelta(seconds=1))
            await books.ledger.end_refund(key, refund, refunded(key, refund, 499))

    await asyncio.gather(*(one(n) for n in range(20)))
    events = await books.ledger.timeline(key)
    times = [event.created_at for event in events]
    assert times == sorted(times)
    given_back = 0
    for event in events:
        if event.type == "refund.succeeded":
            given_back += 499
        if event.type in {"payment.partially_refunded", "payment.refunded"}:
            assert event.data["amount_refunded"] == given_back
    assert given_back == 4990
    for n in range(20):
        told = [event.type for event in events if event.refund_id == f"r{n}"]
        assert told in (["refund.created", "refund.outcome_unknown", "refund.succeeded"], ["refund.refused"])


async def test_refund_that_ends_while_its_outcome_is_marked_unknown_does_not_wait_for_that_for_ever(
    books: Books,
) -> None:
    """Who marks waits for the payment's row and holds nothing meanwhile."""
    key = await books.claimed()
    await books.ledger.decide(succeeded(key))
    await books.ledger.reserve_refund(a_refund(key, "r", 10))
    async with books.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", key)
        marking = asyncio.create_task(books.ledger.mark_refund_unknown(key, "r", timedelta(seconds=1)))
        await asyncio.sleep(0.2)
        assert not marking.done()
        await connection.execute("UPDATE refunds SET updated_at = now() WHERE payment_id = $1", key, timeout=2)
    await marking
    assert (await types(books, key))[-1] == "refund.outcome_unknown"
