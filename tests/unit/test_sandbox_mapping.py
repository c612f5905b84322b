"""What the sandbox's answers mean. What can't be read is never a decline: that would cost a customer's money."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.port import NotExecuted, OutcomeUnknown
from gateways.sandbox.mapping import outcome_of, recorded_outcome, request_for
from payments.money import Money
from payments.operations import (
    Authorize,
    Capture,
    Declined,
    Executed,
    Operation,
    Outcome,
    Refund,
    RequiresAction,
    Void,
)

DONE: dict[str, Any] = {
    "id": "cap_1",
    "operation": "capture",
    "key": "capture-1-aa",
    "status": "succeeded",
    "payment_id": "p-1",
    "amount": 4990,
    "currency": "EUR",
}
EXECUTED = Executed(reference="cap_1", payment_id="p-1", amount=4990, currency="EUR")
ERROR = {"error": {"code": "card_declined", "message": "No.", "type": "card_error"}}
DECLINED = Declined(code="card_declined", message="No.")
MONEY = Money(amount=4990, currency="EUR")
HTML = b"<html><body>502 Bad Gateway</body></html>"
UNREADABLE = {
    "html": HTML,
    "nothing": b"",
    "cut off": json.dumps(DONE).encode()[:-20],
    "not utf-8": json.dumps(DONE).encode().replace(b"p-1", b"\xff\xfe"),
    "a list": b"[]",
    "null": b"null",
    "a text": b'"succeeded"',
    "an empty object": b"{}",
    "deep": b"[" * 5000,
}
WRONG = {
    "amount is a float": {"amount": 4990.0},
    "amount is a fraction": {"amount": 49.9},
    "amount is a text": {"amount": "4990"},
    "amount is a bool": {"amount": True},
    "amount is null": {"amount": None},
    "currency is null": {"currency": None},
    "currency is a number": {"currency": 978},
    "id is empty": {"id": ""},
    "id is a number": {"id": 1},
    "payment_id is null": {"payment_id": None},
    "payment_id is a number": {"payment_id": 1},
    "status is pending": {"status": "pending"},
    "status is failed": {"status": "failed"},
    "status is null": {"status": None},
}


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_200_is_executed_in_the_processors_own_words() -> None:
    assert outcome_of(200, body(DONE)) == EXECUTED
    assert outcome_of(200, body(DONE | {"amount": 1, "currency": "USD", "payment_id": "p-2"})) == Executed(
        reference="cap_1", payment_id="p-2", amount=1, currency="USD"
    )


@pytest.mark.parametrize("status", [400, 402])
def test_refusal_is_a_decline(status: int) -> None:
    assert outcome_of(status, body(ERROR)) == DECLINED


@pytest.mark.parametrize("status", [401, 403, 429])
@pytest.mark.parametrize("content", [body(ERROR), HTML, b""])
def test_refused_unread_is_not_executed(status: int, content: bytes) -> None:
    with pytest.raises(NotExecuted):
        outcome_of(status, content)


@pytest.mark.parametrize(
    "status", [201, 202, 204, 301, 302, 307, 308, 404, 405, 408, 409, 410, 413, 422, 499, 500, 502, 503, 504, 520, 599]
)
@pytest.mark.parametrize("content", [body(DONE), body(ERROR), HTML, b""])
def test_any_other_status_leaves_the_outcome_unknown_whatever_it_says(status: int, content: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        outcome_of(status, content)


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("status", [200, 400, 402])
def test_body_that_cannot_be_read_leaves_the_outcome_unknown(status: int, content: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        outcome_of(status, content)


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_confirmation_with_a_wrong_field_leaves_the_outcome_unknown(wrong: dict[str, Any]) -> None:
    for read in (outcome_of, recorded_outcome):
        with pytest.raises(OutcomeUnknown):
            read(200, body(DONE | wrong))


@pytest.mark.parametrize("field", ["id", "status", "payment_id", "amount", "currency"])
def test_confirmation_without_a_field_leaves_the_outcome_unknown(field: str) -> None:
    lacking = {name: value for name, value in DONE.items() if name != field}
    for read in (outcome_of, recorded_outcome):
        with pytest.raises(OutcomeUnknown):
            read(200, body(lacking))


@pytest.mark.parametrize("error", [{}, None, "no", {"code": 1, "message": "x"}, {"code": "x"}, {"message": "x"}])
def test_refusal_without_a_code_leaves_the_outcome_unknown(error: Any) -> None:
    with pytest.raises(OutcomeUnknown):
        outcome_of(402, body({"error": error}))


def test_key_that_was_used_with_another_body_leaves_the_outcome_unknown() -> None:
    """Something was executed under it. A decline would say that nothing was."""
    with pytest.raises(OutcomeUnknown):
        outcome_of(400, body({"error": {"code": "idempotency_key_reused", "message": "Other body."}}))


def test_key_that_is_still_executing_leaves_the_outcome_unknown() -> None:
    with pytest.raises(OutcomeUnknown):
        outcome_of(409, body({"error": {"code": "idempotency_key_in_use", "message": "Later."}}))


@given(st.integers(100, 599), st.binary() | st.sampled_from([*UNREADABLE.values(), body(DONE), body({"error": DONE})]))
def test_nothing_but_a_readable_word_is_executed_or_declined(status: int, content: bytes) -> None:
    try:
        outcome = outcome_of(status, content)
    except (OutcomeUnknown, NotExecuted):
        return
    assert (status, content, outcome) == (200, body(DONE), EXECUTED)


def test_record_of_an_execution_is_executed() -> None:
    assert recorded_outcome(200, body(DONE)) == EXECUTED


@pytest.mark.parametrize(
    "nonsense",
    ["", "soon", 0, -1, 10**20, True, [], "2026-11-23T10:00:00", "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", None],
)
def test_hold_whose_end_makes_no_sense_is_a_hold_all_the_same(nonsense: Any) -> None:
    for read in (outcome_of, recorded_outcome):
        outcome = read(200, body(DONE | {"expires_at": nonsense}))
        assert isinstance(outcome, Executed)
        assert outcome.expires_at is None


def test_end_of_a_hold_is_read_with_its_time_zone() -> None:
    outcome = outcome_of(200, body(DONE | {"expires_at": "2026-11-30T10:00:00Z"}))
    assert isinstance(outcome, Executed)
    assert outcome.expires_at == datetime(2026, 11, 30, 10, tzinfo=UTC)


def test_capture_of_a_hold_that_has_lapsed_is_declined_and_says_so() -> None:
    error = {"error": {"code": "authorization_expired", "message": "Too late."}}
    assert outcome_of(400, body(error)) == Declined(code="authorization_expired", message="Too late.", lapsed=True)


def test_refund_that_failed_later_is_declined_by_its_record_and_never_by_a_reply() -> None:
    failed = body(DONE | {"status": "failed"} | ERROR)
    assert recorded_outcome(200, failed) == DECLINED
    with pytest.raises(OutcomeUnknown):
        outcome_of(200, failed)


URL = "http://bank.example/actions/1"
WAITING = DONE | {"status": "requires_action", "next_action": {"type": "redirect_to_url", "url": URL}}


@pytest.mark.parametrize("read", [outcome_of, recorded_outcome])
def test_authorization_that_waits_for_its_customer_says_where_they_go_until_when(
    read: Callable[[int, bytes], Outcome | None],
) -> None:
    action = RequiresAction(reference="cap_1", url=URL)
    assert read(200, body(WAITING)) == action
    until = datetime(2026, 11, 23, 12, tzinfo=UTC)
    in_time = action.model_copy(update={"expires_at": until})
    assert read(200, body(WAITING | {"expires_at": until.isoformat()})) == in_time
    # When it ends is a hint; nonsense in it is no reason not to send the customer there.
    assert read(200, body(WAITING | {"expires_at": "soon"})) == action


@pytest.mark.parametrize(
    "change",
    [
        {"next_action": None},
        {"next_action": {"type": "use_app", "url": URL}},
        {"next_action": {"type": "redirect_to_url", "url": "javascript:alert(1)"}},
        {"next_action": {"type": "redirect_to_url", "url": "http://bank.example/a b"}},
        {"next_action": {"type": "redirect_to_url", "url": f"{URL}{'a' * 3000}"}},
    ],
)
def test_action_that_no_customer_could_take_leaves_the_outcome_unknown(change: dict[str, Any]) -> None:
    with pytest.raises(OutcomeUnknown):
        outcome_of(200, body(WAITING | change))


@pytest.mark.parametrize(
    ("word", "hold"),
    [("open", "open"), ("captured", "captured"), ("voided", "ended"), ("expired", "ended"), ("frozen", None)],
)
def test_record_of_a_hold_says_how_it_stands(word: str, hold: str | None) -> None:
    found = recorded_outcome(200, body(DONE | {"hold": word}))
    assert isinstance(found, Executed)
    assert found.hold == hold


def test_customer_who_came_too_late_lets_the_payment_lapse() -> None:
    error = {"error": {"code": "authentication_expired", "message": "Too late."}}
    found = recorded_outcome(200, body(DONE | {"status": "declined"} | error))
    assert found == Declined(code="authentication_expired", message="Too late.", lapsed=True)


def test_record_of_a_decline_is_declined() -> None:
    assert recorded_outcome(200, body(DONE | {"status": "declined"} | ERROR)) == DECLINED


@pytest.mark.parametrize("error", [None, {}, {"code": "card_declined"}])
def test_record_of_a_decline_without_a_reason_is_unknown(error: Any) -> None:
    with pytest.raises(OutcomeUnknown):
        recorded_outcome(200, body(DONE | {"status": "declined", "error": error}))


def test_no_record_is_none() -> None:
    assert recorded_outcome(404, body({"error": {"code": "operation_not_found", "message": "Nothing."}})) is None


@pytest.mark.parametrize("content", [HTML, b"", body({"error": {"code": "not_found", "message": "No such page"}})])
def test_404_that_is_not_about_the_operation_is_unknown(content: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        recorded_outcome(404, content)


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 403, 409, 410, 429, 500, 503])
@pytest.mark.parametrize("content", [body(DONE), body(ERROR), HTML])
def test_look_up_that_was_not_answered_is_unknown(status: int, content: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        recorded_outcome(status, content)


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_record_that_cannot_be_read_is_unknown(content: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        recorded_outcome(200, content)


@pytest.mark.parametrize(
    ("operation", "path", "subject"),
    [
        (Authorize(payment_id="p-1", money=MONEY, payment_method="x"), "/v1/authorizations", {"payment_method": "x"}),
        (Capture(payment_id="p-1", money=MONEY, authorization="x"), "/v1/captures", {"authorization": "x"}),
        (Void(payment_id="p-1", money=MONEY, authorization="x"), "/v1/voids", {"authorization": "x"}),
        (Refund(payment_id="p-1", money=MONEY, capture="x"), "/v1/refunds", {"capture": "x"}),
    ],
)
def test_operation_is_sent_with_its_money_and_its_subject(
    operation: Operation, path: str, subject: dict[str, str]
) -> None:
    assert request_for(operation) == (path, {"payment_id": "p-1", "amount": 4990, "currency": "EUR"} | subject)
