import json
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from sandbox.faults import fault_from
from sandbox.processor import Delivery, Processor
from sandbox.requests import money_request
from sandbox.store import Store
from sandbox.words import MoneyRequest, Operation


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
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk full")

    script(store, fault="wrong_amount")
    monkeypatch.setattr(store, "save_answer", fail)
    with pytest.raises(sqlite3.OperationalError):
        Processor(store, key_window=60, clock=Clock()).handle(request())
    assert store.journal("p") == []
    assert len(store.faults()) == 1


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
    held = processor.handle(request()).answer
    assert held is not None
    script(store, fault="late_execution")
    body = {"payment_id": "p", "amount": 5, "currency": "EUR", "authorization": held.body["id"]}
    processor.handle(money_request("capture", ["late"], json.dumps(body).encode()))
    processor.handle(money_request("void", ["void"], json.dumps(body).encode()))
    assert processor.finish("late").body["error"]["code"] == "authorization_voided"
    assert [entry["operation"] for entry in store.journal("p")] == ["authorize", "void"]
