"""What is sent when, and in which order: the real books, a real server, and a clock that a test sets."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.testing import ActivityEnvironment

from activities.webhooks import AT_ONCE, WebhookActivities
from gateways.http_sender import HttpWebhookSender
from ledger.outbox import EndpointChange
from payments.retrying import DOWN_AFTER, SCHEDULE
from payments.webhooks import Deliver, DeliveryStatus, DisabledReason, EndpointStatus, Reply, Served, WebhookDelivery
from tests.contract import test_ledger_chain
from tests.contract.ledger_words import Books, succeeded
from tests.webhook_receiver import OK, Received, Receiver, answer, receiving

books, dsn = test_ledger_chain.books, test_ledger_chain.dsn

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SECRET = "whsec_" + "c2VjcmV0c2VjcmV0" * 3


@dataclass
class Shop:
    """An endpoint, its server, and the time."""

    books: Books
    receiver: Receiver
    endpoint: str = ""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def add(self, **fields: Any) -> None:
        change = EndpointChange(url=self.receiver.url, **fields)
        endpoint = await self.books.ledger.add_endpoint(change, SECRET, None)
        assert endpoint is not None
        self.endpoint = endpoint.id

    async def pay(self, count: int = 1) -> list[str]:
        """Payments with two events each."""
        keys = [await self.books.claimed() for _ in range(count)]
        for key in keys:
            await self.books.ledger.decide(succeeded(key))
        await self.feed()
        return keys

    async def feed(self) -> None:
        while await self.books.ledger.extend_feed():
            pass

    async def shift(self, seconds: float = 0.05, *, probe: bool = False) -> Served:
        """What the workflow has done again and again."""
        sender = HttpWebhookSender(private_addresses=True, timeout_seconds=2)
        activities = WebhookActivities(
            self.books.ledger, sender, clock=lambda: self.now, shift_seconds=seconds, look_seconds=0.01
        )
        return await ActivityEnvironment().run(activities.deliver, Deliver(endpoint_id=self.endpoint, probe=probe))

    async def quiet(self) -> Served:
        """Shifts until nothing more is sent at this time."""
        while True:
            served = await self.shift()
            if not served.delivered + served.failed:
                return served

    async def spend(self, time: timedelta, step: timedelta = 5 * MINUTE) -> None:
        """Let the time pass, with a look after each step."""
        until = self.now + time
        while self.now < until:
            self.now = min(self.now + step, until)
            await self.quiet()

    async def deliveries(self, payment: str | None = None) -> list[WebhookDelivery]:
        """The oldest first."""
        found = await self.books.ledger.deliveries(self.endpoint, None, None, 100_000)
        return [each for each in reversed(found) if payment in {None, each.payment_id}]

    async def status(self) -> tuple[EndpointStatus, DisabledReason | None]:
        endpoint = await self.books.ledger.endpoint(self.endpoint)
        assert endpoint is not None
        return endpoint.status, endpoint.disabled_reason


@pytest_asyncio.fixture
async def shop(books: Books) -> AsyncGenerator[Shop]:
    async with receiving() as receiver:
        opened = Shop(books, receiver)
        await opened.add()
        yield opened


BOTH = ["payment.created", "payment.succeeded"]


def down(_received: Received, _writer: object) -> bytes:
    return answer(503, b"down")


async def test_every_event_is_delivered_once_in_the_order_of_its_payment(shop: Shop) -> None:
    keys = await shop.pay(20)
    served = await shop.quiet()
    assert (served.waiting, served.failing_since) == (0, None)
    assert all(shop.receiver.taken(key) == BOTH for key in keys)
    assert len(shop.receiver.received) == len({each.id for each in shop.receiver.received}) == 40


async def test_new_endpoint_begins_at_the_end_of_the_feed_or_where_it_says(shop: Shop) -> None:
    (before,) = await shop.pay()
    await shop.add()
    await shop.quiet()
    assert shop.receiver.received == []
    await shop.add()
    async with shop.books.pool.acquire() as db:
        await db.execute("UPDATE webhook_endpoints SET deleted_at = now() WHERE id = $1", shop.endpoint)
    endpoint = await shop.books.ledger.add_endpoint(EndpointChange(url=shop.receiver.url), SECRET, 1)
    assert endpoint is not None
    shop.endpoint = endpoint.id
    await shop.quiet()
    assert shop.receiver.taken(before) == ["payment.succeeded"]
    with pytest.raises(ValueError, match="ends at 2"):
        await shop.books.ledger.add_endpoint(EndpointChange(url=shop.receiver.url), SECRET, 3)


async def test_endpoint_gets_the_types_that_it_wants(shop: Shop) -> None:
    await shop.add(events=("payment.succeeded",))
    (key,) = await shop.pay()
    await shop.quiet()
    assert shop.receiver.taken(key) == ["payment.succeeded"]


async def test_later_event_of_a_payment_waits_for_the_earlier_one_and_other_payments_do_not(shop: Shop) -> None:
    bad, *good = await shop.pay(4)
    shop.receiver.behave = lambda got, _: answer(500) if got.payment == bad else OK
    await shop.quiet()
    assert all(shop.receiver.taken(key) == BOTH for key in good)
    assert {each.event["type"] for each in shop.receiver.of(bad)} == {"payment.created"}
    shop.receiver.behave = lambda _got, _: OK
    await shop.spend(10 * MINUTE, MINUTE)
    assert shop.receiver.taken(bad) == BOTH


async def test_one_event_is_tried_by_the_schedule(shop: Shop) -> None:
    """While nothing else tells whether the endpoint is there."""
    shop.receiver.behave = down
    await shop.pay()
    await shop.quiet()
    at = [shop.now]
    for pause in SCHEDULE[:4]:
        # Each pause may be up to a tenth longer, so that not all come back at once.
        shop.now = at[-1] + pause * 0.99
        await shop.quiet()
        assert len(shop.receiver.received) == len(at)
        shop.now = at[-1] + pause * 1.11
        await shop.quiet()
        at.append(shop.now)
        assert len(shop.receiver.received) == len(at)
    first, second = await shop.deliveries()
    assert (first.status, first.attempt_count, second.attempt_count) == (DeliveryStatus.PENDING, 5, 0)
    assert [(each.number, each.response_status, each.response_body) for each in first.attempts] == [
        (number, 503, "down") for number in range(1, 6)
    ]


async def test_endpoint_that_is_down_for_three_days_loses_nothing(shop: Shop) -> None:
    shop.receiver.behave = down
    keys = await shop.pay(30)
    await shop.spend(HOUR)
    keys += await shop.pay(30)
    await shop.spend(71 * HOUR, 20 * MINUTE)
    keys += await shop.pay(30)
    assert await shop.status() == (EndpointStatus.ENABLED, None)
    asked = len(shop.receiver.received)
    shop.receiver.behave = lambda _got, _: OK
    await shop.spend(5 * MINUTE, MINUTE)
    assert all(shop.receiver.taken(key) == BOTH for key in keys)
    assert len(shop.receiver.received) == asked + 180
    assert {each.status for each in await shop.deliveries()} == {DeliveryStatus.SUCCEEDED}


async def test_a_thousand_waiting_payments_make_few_requests_of_an_endpoint_that_is_down(shop: Shop) -> None:
    shop.receiver.behave = down
    await shop.pay(1000)
    await shop.quiet()
    # Those that were on their way when the fifth failed.
    assert len(shop.receiver.received) < DOWN_AFTER + AT_ONCE
    await shop.spend(HOUR, MINUTE)
    assert 12 <= len(shop.receiver.received) <= 30
    assert len({each.payment for each in shop.receiver.received}) > 10


async def test_one_that_is_down_is_tried_before_its_time_when_somebody_asks(shop: Shop) -> None:
    shop.receiver.behave = down
    keys = await shop.pay(10)
    await shop.spend(10 * HOUR, HOUR)
    asked = len(shop.receiver.received)
    await shop.shift()
    assert len(shop.receiver.received) == asked
    assert (await shop.shift(probe=True)).down
    assert len(shop.receiver.received) == asked + 1
    shop.receiver.behave = lambda _got, _: OK
    await shop.shift(probe=True)
    await shop.quiet()
    assert all(shop.receiver.taken(key) == BOTH for key in keys)


async def test_one_that_is_back_gets_what_waits_at_once(shop: Shop) -> None:
    """Not a day later, when its own turn would come."""
    shop.receiver.behave = down
    (waiting,) = await shop.pay()
    await shop.spend(40 * HOUR, 2 * HOUR)
    shop.receiver.behave = lambda _got, _: OK
    await shop.pay()
    await shop.quiet()
    assert shop.receiver.taken(waiting) == BOTH


async def test_event_that_can_not_be_taken_is_given_up_and_the_next_one_goes_on(shop: Shop) -> None:
    (bad,) = await shop.pay()
    poison = shop.receiver
    poison.behave = lambda got, _: answer(500) if (got.payment, got.event["type"]) == (bad, BOTH[0]) else OK
    for _ in range(50):
        await shop.pay()
        await shop.spend(2 * HOUR, 2 * HOUR)
    first, second = await shop.deliveries(bad)
    assert (first.status, second.status) == (DeliveryStatus.FAILED, DeliveryStatus.SUCCEEDED)
    # Once more than the schedule has pauses, and not once for each time that others succeeded.
    assert first.attempt_count == len(SCHEDULE) + 1
    assert await shop.status() == (EndpointStatus.ENABLED, None)
    poison.behave = lambda _got, _: OK
    assert await shop.books.ledger.redeliver(shop.endpoint, int(first.id.removeprefix("evt_")))
    await shop.quiet()
    assert poison.taken(bad) == [BOTH[1], BOTH[0]]
    assert {each.status for each in await shop.deliveries(bad)} == {DeliveryStatus.SUCCEEDED}


async def test_what_succeeded_can_be_sent_again_with_the_same_id(shop: Shop) -> None:
    (key,) = await shop.pay()
    await shop.quiet()
    for each in await shop.deliveries():
        assert await shop.books.ledger.redeliver(shop.endpoint, int(each.id.removeprefix("evt_")))
    await shop.spend(MINUTE, MINUTE)
    assert shop.receiver.taken(key) == BOTH * 2
    assert len({each.id for each in shop.receiver.received}) == 2
    assert not await shop.books.ledger.redeliver(shop.endpoint, 10**9)


async def test_one_that_answers_410_is_disabled_and_goes_on_where_it_stopped_when_it_is_enabled(shop: Shop) -> None:
    shop.receiver.behave = lambda _got, _: answer(410)
    keys = await shop.pay(3)
    served = await shop.shift()
    assert served.disabled is DisabledReason.GONE
    assert await shop.status() == (EndpointStatus.DISABLED, DisabledReason.GONE)
    asked = len(shop.receiver.received)
    keys += await shop.pay(3)
    await shop.spend(DAY, HOUR)
    assert len(shop.receiver.received) == asked <= AT_ONCE
    shop.receiver.behave = lambda _got, _: OK
    await shop.books.ledger.change_endpoint(shop.endpoint, EndpointChange(status=EndpointStatus.ENABLED))
    await shop.spend(MINUTE, MINUTE)
    assert all(shop.receiver.taken(key) == BOTH for key in keys)


async def test_one_that_fails_for_five_days_is_disabled_and_keeps_what_waits(shop: Shop) -> None:
    shop.receiver.behave = down
    keys = await shop.pay(10)
    await shop.spend(timedelta(days=4.9), 2 * HOUR)
    assert await shop.status() == (EndpointStatus.ENABLED, None)
    await shop.spend(8 * HOUR, HOUR)
    assert await shop.status() == (EndpointStatus.DISABLED, DisabledReason.FAILING)
    shop.receiver.behave = lambda _got, _: OK
    await shop.books.ledger.change_endpoint(shop.endpoint, EndpointChange(status=EndpointStatus.ENABLED))
    await shop.spend(MINUTE, MINUTE)
    assert all(shop.receiver.taken(key) == BOTH for key in keys)


async def test_wish_to_be_left_alone_is_honoured(shop: Shop) -> None:
    shop.receiver.behave = lambda _got, _: answer(429, Retry_After="1800")
    await shop.pay()
    await shop.quiet()
    await shop.spend(29 * MINUTE, MINUTE)
    assert len(shop.receiver.received) == 1
    await shop.spend(2 * MINUTE, MINUTE)
    assert len(shop.receiver.received) == 2


async def test_one_that_hangs_for_a_payment_holds_up_no_other(shop: Shop) -> None:
    async def hang(_got: Received, _writer: object) -> None:
        await asyncio.sleep(30)

    bad, *good = await shop.pay(20)
    shop.receiver.behave = lambda got, writer: hang(got, writer) if got.payment == bad else OK
    running = asyncio.create_task(shop.shift(5))
    await shop.receiver.until(lambda: all(shop.receiver.taken(key) == BOTH for key in good), seconds=1.9)
    await running


async def test_two_senders_at_once_lose_nothing_and_change_no_order(shop: Shop) -> None:
    """As when a worker that was thought dead comes back: some are sent twice, with the same id."""
    keys = await shop.pay(30)
    await asyncio.gather(shop.quiet(), shop.quiet(), shop.quiet())
    await shop.quiet()
    for key in keys:
        firsts = list(dict.fromkeys(shop.receiver.taken(key)))
        assert firsts == BOTH
    assert {each.status for each in await shop.deliveries()} == {DeliveryStatus.SUCCEEDED}


async def test_reply_that_comes_after_another_has_succeeded_changes_nothing(shop: Shop) -> None:
    await shop.pay()
    await shop.quiet()
    (first, _) = await shop.deliveries()
    late = Reply(status=500, error="answered 500", duration=timedelta(seconds=15))
    await shop.books.ledger.end_attempt(shop.endpoint, first.sequence, late, shop.now, 0.5)
    (now, _) = await shop.deliveries()
    assert (now.status, now.attempt_count) == (DeliveryStatus.SUCCEEDED, 2)
    endpoint = await shop.books.ledger.endpoint(shop.endpoint)
    assert endpoint is not None
    assert endpoint.failing_since is None


async def test_another_address_is_tried_at_once(shop: Shop) -> None:
    shop.receiver.behave = down
    keys = await shop.pay(10)
    await shop.spend(10 * HOUR, HOUR)
    async with receiving() as other:
        await shop.books.ledger.change_endpoint(shop.endpoint, EndpointChange(url=other.url))
        await shop.spend(MINUTE, MINUTE)
        assert all(other.taken(key) == BOTH for key in keys)


async def test_deleted_endpoint_gets_nothing(shop: Shop) -> None:
    await shop.pay()
    assert await shop.books.ledger.delete_endpoint(shop.endpoint)
    assert not await shop.books.ledger.delete_endpoint(shop.endpoint)
    assert not (await shop.shift()).there
    assert shop.receiver.received == []
