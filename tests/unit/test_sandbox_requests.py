import json
from typing import Any

import pytest

from sandbox.faults import fault_from
from sandbox.requests import money_request
from sandbox.words import Refusal

GOOD: dict[str, Any] = {"payment_id": "p", "amount": 1, "currency": "EUR", "payment_method": "pm_card_visa"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": True},
        {"amount": 1.0},
        {"amount": "1"},
        {"amount": 10**16},
        {"amount": None},
        {"currency": "EURO"},
        {"currency": 978},
        {"payment_id": ""},
        {"payment_id": "p" * 256},
        {"payment_id": "\ud800"},
        {"payment_method": ["pm_card_visa"]},
    ],
)
def test_a_field_of_the_wrong_shape_is_named(wrong: dict[str, Any]):
    with pytest.raises(Refusal, match=next(iter(wrong))) as refusal:
        money_request("authorize", ["k"], json.dumps(GOOD | wrong).encode())
    assert refusal.value.code == "validation_failed"


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_a_json_object_is_malformed(raw: bytes):
    with pytest.raises(Refusal) as refusal:
        money_request("authorize", ["k"], raw)
    assert refusal.value.code == "malformed_json"


@pytest.mark.parametrize("keys", [["a", "b"], ["k" * 256], ["\udcff"]])
def test_a_key_that_cannot_be_kept_is_invalid(keys: list[str]):
    with pytest.raises(Refusal) as refusal:
        money_request("authorize", keys, json.dumps(GOOD).encode())
    assert refusal.value.code == "idempotency_key_invalid"


def test_the_order_of_fields_does_not_make_another_request():
    turned = dict(reversed(GOOD.items()))
    one, other = (money_request("authorize", ["k"], json.dumps(body).encode()) for body in (GOOD, turned))
    assert one == other


@pytest.mark.parametrize(
    "body",
    [
        {"fault": "gremlins"},
        {"fault": ["slow"]},
        {},
        {"fault": "slow", "operation": "authorise"},
        {"fault": "slow", "times": 0},
        {"fault": "slow", "times": True},
        {"fault": "slow", "seconds": -1},
        {"fault": "slow", "seconds": float("nan")},
        {"fault": "slow", "second": 1},
        {"fault": "rate_limited", "seconds": 1.5},
        {"fault": "rate_limited", "seconds": 3601},
        {"fault": "slow", "payment_id": 1},
        {"fault": "refund_fails_later"},
        {"fault": "refund_fails_later", "operation": "capture"},
    ],
)
def test_a_fault_that_would_not_do_what_was_meant_is_refused(body: dict[str, Any]):
    with pytest.raises(Refusal) as refusal:
        fault_from(body)
    assert refusal.value.code == "validation_failed"


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"fault": "slow", "seconds": 0.5}, 0.5),
        ({"fault": "slow"}, 2.0),
        ({"fault": "rate_limited", "seconds": 3600}, 3600.0),
        ({"fault": "rate_limited"}, 1.0),
        ({"fault": "unavailable"}, None),
        ({"fault": "refund_fails_later", "operation": "refund"}, 5.0),
    ],
)
def test_a_fault_has_the_seconds_that_were_asked_for_or_its_own(body: dict[str, Any], seconds: float | None):
    assert fault_from(body)["seconds"] == seconds
