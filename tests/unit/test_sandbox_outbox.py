"""When an event is sent next, by a clock that is turned by hand."""

from collections.abc import Generator
from itertools import pairwise
from pathlib import Path

import pytest

from sandbox.outbox import Outbox
from sandbox.store import Store
from sandbox.webhooks import Listener

NOW = 1_000_000.0
THREE_DAYS = 3 * 86_400


@pytest.fixture
def outbox(tmp_path: Path) -> Generator[Outbox]:
    store = Store(tmp_path / "s.sqlite")
    store.outbox.add("evt_1", "p", '{"id": "evt_1"}', NOW)
    yield store.outbox
    store.close()


def times_of_attempts(outbox: Outbox, until: float) -> list[float]:
    """When an event goes out that nobody takes."""
    times: list[float] = []
    now = NOW
    while now < until:
        for message in outbox.due(now, limit=8):
            outbox.failed(message, now)
            times.append(now - NOW)
        now += 1
    return times


def test_an_event_that_nobody_takes_is_sent_ever_more_seldom_up_to_once_a_minute(outbox: Outbox):
    times = times_of_attempts(outbox, NOW + 300)
    assert [later - earlier for earlier, later in pairwise(times)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_an_event_that_nobody_takes_is_given_up_after_three_days_and_not_before(outbox: Outbox):
    times = times_of_attempts(outbox, NOW + THREE_DAYS + 3600)
    assert THREE_DAYS - 60 <= times[-1] < THREE_DAYS
    [event] = outbox.events("p")
    assert event["delivered_at"] is None


def test_an_event_that_was_given_up_is_sent_when_somebody_asks(outbox: Outbox):
    times_of_attempts(outbox, NOW + THREE_DAYS)
    later = NOW + THREE_DAYS + 60
    assert outbox.due(later, limit=8) == []
    outbox.resend("evt_1", 1, later)
    [message] = outbox.due(later, limit=8)
    outbox.failed(message, later)
    assert outbox.due(later + 1, limit=8) != []


def test_asking_for_an_event_that_is_being_sent_sends_it_once_more(outbox: Outbox):
    [message] = outbox.due(NOW, limit=8)
    outbox.resend("evt_1", 2, NOW)
    outbox.sent(message, NOW)
    [message] = outbox.due(NOW, limit=8)
    outbox.sent(message, NOW)
    assert outbox.due(NOW, limit=8) == []


def test_a_secret_is_not_shown_with_whom_it_is_shared():
    assert "hidden" not in repr(Listener("http://host/", b"hidden"))
