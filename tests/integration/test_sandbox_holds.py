"""Holds end by themselves, and refunds that a bank sends back: what time does at the sandbox processor."""

from collections.abc import Generator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.integration import test_sandbox
from tests.integration.test_sandbox import Sandbox, eventually, refused, running, succeeded

sandbox = test_sandbox.sandbox
REFUND_FAIL = "pm_card_refundFail"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox") / "s.sqlite", "--refund-fails-after", "0.2") as opened:
        yield opened


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Generator[Sandbox]:
    """A sandbox whose holds hardly last."""
    with running(tmp_path_factory.mktemp("sandbox") / "s.sqlite", "--hold-period", "0.1") as opened:
        yield opened


def lapsed(hasty: Sandbox, key: str) -> str:
    hold = succeeded(hasty.authorize(key))["id"]
    eventually(lambda: hasty.truth(key).json()["hold"] == "expired")
    return hold


def captured(sandbox: Sandbox, method: str = "pm_card_visa") -> str:
    return succeeded(sandbox.capture(sandbox.hold(method)))["id"]


# Holds


def test_a_hold_says_when_it_ends_and_that_is_a_week_later(sandbox: Sandbox):
    hold = succeeded(sandbox.authorize())
    lasts = datetime.fromisoformat(hold["expires_at"]) - datetime.fromisoformat(hold["created_at"])
    assert lasts == timedelta(days=7)
    assert sandbox.truth("a").json() == hold


def test_a_hold_that_has_ended_is_neither_captured_nor_voided(hasty: Sandbox):
    before = hasty.journal()
    hold = lapsed(hasty, "ended")
    assert refused(hasty.capture(hold)) == (400, "authorization_expired")
    assert refused(hasty.void(hold)) == (400, "authorization_expired")
    assert hasty.journal() == [*before, ("authorize", 1000)]


def test_the_end_of_a_hold_changes_its_look_up_and_not_the_answer_under_its_key(hasty: Sandbox):
    first = hasty.authorize("same")
    eventually(lambda: hasty.truth("same").json()["hold"] == "expired")
    assert hasty.truth("same").json() == first.json() | {"hold": "expired"}
    assert hasty.authorize("same").content == first.content


def test_the_end_of_a_hold_is_told_once(hasty: Sandbox):
    hold = lapsed(hasty, "told")
    [event] = [event for event in hasty.events() if event["data"]["id"] == hold]
    assert event["type"] == "authorization.expired"
    assert event["data"] == hasty.truth("told").json()


def test_the_look_up_of_a_hold_says_what_became_of_it(sandbox: Sandbox):
    taken = succeeded(sandbox.authorize("taken"))["id"]
    released = succeeded(sandbox.authorize("released"))["id"]
    succeeded(sandbox.authorize("kept"))
    sandbox.capture(taken)
    sandbox.void(released)
    holds = [sandbox.truth(key).json()["hold"] for key in ("taken", "released", "kept")]
    assert holds == ["captured", "voided", "open"]


def test_a_hold_that_ended_while_the_process_was_down_has_ended(tmp_path: Path):
    with running(tmp_path / "s.sqlite", "--hold-period", "0.1") as sandbox:
        payment, hold = sandbox.payment, sandbox.hold()
        sandbox.process.kill()
    # The period counts when the hold is placed, not when it is looked at.
    with running(tmp_path / "s.sqlite", payment=payment) as sandbox:
        eventually(lambda: sandbox.told() == ["authorization.expired"])
        assert refused(sandbox.capture(hold)) == (400, "authorization_expired")


# Refunds that fail later


def test_a_refund_that_comes_back_is_an_effect_of_its_own_and_can_be_made_again(sandbox: Sandbox):
    capture = captured(sandbox, REFUND_FAIL)
    first = sandbox.refund(capture)
    assert succeeded(first)["status"] == "succeeded"
    eventually(lambda: sandbox.truth("r").json()["status"] == "failed")
    truth = sandbox.truth("r").json()
    assert truth["error"]["code"] == "refund_failed"
    assert truth["id"] == first.json()["id"]
    assert sandbox.journal()[2:] == [("refund", 1000), ("refund_failed", 1000)]
    assert sandbox.refund(capture).content == first.content
    succeeded(sandbox.refund(capture, "again"))


def test_the_return_of_a_refund_is_in_the_journal_under_the_key_of_the_refund(sandbox: Sandbox):
    sandbox.refund(captured(sandbox, REFUND_FAIL), amount=300)
    eventually(lambda: len(sandbox.journal()) == 4)
    entry = sandbox.http.get("/journal", params={"payment_id": sandbox.payment}).json()["data"][-1]
    del entry["executed_at"]
    assert entry == {
        "operation": "refund_failed",
        "key": f"{sandbox.payment}/r",
        "payment_id": sandbox.payment,
        "amount": 300,
        "currency": "EUR",
    }


def test_a_refund_that_comes_back_is_told_with_its_error(sandbox: Sandbox):
    sandbox.refund(captured(sandbox, REFUND_FAIL))
    eventually(lambda: sandbox.told() == ["refund.failed"])
    assert sandbox.events()[0]["data"] == sandbox.truth("r").json()


def test_any_refund_comes_back_by_a_fault(sandbox: Sandbox):
    sandbox.fault("refund_fails_later", operation="refund", seconds=0.1)
    capture = captured(sandbox)
    succeeded(sandbox.refund(capture, "r1", amount=600))
    eventually(lambda: sandbox.truth("r1").json()["status"] == "failed")
    succeeded(sandbox.refund(capture, "r2"))
    assert sandbox.journal()[2:] == [("refund", 600), ("refund_failed", 600), ("refund", 1000)]


def test_a_refund_that_comes_back_while_the_process_is_down_comes_back_once(tmp_path: Path):
    with running(tmp_path / "s.sqlite", "--refund-fails-after", "0.3") as sandbox:
        payment = sandbox.payment
        succeeded(sandbox.refund(captured(sandbox, REFUND_FAIL)))
        sandbox.process.kill()
    for _ in range(2):
        with running(tmp_path / "s.sqlite", payment=payment) as sandbox:
            eventually(lambda: ("refund_failed", 1000) in sandbox.journal())
            assert sandbox.journal()[2:] == [("refund", 1000), ("refund_failed", 1000)]
            assert sandbox.told() == ["refund.failed"]
