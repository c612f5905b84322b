"""An event that was stored reaches its payment as one signal, wherever the payment is, and says nothing but: look."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowExecutionStatus

from tests.harness import TAKES_WEBHOOKS, Servers, Stack, new_key, running
from tests.refusals import is_known_to_temporal
from tests.webhooks import an_event, outcome, send, told
from tests.workflow.test_cancellation import closed_status, handle_of, until_pending

OPEN_SECONDS = 60


@pytest_asyncio.fixture(scope="module")
async def shop(stack: Stack, servers: Servers) -> AsyncGenerator[Stack]:
    """An API that takes webhooks, and keeps the payments open that it starts or wakes."""
    api = stack.another_api("deliveries-api", PAYSAGA_QUIET_PERIOD_SECONDS=str(OPEN_SECONDS), **TAKES_WEBHOOKS)
    async with running(api):
        opened = Stack(servers, stack.worker, api)
        yield opened
        await opened.close()


async def run_of(stack: Stack, key: str) -> tuple[str | None, WorkflowExecutionStatus | None]:
    description = await (await handle_of(stack, key)).describe()
    return description.run_id, description.status


async def test_sleeping_payment_is_woken(shop: Stack, stack: Stack) -> None:
    key = new_key()
    first = (await stack.pay(key)).json()
    await closed_status(stack, key)
    slept, _ = await run_of(shop, key)
    event = an_event(key)
    assert (await send(shop, event)).status_code == 200
    assert await outcome(shop, event) == "delivered"
    woken, status = await run_of(shop, key)
    assert woken != slept
    assert status is WorkflowExecutionStatus.RUNNING
    assert await told(shop, key) == [[event["id"]]]
    assert (await shop.pay(key)).json() == first
    await shop.assert_books_agree(key)


async def test_running_payment_is_signalled_once_for_each_event_that_comes(shop: Stack) -> None:
    key = new_key()
    await shop.pay(key)
    before = await run_of(shop, key)
    events = [an_event(key), an_event(key, "refund.succeeded")]
    for event in events:
        await send(shop, event)
        assert await outcome(shop, event) == "delivered"
    assert await told(shop, key) == [[event["id"]] for event in events]
    assert await run_of(shop, key) == before


async def store(shop: Stack, *rows: tuple[str, str, str, str, str], after: float = 0) -> None:
    """As if another API had stored them at the same moment, and told nobody yet. The next event brings them along."""
    lease = timedelta(seconds=after)
    async with shop.database() as db:
        await db.executemany(
            "INSERT INTO webhook_events (processor, id, type, concerns, payment_id, next_delivery_at)"
            " VALUES ($1, $2, $3, $4, $5, now() + $6::interval)",
            [(*row, lease) for row in rows],
        )
    await asyncio.sleep(min(after, 1))
    await send(shop, an_event(new_key()))


async def test_events_that_wait_for_the_same_payment_are_one_signal(shop: Stack) -> None:
    key, nobody = new_key(), new_key()
    await shop.pay(key)
    events = [an_event(key), an_event(key), an_event(key, "capture.succeeded"), an_event(nobody)]
    concerns = ["refund", "refund", "other", "refund"]
    about = [key, key, key, nobody]
    await store(
        shop,
        *(("sandbox", e["id"], e["type"], concern, to) for e, concern, to in zip(events, concerns, about, strict=True)),
    )
    assert [await outcome(shop, event) for event in events] == ["delivered", "delivered", "ignored", "ignored"]
    ((*named,),) = await told(shop, key)
    assert set(named) == {events[0]["id"], events[1]["id"]}


async def test_event_that_another_api_took_and_died_with_is_delivered_after_its_lease(shop: Stack) -> None:
    key = new_key()
    await shop.pay(key)
    event, taken = an_event(key), an_event(key)
    await store(shop, ("sandbox", taken["id"], taken["type"], "refund", key), after=3600)
    await store(shop, ("sandbox", event["id"], event["type"], "refund", key), after=0.3)
    assert await outcome(shop, event) == "delivered"
    assert await told(shop, key) == [[event["id"]]]


async def test_event_of_a_payment_that_is_not_ours_is_ignored_and_starts_nothing(shop: Stack) -> None:
    key = new_key()
    event = an_event(key)
    assert (await send(shop, event)).status_code == 200
    assert await outcome(shop, event) == "ignored"
    assert not await is_known_to_temporal(shop, key)
    assert (await shop.pay(key)).json()["status"] == "succeeded"


@pytest.mark.parametrize(
    ("method", "type_"),
    [
        ("pm_card_visa", "authorization.expired"),
        ("pm_card_visa", "capture.succeeded"),
        ("pm_card_chargeDeclined", "refund.failed"),
    ],
)
async def test_event_that_can_not_matter_to_its_payment_wakes_nobody(
    shop: Stack, stack: Stack, method: str, type_: str
) -> None:
    key = new_key()
    await stack.pay(key, payment_method=method)
    await closed_status(stack, key)
    slept = await run_of(shop, key)
    event = an_event(key, type_)
    await send(shop, event)
    assert await outcome(shop, event) == "ignored"
    assert await run_of(shop, key) == slept


async def test_event_of_another_processor_wakes_no_payment_of_this_one(shop: Stack) -> None:
    key = new_key()
    await shop.pay(key)
    event = an_event(key)
    await store(shop, ("stripe", event["id"], event["type"], "refund", key))
    assert await outcome(shop, event) == "ignored"
    assert await told(shop, key) == []


async def test_payment_whose_workflow_was_terminated_goes_on_and_is_charged_once(shop: Stack) -> None:
    key = new_key()
    await shop.fault("unavailable", payment_id=key, operation="authorize", times=2)
    paying: Any = asyncio.create_task(shop.pay(key, wait=0))
    await until_pending(shop, key, "reserve")
    await (await handle_of(shop, key)).terminate("by mistake")
    assert (await paying).status_code == 202
    event = an_event(key, "authorization.succeeded")
    assert (await send(shop, event)).status_code == 200
    assert await outcome(shop, event) == "delivered"
    assert (await shop.until_decided(key))["status"] == "succeeded"
    assert await told(shop, key) == [[event["id"]]]
    assert await shop.journal_operations(key) == ["authorize", "capture"]
    await shop.assert_books_agree(key)


@pytest.mark.parametrize("type_", ["authorization.succeeded", "authorization.declined", "refund.failed"])
async def test_event_that_comes_before_our_own_reply_changes_nothing_whatever_it_says(shop: Stack, type_: str) -> None:
    key = new_key()
    await shop.fault("slow", payment_id=key, operation="authorize", seconds=1)
    paying = asyncio.create_task(shop.pay(key))
    async with asyncio.timeout(10):
        async with shop.database() as db:
            while not await db.fetchval("SELECT count(*) FROM payments WHERE id = $1", key):
                await asyncio.sleep(0.01)
    event = an_event(key, type_)
    await send(shop, event)
    assert await outcome(shop, event) == "delivered"
    reply = await paying
    assert (reply.status_code, reply.json()["status"]) == (201, "succeeded"), reply.text
    assert "Idempotent-Replayed" not in reply.headers
    assert await told(shop, key) == [[event["id"]]]
    assert await shop.journal_operations(key) == ["authorize", "capture"]
    await shop.assert_books_agree(key)
