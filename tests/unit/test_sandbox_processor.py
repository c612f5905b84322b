import json
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from sandbox import actions
from sandbox.faults import fault_from
from sandbox.moment import Terms
from sandbox.processor import Delivery, Processor
from sandbox.requests import money_request
from sandbox.store import Store
from sandbox.words import MoneyRequest, Operation, Refusal


class Clock:
    """A clock that a test turns by hand."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Generator[Store]:
    store = Store(tmp_path / "s.sqlite")
    yield store
    store.close()


def request(operation: Operation = "authorize", **more: Any) -> MoneyRequest:
    body = {"payment_id": "p", "amount": 5, "currency": "EUR", "payment_method": "pm_card_visa"} | more
    return money_request(operation, ["k"], json.dumps(body).encode())


def fail(*_: object) -> None:
    raise sqlite3.OperationalError("disk full")


def follow_up(operation: Operation, key: str, authorization: str) -> MoneyRequest:
    body = {"payment_id": "p", "amount": 5, "currency": "EUR", "authorization": authorization}
    return money_request(operation, [key], json.dumps(body).encode())


def answered(processor: Processor, asked: MoneyRequest) -> dict[str, Any]:
    answer = processor.handle(asked).answer
    assert answer is not None
    return answer.body


def script(store: Store, **fault: Any) -> None:
    store.add_fault(fault_from(fault))


def test_a_key_is_kept_to_the_end_of_its_window_and_then_executes_again(store: Store):
    clock = Clock()
    processor = Processor(store, key_window=60, clock=clock)
    processor.handle(request())
    clock.now += 59
    processor.handle(request())
    assert len(store.journal("p")) == 1
    clock.now += 1
    processor.handle(request(amount=6))
    assert [entry["amount"] for entry in store.journal("p")] == [5, 6]


def test_a_failure_while_keeping_the_answer_undoes_the_effect_and_gives_the_fault_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    script(store, fault="wrong_amount")
    monkeypatch.setattr(store, "save_answer", fail)
    with pytest.raises(sqlite3.OperationalError):
        Processor(store, key_window=60, clock=Clock()).handle(request())
    assert store.journal("p") == []
    assert len(store.faults()) == 1


def test_a_failure_while_telling_what_time_has_done_undoes_it_until_it_can_be_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    clock = Clock()
    processor = Processor(store, key_window=60, clock=clock, terms=Terms(hold_period=10))
    processor.handle(request())
    clock.now += 10
    with monkeypatch.context() as patch:
        patch.setattr(store.outbox, "add", fail)
        with pytest.raises(sqlite3.OperationalError), processor.moment():
            pass
    assert store.outbox.events("p") == []
    with processor.moment():
        pass
    assert [event["type"] for event in store.outbox.events("p")] == ["authorization.expired"]


def test_the_oldest_fault_of_the_payment_and_operation_is_taken_first(store: Store):
    script(store, fault="decline", payment_id="another")
    script(store, fault="decline", operation="capture")
    script(store, fault="malformed_reply", payment_id="p")
    script(store, fault="unavailable")
    processor = Processor(store, key_window=60, clock=Clock())
    assert processor.handle(request()).delivery is Delivery.CUT_OFF
    again = processor.handle(request()).answer
    assert again is not None
    assert again.status == 503
    assert [fault["fault"] for fault in store.faults()] == ["decline", "decline"]


def test_a_hold_that_was_voided_while_its_capture_was_late_is_not_captured(store: Store):
    processor = Processor(store, key_window=60, clock=Clock())
    hold = answered(processor, request())["id"]
    script(store, fault="late_execution")
    processor.handle(follow_up("capture", "late", hold))
    processor.handle(follow_up("void", "void", hold))
    assert processor.finish("late").body["error"]["code"] == "authorization_voided"
    assert [entry["operation"] for entry in store.journal("p")] == ["authorize", "void"]


@pytest.mark.parametrize(("seconds", "code"), [(9, None), (10, "authorization_expired")])
def test_a_hold_can_be_captured_to_the_end_of_its_period(store: Store, seconds: int, code: str | None):
    clock = Clock()
    processor = Processor(store, key_window=60, clock=clock, terms=Terms(hold_period=10))
    hold = answered(processor, request())["id"]
    clock.now += seconds
    assert answered(processor, follow_up("capture", "c", hold)).get("error", {}).get("code") == code


def test_a_customer_can_confirm_to_the_end_of_their_time(store: Store):
    clock = Clock()
    processor = Processor(store, key_window=60, clock=clock, terms=Terms(action_period=10))
    action = answered(processor, request(payment_method="pm_card_authenticationRequired"))["id"]
    clock.now += 9
    with processor.moment() as at:
        assert actions.operation_status(actions.find(at, action)) == "requires_action"
    clock.now += 1
    with processor.moment() as at, pytest.raises(Refusal) as refusal:
        actions.confirm(at, action)
    assert refusal.value.code == "authentication_expired"


def test_a_capture_that_was_late_finds_the_hold_lapsed(store: Store):
    clock = Clock()
    processor = Processor(store, key_window=60, clock=clock, terms=Terms(hold_period=10))
    hold = answered(processor, request())["id"]
    script(store, fault="late_execution")
    processor.handle(follow_up("capture", "late", hold))
    clock.now += 10
    assert processor.finish("late").body["error"]["code"] == "authorization_expired"
