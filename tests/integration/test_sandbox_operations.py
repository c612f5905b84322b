"""What the sandbox processor does when nothing goes wrong, and what it refuses."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.integration import test_sandbox
from tests.integration.test_sandbox import Sandbox, refused, running, succeeded

shared = test_sandbox.shared
sandbox = test_sandbox.sandbox


# Operations and keys


def test_a_payment_is_held_captured_and_refunded_and_the_journal_says_so_in_order(sandbox: Sandbox):
    hold = sandbox.hold()
    capture = succeeded(sandbox.capture(hold, amount=900))
    succeeded(sandbox.refund(capture["id"], amount=400))

    assert capture["id"].startswith("cap_")
    del capture["id"], capture["created_at"]
    assert capture == {
        "operation": "capture",
        "key": f"{sandbox.payment}/c",
        "status": "succeeded",
        "authorization": hold,
        "payment_id": sandbox.payment,
        "amount": 900,
        "currency": "EUR",
    }
    assert sandbox.journal() == [("authorize", 1000), ("capture", 900), ("refund", 400)]


def test_a_journal_entry_has_exactly_the_agreed_fields(sandbox: Sandbox):
    sandbox.hold()
    [entry] = sandbox.http.get("/journal", params={"payment_id": sandbox.payment}).json()["data"]
    assert set(entry) == {"operation", "key", "payment_id", "amount", "currency", "executed_at"}
    assert entry in sandbox.http.get("/journal").json()["data"]


def test_same_key_and_body_moves_money_once_and_replays_the_first_answer(sandbox: Sandbox):
    first, second = sandbox.authorize(), sandbox.authorize()
    assert first.json() == second.json()
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert sandbox.journal() == [("authorize", 1000)]


def test_same_key_sent_ten_times_at_once_moves_money_once(sandbox: Sandbox):
    with ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(sandbox.authorize) for _ in range(10)]
    assert len({succeeded(answer.result())["id"] for answer in answers}) == 1
    assert sandbox.journal() == [("authorize", 1000)]


def test_same_key_with_another_body_or_operation_is_refused(sandbox: Sandbox):
    hold = sandbox.hold()
    for answer in (sandbox.authorize("hold", amount=999), sandbox.capture(hold, "hold")):
        assert refused(answer) == (400, "idempotency_key_reused")
        assert answer.json()["error"]["type"] == "idempotency_error"
    assert sandbox.journal() == [("authorize", 1000)]


def test_a_decline_and_an_illegal_request_are_replayed_too(sandbox: Sandbox):
    for first, again in [
        (sandbox.authorize("d", "pm_card_chargeDeclined"), sandbox.authorize("d", "pm_card_chargeDeclined")),
        (sandbox.capture("auth_none"), sandbox.capture("auth_none")),
    ]:
        assert again.json() == first.json()
        assert again.headers["Idempotent-Replayed"] == "true"


def test_a_malformed_request_does_not_take_its_key(sandbox: Sandbox):
    assert refused(sandbox.authorize(amount=True)) == (400, "validation_failed")
    assert "Idempotent-Replayed" not in sandbox.authorize().headers


def test_money_without_a_key_is_refused(sandbox: Sandbox):
    assert refused(sandbox.http.post("/v1/refunds", json={})) == (400, "idempotency_key_missing")
    assert refused(sandbox.authorize("k" * 256)) == (400, "idempotency_key_invalid")


def test_a_key_forgotten_after_its_window_executes_again_but_the_journal_never_forgets(tmp_path: Path):
    with running(tmp_path / "s.sqlite", "--key-window", "0.2") as sandbox:
        first = succeeded(sandbox.authorize())
        time.sleep(0.25)
        second = succeeded(sandbox.authorize())
        assert first["id"] != second["id"]
        assert sandbox.journal() == [("authorize", 1000)] * 2
        assert sandbox.truth("a").json() == second


# State rules


def test_a_hold_is_captured_once_and_never_beyond_its_amount(sandbox: Sandbox):
    hold = sandbox.hold()
    assert refused(sandbox.capture(hold, "c1", amount=1001)) == (400, "amount_too_large")
    assert refused(sandbox.capture(hold, "c2", currency="USD")) == (400, "currency_mismatch")
    succeeded(sandbox.capture(hold, "c3", amount=10))
    assert refused(sandbox.capture(hold, "c4", amount=10)) == (400, "authorization_captured")
    assert sandbox.journal() == [("authorize", 1000), ("capture", 10)]


def test_refunds_never_add_up_to_more_than_was_captured(sandbox: Sandbox):
    capture = succeeded(sandbox.capture(sandbox.hold(), amount=900))["id"]
    succeeded(sandbox.refund(capture, "r1", amount=500))
    assert refused(sandbox.refund(capture, "r2", amount=401)) == (400, "amount_too_large")
    succeeded(sandbox.refund(capture, "r3", amount=400))
    assert refused(sandbox.refund(capture, "r4", amount=1)) == (400, "amount_too_large")
    assert sandbox.journal()[2:] == [("refund", 500), ("refund", 400)]


def test_a_captured_hold_cannot_be_voided_nor_a_voided_one_captured(sandbox: Sandbox):
    captured = sandbox.hold()
    succeeded(sandbox.capture(captured))
    assert refused(sandbox.void(captured, "v1")) == (400, "authorization_captured")
    voided = succeeded(sandbox.authorize("second"))["id"]
    assert refused(sandbox.void(voided, "v2", amount=999)) == (400, "amount_mismatch")
    assert succeeded(sandbox.void(voided, "v3"))["authorization"] == voided
    assert refused(sandbox.capture(voided, "c2")) == (400, "authorization_voided")
    assert refused(sandbox.void(voided, "v4")) == (400, "authorization_voided")


def test_a_hold_of_another_payment_cannot_be_captured_nor_refunded(sandbox: Sandbox):
    hold = sandbox.hold()
    assert refused(sandbox.capture(hold, "c1", payment_id="other")) == (400, "authorization_not_found")
    capture = succeeded(sandbox.capture(hold))["id"]
    assert refused(sandbox.refund(capture, payment_id="other")) == (400, "capture_not_found")
