"""The processor tells us by itself and is heard: whoever is down just then, however often and in whatever order."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from prove.faults.processes import frozen
from tests.faults.test_outages_at_the_api import assert_unavailable, stopped
from tests.harness import TAKES_WEBHOOKS, Stack, new_key, open_stack, running
from tests.webhooks import an_event, outcome, send, stored, told
from tests.workflow.test_cancellation import closed_status
from tests.workflow.test_customer_action import settled, waiting
from tests.workflow.test_holds import held


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    """The processor sends its webhooks to the API. Charged payments sleep at once, and nobody asks for them."""
    async with open_stack(tmp_path_factory.mktemp("webhooks"), webhooks=True) as opened:
        yield opened


async def refund_that_fails(shop: Stack, key: str, *, after: float = 0.3) -> None:
    """A payment whose only refund has succeeded, and will fail at the processor."""
    await shop.pay(key)
    await shop.fault("refund_fails_later", payment_id=key, operation="refund", seconds=after)
    assert (await shop.refund(key, "r")).json()["status"] == "succeeded"


async def until_reversed(shop: Stack, key: str, seconds: float = 30) -> None:
    """By looking at the books, which wakes nobody."""
    async with asyncio.timeout(seconds):
        async with shop.database() as db:
            while await db.fetchval("SELECT status FROM payments WHERE id = $1", key) != "succeeded":
                await asyncio.sleep(0.05)
    payment = await shop.get(key)
    assert (payment["amount_refunded"], payment["amount_refundable"]) == (0, 4990)
    (refund,) = payment["refunds"]
    assert (refund["status"], refund["failure"]["code"]) == ("failed", "refund_failed")
    assert (await shop.journal_operations(key)).count("refund_failed") == 1
    await shop.assert_books_agree(key)


async def until_told(shop: Stack, key: str, times: int = 1) -> None:
    """Until the processor says that it has delivered so many events of this payment."""
    async with asyncio.timeout(20):
        while True:
            reply = await shop.processor.get("/events", params={"payment_id": key})
            if sum(event["delivered_at"] is not None for event in reply.json()["data"]) >= times:
                return
            await asyncio.sleep(0.05)


async def test_refund_that_fails_later_is_reversed_though_its_payment_sleeps_and_nobody_asks(shop: Stack) -> None:
    key = new_key()
    await refund_that_fails(shop, key)
    await closed_status(shop, key)
    await until_reversed(shop, key, seconds=10)


async def test_refund_that_fails_later_is_reversed_while_its_payment_is_open(shop: Stack) -> None:
    key = new_key()
    api = shop.another_api("patient-api", PAYSAGA_QUIET_PERIOD_SECONDS="600", **TAKES_WEBHOOKS)
    async with running(api):
        patient = Stack(shop.servers, shop.worker, api)
        await refund_that_fails(patient, key)
        await until_reversed(patient, key, seconds=10)
        assert len(await told(patient, key)) == 1
        assert (await patient.refund(key, "again")).json()["status"] == "succeeded"
        await patient.assert_books_agree(key)
        await patient.close()


async def test_customer_who_confirms_is_charged_because_the_processor_told(shop: Stack) -> None:
    """Long before the payment would have asked by itself for the second time."""
    payment = await waiting(shop)
    await shop.act(payment, "confirm")
    assert (await settled(shop, payment["id"]))["status"] == "succeeded"
    (events,) = await told(shop, payment["id"])
    assert len(events) == 1
    await shop.assert_books_agree(payment["id"])


async def test_hold_of_a_customer_who_confirms_after_the_end_is_released_though_nobody_asks(shop: Stack) -> None:
    payment = await waiting(shop)
    assert (await shop.cancel(payment["id"])).json()["status"] == "canceled"
    await closed_status(shop, payment["id"])
    assert (await shop.act(payment, "confirm", late=True)).status_code == 200
    await shop.until_journal_has(payment["id"], "void")
    assert await shop.journal_operations(payment["id"]) == ["authorize", "void"]
    await shop.assert_books_agree(payment["id"])


async def test_payment_whose_hold_somebody_released_at_the_processor_ends(shop: Stack) -> None:
    key = await held(shop)
    async with shop.database() as db:
        hold = await db.fetchval("SELECT hold_reference FROM payments WHERE id = $1", key)
    body = {"payment_id": key, "authorization": hold, "amount": 4990, "currency": "EUR"}
    reply = await shop.processor.post("/v1/voids", json=body, headers={"Idempotency-Key": new_key("by-hand")})
    assert reply.status_code == 200
    assert (await shop.get(key))["status"] == "authorized"
    await send(shop, an_event(key, "void.succeeded"))
    async with asyncio.timeout(20):
        while (payment := await shop.get(key))["status"] == "authorized":
            await asyncio.sleep(0.05)
    assert payment["status"] == "expired"
    await shop.assert_books_agree(key)


@pytest.mark.parametrize(
    "type_", ["authorization.expired", "authorization.declined", "void.succeeded", "refund.failed"]
)
async def test_hold_that_still_stands_is_captured_whatever_an_event_says_of_it(shop: Stack, type_: str) -> None:
    key = await held(shop)
    event = an_event(key, type_)
    await send(shop, event)
    assert await outcome(shop, event) == "delivered"
    assert (await shop.capture(key, "ship")).json()["status"] == "succeeded"
    await shop.assert_books_agree(key)


@pytest.mark.parametrize("mode", ["duplicate", "hold"])
async def test_events_that_come_thrice_or_the_last_one_first_reverse_each_refund_once(shop: Stack, mode: str) -> None:
    key = new_key()
    await shop.pay(key)
    await shop.processor.post("/webhooks", json={"mode": mode})
    for refund, seconds in (("first", 0.2), ("second", 0.3)):
        await shop.fault("refund_fails_later", payment_id=key, operation="refund", seconds=seconds)
        assert (await shop.refund(key, refund, amount=1000)).json()["status"] == "succeeded"
    async with asyncio.timeout(10):
        while (await shop.journal_operations(key)).count("refund_failed") < 2:
            await asyncio.sleep(0.05)
    await shop.processor.post("/webhooks", json={"mode": "normal"})
    await until_told(shop, key, times=2)
    async with asyncio.timeout(20):
        while (await shop.get(key))["amount_refunded"]:
            await asyncio.sleep(0.05)
    await shop.assert_books_agree(key)


@contextlib.asynccontextmanager
async def one_line_at_most(shop: Stack) -> AsyncGenerator[None]:
    """In the API's log about events that wait."""
    before = shop.api.log.read_text().count("webhooks_wait")
    yield
    assert shop.api.log.read_text().count("webhooks_wait") <= before + 1


async def test_while_postgres_is_down_events_are_not_taken_and_the_processor_sends_them_again(shop: Stack) -> None:
    key = new_key()
    await refund_that_fails(shop, key, after=1)
    event = an_event(key)
    async with one_line_at_most(shop):
        async with stopped(shop.servers.postgres):
            await assert_unavailable(send(shop, event), "database_unavailable")
            await shop.until_journal_has(key, "refund_failed")
        assert await stored(shop, event) == []
        await until_reversed(shop, key)


async def test_while_temporal_is_down_events_are_taken_and_told_when_it_is_back(shop: Stack) -> None:
    key = new_key()
    await refund_that_fails(shop, key, after=1)
    event = an_event(key)
    async with one_line_at_most(shop):
        # The worker is started anew, too: one that lost Temporal takes seconds to try again.
        async with stopped(shop.worker, shop.servers.temporal):
            assert (await send(shop, event)).status_code == 200
            await until_told(shop, key)
            assert [row["outcome"] for row in await stored(shop, event)] == [None]
        assert await outcome(shop, event) == "delivered"
        await until_reversed(shop, key)


async def test_event_stored_by_an_api_that_was_killed_before_it_could_tell_is_told_by_the_next(shop: Stack) -> None:
    key = new_key()
    await shop.pay(key)
    event = an_event(key)
    async with frozen(shop.servers.temporal):
        assert (await send(shop, event)).status_code == 200
        await shop.api.kill()
    await shop.api.start()
    assert await outcome(shop, event) == "delivered"
    assert await told(shop, key) == [[event["id"]]]
