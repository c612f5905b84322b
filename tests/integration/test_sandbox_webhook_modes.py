"""Webhooks that go wrong on request, and events that are sent again."""

import threading
import time
from pathlib import Path

import pytest

from tests.integration import test_sandbox_webhooks
from tests.integration.test_sandbox import Sandbox, eventually, refused
from tests.integration.test_sandbox_webhooks import Listener, confirm, delivered, listening, mode, telling

everybody = test_sandbox_webhooks.everybody
listener = test_sandbox_webhooks.listener
sandbox = test_sandbox_webhooks.sandbox
shared = test_sandbox_webhooks.shared


def test_a_dropped_event_counts_as_delivered_and_is_never_sent(sandbox: Sandbox, listener: Listener):
    mode(sandbox, "drop", times=1)
    confirm(sandbox, "a")
    id_ = confirm(sandbox, "b")
    eventually(lambda: delivered(sandbox) == [True, True])
    assert listener.ids(sandbox.payment) == [id_]


def test_a_duplicated_event_is_sent_three_times(sandbox: Sandbox, listener: Listener):
    mode(sandbox, "duplicate", times=1)
    thrice, once = confirm(sandbox, "a"), confirm(sandbox, "b")
    eventually(lambda: delivered(sandbox) == [True, True])
    assert sorted(listener.ids(sandbox.payment)) == sorted([thrice] * 3 + [once])


def test_held_events_are_sent_when_the_mode_changes_and_the_last_comes_first(sandbox: Sandbox, listener: Listener):
    mode(sandbox, "hold")
    ids = [confirm(sandbox, f"a{number}") for number in range(5)]
    # The first to go out takes its time, and is not overtaken.
    listener.wait_for = lambda event: event["id"] == ids[-1] and time.sleep(0.3)
    mode(sandbox, "duplicate")
    other = confirm(sandbox, "other")
    eventually(lambda: listener.ids(sandbox.payment).count(other) == 3)
    eventually(lambda: delivered(sandbox) == [True] * 6)
    heard = listener.ids(sandbox.payment)
    assert [id_ for id_ in heard if id_ != other] == ids[::-1]


def test_a_mode_that_is_used_up_changes_and_lets_go_of_what_was_held(sandbox: Sandbox, listener: Listener):
    mode(sandbox, "hold", times=2)
    first = confirm(sandbox, "a")
    assert delivered(sandbox) == [False]
    second = confirm(sandbox, "b")
    eventually(lambda: listener.ids(sandbox.payment) == [second, first])


def test_held_events_are_still_held_after_kill_9(tmp_path: Path):
    with listening() as listener:
        with telling(tmp_path / "s.sqlite", listener.url) as sandbox:
            mode(sandbox, "hold")
            payment, ids = sandbox.payment, [confirm(sandbox, "a"), confirm(sandbox, "b")]
            sandbox.process.kill()
        with telling(tmp_path / "s.sqlite", listener.url, payment=payment) as sandbox:
            ids.append(confirm(sandbox, "c"))
            mode(sandbox, "normal")
            eventually(lambda: listener.ids(payment) == ids[::-1])


def test_an_event_is_sent_again_when_somebody_asks(sandbox: Sandbox, listener: Listener):
    id_ = confirm(sandbox)
    eventually(lambda: delivered(sandbox) == [True])
    again = sandbox.http.post(f"/events/{id_}/resend")
    assert again.status_code == 202
    assert again.json()["id"] == id_
    eventually(lambda: listener.ids(sandbox.payment) == [id_, id_])
    eventually(lambda: delivered(sandbox) == [True])


def test_an_event_that_is_on_its_way_is_sent_once_more_when_somebody_asks(sandbox: Sandbox, listener: Listener):
    answer = threading.Event()
    listener.wait_for = lambda event: event["data"]["payment_id"] == sandbox.payment and answer.wait(10)
    id_ = confirm(sandbox)
    try:
        eventually(lambda: any(id_.encode() in raw for _, _, raw in listener.posts))
        assert sandbox.http.post(f"/events/{id_}/resend").json()["delivered_at"] is None
    finally:
        answer.set()
    eventually(lambda: listener.ids(sandbox.payment) == [id_, id_])
    eventually(lambda: delivered(sandbox) == [True])


def test_a_dropped_event_can_be_sent_after_all(sandbox: Sandbox, listener: Listener):
    mode(sandbox, "drop", times=1)
    id_ = confirm(sandbox)
    sandbox.http.post(f"/events/{id_}/resend")
    eventually(lambda: listener.ids(sandbox.payment) == [id_])


def test_an_event_that_never_was_cannot_be_sent(sandbox: Sandbox):
    assert refused(sandbox.http.post("/events/evt_none/resend")) == (404, "event_not_found")


@pytest.mark.parametrize("body", [{}, {"mode": "lose"}, {"mode": ["drop"]}, {"mode": "drop", "times": 0}, {"mod": 1}])
def test_a_mode_that_would_do_nothing_is_refused(sandbox: Sandbox, body: dict[str, object]):
    assert refused(sandbox.http.post("/webhooks", json=body)) == (400, "validation_failed")
