"""What an `Inbox` must do: keep each event once, give it to one at a time, and again until it is delivered."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from gateways.port import Concern
from ledger.connections import Pool, open_pool
from ledger.port import Delivery, LedgerRefused, WebhookEvent
from ledger.postgres import PostgresLedger
from tests.harness import Servers, new_key

HOUR, NOTHING = timedelta(hours=1), timedelta(0)
ALL = 10_000


@pytest_asyncio.fixture(scope="module")
async def dsn(servers: Servers) -> AsyncGenerator[str]:
    """Books whose inbox no API empties."""
    async with servers.another_database() as dsn:
        yield dsn


@pytest_asyncio.fixture
async def pool(dsn: str) -> AsyncGenerator[Pool]:
    pool = await open_pool(dsn, 10)
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def inbox(pool: Pool) -> PostgresLedger:
    """With nothing in it that another test has left."""
    inbox = PostgresLedger(pool)
    for left in await inbox.take_events(ALL, HOUR):
        await inbox.end_delivery(left.processor, [left.id], Delivery.IGNORED)
    return inbox


def an_event(**fields: Any) -> WebhookEvent:
    least = {"processor": "sandbox", "id": new_key("evt"), "type": "refund.failed", "concerns": Concern.REFUND}
    return WebhookEvent.model_validate(least | {"payment_id": new_key()} | fields)


async def test_event_is_new_once_and_the_first_one_stays(inbox: PostgresLedger) -> None:
    event = an_event()
    assert await inbox.store_event(event)
    assert not await inbox.store_event(event.model_copy(update={"type": "other", "payment_id": "other"}))
    assert await inbox.take_events(ALL, HOUR) == (event,)


async def test_same_id_of_another_processor_is_another_event(inbox: PostgresLedger) -> None:
    event = an_event()
    other = event.model_copy(update={"processor": "stripe"})
    assert [await inbox.store_event(event), await inbox.store_event(other)] == [True, True]
    taken = await inbox.take_events(ALL, HOUR)
    assert sorted(taken, key=lambda each: each.processor) == [event, other]


async def test_of_fifty_that_store_it_at_once_one_has_stored_it(inbox: PostgresLedger) -> None:
    event = an_event()
    assert sorted(await asyncio.gather(*(inbox.store_event(event) for _ in range(50)))) == [False] * 49 + [True]


async def test_event_is_taken_by_one_of_many_who_come_at_once(inbox: PostgresLedger) -> None:
    events = [an_event() for _ in range(20)]
    for event in events:
        await inbox.store_event(event)
    taken = await asyncio.gather(*(inbox.take_events(3, HOUR) for _ in range(10)))
    assert all(len(some) <= 3 for some in taken)
    rest = await inbox.take_events(ALL, HOUR)
    found = [event.id for some in (*taken, rest) for event in some]
    assert sorted(found) == sorted(event.id for event in events)
    assert await inbox.take_events(ALL, HOUR) == ()


async def test_event_that_nobody_delivered_comes_again_after_the_lease_and_not_before(inbox: PostgresLedger) -> None:
    event = an_event()
    await inbox.store_event(event)
    assert await inbox.take_events(ALL, NOTHING) == (event,)
    assert await inbox.take_events(ALL, HOUR) == (event,)
    assert await inbox.take_events(ALL, HOUR) == ()


async def test_who_has_waited_longest_is_taken_first(inbox: PostgresLedger) -> None:
    """So that those which can't be delivered keep nobody else waiting."""
    stuck, fresh = an_event(), an_event()
    await inbox.store_event(stuck)
    assert await inbox.take_events(1, NOTHING) == (stuck,)
    await inbox.store_event(fresh)
    assert await inbox.take_events(1, NOTHING) == (stuck,)
    assert await inbox.take_events(1, NOTHING) == (fresh,)


async def test_delivered_event_never_comes_again_and_what_was_said_first_of_it_stays(
    inbox: PostgresLedger, pool: Pool
) -> None:
    one, two, other = an_event(), an_event(), an_event()
    for event in (one, two, other):
        await inbox.store_event(event)
    await inbox.end_delivery("sandbox", [one.id, two.id], Delivery.DELIVERED)
    await inbox.end_delivery("sandbox", [two.id, other.id], Delivery.IGNORED)
    await inbox.end_delivery("stripe", [one.id], Delivery.IGNORED)
    assert await inbox.take_events(ALL, NOTHING) == ()
    assert not await inbox.store_event(one)
    rows = await pool.fetch("SELECT id, outcome FROM webhook_events WHERE id = ANY ($1)", [one.id, two.id, other.id])
    assert {row["id"]: row["outcome"] for row in rows} == {
        one.id: "delivered",
        two.id: "delivered",
        other.id: "ignored",
    }


async def test_nothing_undelivered_is_nothing(inbox: PostgresLedger) -> None:
    assert await inbox.take_events(ALL, HOUR) == ()
    await inbox.end_delivery("sandbox", [], Delivery.IGNORED)
    await inbox.end_delivery("sandbox", ["evt_never_seen"], Delivery.IGNORED)


@pytest.mark.parametrize("concern", list(Concern))
async def test_whatever_an_adapter_may_say_can_be_stored(inbox: PostgresLedger, concern: Concern) -> None:
    event = an_event(id=new_key("e" * 240)[:255], type="~" * 100, payment_id=" " * 255, concerns=concern)
    assert await inbox.store_event(event)
    assert await inbox.take_events(ALL, HOUR) == (event,)


async def test_what_no_adapter_may_say_is_refused(inbox: PostgresLedger) -> None:
    with pytest.raises(LedgerRefused) as refused:
        await inbox.store_event(an_event(payment_id="p" * 256))
    assert refused.value.rule == "webhook_event_is_plain"
