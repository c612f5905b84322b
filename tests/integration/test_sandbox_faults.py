"""What can go wrong at the sandbox processor on request: by its payment methods, and by scripted faults."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.integration import test_sandbox
from tests.integration.test_sandbox import PATIENCE, Sandbox, eventually, refused, succeeded

shared = test_sandbox.shared
sandbox = test_sandbox.sandbox


# Payment methods


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_paypal"])
def test_a_good_payment_method_is_approved(sandbox: Sandbox, method: str):
    succeeded(sandbox.capture(sandbox.hold(method)))


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("pm_card_chargeDeclined", "card_declined"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ],
)
def test_a_declined_method_holds_nothing_and_the_decline_can_be_looked_up(sandbox: Sandbox, method: str, code: str):
    answer = sandbox.authorize(method=method)
    assert refused(answer) == (402, code)
    truth = succeeded(sandbox.truth("a"))
    assert (truth["status"], truth["error"]) == ("declined", answer.json()["error"])
    assert truth["error"]["type"] == "card_error"
    assert sandbox.journal() == []


def test_an_unknown_method_is_refused_and_nothing_happened(sandbox: Sandbox):
    assert refused(sandbox.authorize(method="pm_nope")) == (400, "payment_method_invalid")
    assert refused(sandbox.truth("a")) == (404, "operation_not_found")


def test_capture_declined_leaves_the_hold_to_be_voided(sandbox: Sandbox):
    hold = sandbox.hold("pm_sandbox_captureDeclined")
    assert refused(sandbox.capture(hold)) == (402, "capture_declined")
    succeeded(sandbox.void(hold))
    assert sandbox.journal() == [("authorize", 1000), ("void", 1000)]


def test_timeout_after_charge_moves_money_and_loses_one_reply(sandbox: Sandbox):
    hold = sandbox.hold("pm_sandbox_timeoutAfterCharge")
    with pytest.raises(httpx2.ReadTimeout):
        sandbox.capture(hold, timeout=PATIENCE)
    assert sandbox.journal() == [("authorize", 1000), ("capture", 1000)]
    assert succeeded(sandbox.capture(hold)) == sandbox.truth("c").json()


def test_unavailable_once_is_unavailable_once(sandbox: Sandbox):
    assert refused(sandbox.authorize(method="pm_sandbox_unavailableOnce")) == (503, "unavailable")
    assert refused(sandbox.truth("a")) == (404, "operation_not_found")
    succeeded(sandbox.authorize(method="pm_sandbox_unavailableOnce"))


# Faults


def test_timeout_before_execution_does_nothing_and_takes_no_key(sandbox: Sandbox):
    sandbox.fault("timeout_before_execution")
    with pytest.raises(httpx2.ReadTimeout):
        sandbox.authorize(timeout=PATIENCE)
    assert sandbox.journal() == []
    assert "Idempotent-Replayed" not in sandbox.authorize().headers


def test_timeout_after_execution_moves_money_without_a_reply(sandbox: Sandbox):
    sandbox.fault("timeout_after_execution")
    with pytest.raises(httpx2.ReadTimeout):
        sandbox.authorize(timeout=PATIENCE)
    assert sandbox.journal() == [("authorize", 1000)]
    assert sandbox.authorize().headers["Idempotent-Replayed"] == "true"


def test_late_execution_happens_once_after_the_client_has_left(sandbox: Sandbox):
    sandbox.fault("late_execution", seconds=1)
    with pytest.raises(httpx2.ReadTimeout):
        sandbox.authorize(timeout=0.2)
    in_use = sandbox.authorize()
    assert refused(in_use) == (409, "idempotency_key_in_use")
    assert refused(sandbox.authorize(amount=1)) == (400, "idempotency_key_reused")
    assert refused(sandbox.truth("a")) == (404, "operation_not_found")
    eventually(lambda: sandbox.truth("a").status_code == 200)
    assert succeeded(sandbox.authorize()) == sandbox.truth("a").json()
    assert sandbox.journal() == [("authorize", 1000)]


def test_reset_after_execution_moves_money_and_resets_the_connection(sandbox: Sandbox):
    sandbox.fault("reset_after_execution")
    with pytest.raises(httpx2.ReadError, match="reset"):
        sandbox.authorize()
    assert sandbox.journal() == [("authorize", 1000)]
    assert sandbox.authorize().headers["Idempotent-Replayed"] == "true"


def test_unavailable_and_rate_limited_execute_nothing_and_store_nothing(sandbox: Sandbox):
    sandbox.fault("unavailable", times=2)
    sandbox.fault("rate_limited", operation="authorize")
    assert refused(sandbox.authorize()) == (503, "unavailable")
    assert refused(sandbox.authorize()) == (503, "unavailable")
    limited = sandbox.authorize()
    assert refused(limited) == (429, "rate_limited")
    assert limited.headers["Retry-After"] == "1"
    assert sandbox.journal() == []
    assert "Idempotent-Replayed" not in sandbox.authorize().headers


def test_rate_limited_asks_to_come_back_after_its_seconds(sandbox: Sandbox):
    sandbox.fault("rate_limited", seconds=120)
    limited = sandbox.authorize()
    assert refused(limited) == (429, "rate_limited")
    assert limited.headers["Retry-After"] == "120"
    succeeded(sandbox.authorize())


def test_malformed_reply_moves_money_and_answers_what_cannot_be_read(sandbox: Sandbox):
    sandbox.fault("malformed_reply")
    answer = sandbox.authorize()
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()
    assert succeeded(sandbox.authorize()) == sandbox.truth("a").json()


def test_wrong_amount_is_said_and_replayed_while_journal_and_lookup_tell_the_truth(sandbox: Sandbox):
    sandbox.fault("wrong_amount")
    assert succeeded(sandbox.authorize())["amount"] == 1001
    assert succeeded(sandbox.authorize())["amount"] == 1001
    assert sandbox.truth("a").json()["amount"] == 1000
    assert sandbox.journal() == [("authorize", 1000)]


def test_slow_executes_and_answers_at_its_end_and_its_key_is_in_use_meanwhile(sandbox: Sandbox):
    sandbox.fault("slow", seconds=0.6)
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        first = pool.submit(sandbox.authorize)
        time.sleep(0.2)
        assert refused(sandbox.authorize()) == (409, "idempotency_key_in_use")
        assert succeeded(first.result()) == sandbox.truth("a").json()
        assert time.monotonic() - began > 0.55


def test_decline_is_stored_under_its_key(sandbox: Sandbox):
    sandbox.fault("decline", operation="capture")
    hold = sandbox.hold()
    assert refused(sandbox.capture(hold)) == (402, "card_declined")
    assert refused(sandbox.capture(hold)) == (402, "card_declined")
    succeeded(sandbox.capture(hold, "another"))


@pytest.mark.parametrize("fault", ["unavailable", "rate_limited"])
def test_a_fault_hits_a_replay_as_well(sandbox: Sandbox, fault: str):
    succeeded(sandbox.authorize())
    sandbox.fault(fault)
    assert sandbox.authorize().status_code in {429, 503}
    succeeded(sandbox.authorize())


def test_a_decline_waits_for_something_to_decline_instead_of_lying_about_a_success(sandbox: Sandbox):
    hold = sandbox.hold()
    sandbox.fault("decline")
    assert sandbox.hold() == hold
    assert refused(sandbox.capture(hold)) == (402, "card_declined")


def test_faults_are_listed_until_used_up_and_can_be_cleared(sandbox: Sandbox):
    stored = sandbox.fault("unavailable", times=2, operation="authorize")
    assert sandbox.http.get("/faults").json()["data"] == [stored]
    sandbox.authorize()
    assert sandbox.http.get("/faults").json()["data"] == [stored | {"remaining": 1}]
    sandbox.authorize()
    assert sandbox.http.get("/faults").json()["data"] == []
    sandbox.fault("decline")
    assert sandbox.http.delete("/faults").status_code == 204
    succeeded(sandbox.authorize())


def test_an_unknown_fault_is_refused_with_the_known_ones(sandbox: Sandbox):
    answer = sandbox.http.post("/faults", json={"fault": "gremlins"})
    assert refused(answer) == (400, "validation_failed")
    assert "reset_after_execution" in answer.json()["error"]["message"]
