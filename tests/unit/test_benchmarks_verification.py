"""The comparison of what was asked for with the books and the processor's journal: it must not overlook anything."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.jobs import Sent
from benchmarks.load import answer_problem
from benchmarks.verification import Done, Recorded, mismatches
from payments.identifiers import OperationKind, operation_key

SENT = [Sent("first", 4990), Sent("second", 1200)]
ANSWER = {"id": "first", "status": "succeeded", "amount": 4990, "amount_captured": 4990, "currency": "EUR"}


def recorded(payment: Sent) -> Recorded:
    return Recorded(
        payment_id=payment.payment_id,
        status="succeeded",
        amount=payment.amount,
        currency=payment.currency,
        amount_captured=payment.amount,
        operation_key=operation_key(OperationKind.CAPTURE, payment.payment_id),
        operation="capture",
        posted_amount=payment.amount,
        posted_currency=payment.currency,
    )


def done(payment: Sent, kind: OperationKind) -> Done:
    key = operation_key(kind, payment.payment_id)
    return Done(str(kind), key, payment.payment_id, payment.amount, payment.currency)


def books() -> list[Recorded]:
    return [recorded(payment) for payment in SENT]


def journal() -> list[Done]:
    return [done(payment, kind) for payment in SENT for kind in (OperationKind.AUTHORIZE, OperationKind.CAPTURE)]


def wrong(
    rows: list[Recorded], entries: list[Done], sent: list[Sent] = SENT, waiting: Sequence[Sent] = ()
) -> list[str]:
    """The payments that the comparison names."""
    return sorted({mismatch.payment_id for mismatch in mismatches(sent, rows, entries, waiting)})


def test_nothing_is_wrong_when_all_agree() -> None:
    assert wrong(books(), journal()) == []


@pytest.mark.parametrize("missing", range(4))
def test_an_effect_that_the_processor_lacks(missing: int) -> None:
    entries = journal()
    gone = entries.pop(missing)
    assert wrong(books(), entries) == [gone.payment_id]


@pytest.mark.parametrize("doubled", range(4))
def test_an_effect_that_the_processor_had_twice(doubled: int) -> None:
    again = replace(journal()[doubled], key="another-key")
    assert wrong(books(), [*journal(), again]) == [again.payment_id]


@pytest.mark.parametrize("different", [{"amount": 4991}, {"currency": "USD"}, {"key": "another-key"}])
@pytest.mark.parametrize("which", [0, 1])
def test_an_effect_that_differs(which: int, different: dict[str, Any]) -> None:
    entries = journal()
    entries[which] = replace(entries[which], **different)
    assert wrong(books(), entries) == ["first"]


@pytest.mark.parametrize("kind", [OperationKind.VOID, OperationKind.REFUND])
def test_an_effect_that_nobody_asked_for(kind: OperationKind) -> None:
    assert wrong(books(), [*journal(), done(SENT[1], kind)]) == ["second"]


def test_a_charge_of_an_unknown_payment() -> None:
    assert wrong(books(), [*journal(), done(Sent("stray", 1), OperationKind.CAPTURE)]) == ["stray"]


def test_a_row_of_an_unknown_payment() -> None:
    assert wrong([*books(), recorded(Sent("stray", 1))], journal()) == ["stray"]


def test_a_payment_that_the_books_lack() -> None:
    assert wrong(books()[1:], journal()) == ["first"]


def test_a_charge_that_was_posted_twice() -> None:
    assert wrong([*books(), books()[0]], journal()) == ["first"]


@pytest.mark.parametrize(
    "different",
    [
        {"status": "processing"},
        {"amount": 4991},
        {"currency": "USD"},
        {"amount_captured": 0},
        {"operation_key": "another-key"},
        {"operation": "refund"},
        {"operation_key": None, "operation": None, "posted_amount": None, "posted_currency": None},
        {"posted_amount": 4991},
        {"posted_currency": "USD"},
    ],
)
def test_a_row_that_differs(different: dict[str, Any]) -> None:
    rows = books()
    rows[0] = replace(rows[0], **different)
    assert wrong(rows, journal()) == ["first"]


def test_a_payment_that_never_arrived() -> None:
    assert wrong(books(), journal(), [*SENT, Sent("third", 1)]) == ["third"]


WAITING = Sent("waiting", 300)
PROCESSING = Recorded("waiting", "processing", 300, "EUR", 0, None, None, None, None)


def test_a_payment_that_waits_has_a_row_and_nothing_else() -> None:
    assert wrong([*books(), PROCESSING], journal(), waiting=[WAITING]) == []
    assert wrong(books(), journal(), waiting=[WAITING]) == ["waiting"]


@pytest.mark.parametrize("kind", [OperationKind.AUTHORIZE, OperationKind.CAPTURE])
def test_a_payment_that_waits_must_not_have_moved_money(kind: OperationKind) -> None:
    assert wrong([*books(), PROCESSING], [*journal(), done(WAITING, kind)], waiting=[WAITING]) == ["waiting"]


def test_a_payment_that_waits_must_not_be_decided() -> None:
    assert wrong([*books(), recorded(WAITING)], journal(), waiting=[WAITING]) == ["waiting"]


def test_a_mismatch_says_what_is_wrong() -> None:
    (mismatch,) = mismatches(SENT, books(), journal()[:-1])
    assert str(mismatch) == "second: 0 times capture at the processor instead of once"


def test_a_good_answer() -> None:
    assert answer_problem(SENT[0], 201, ANSWER) is None


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (202, ANSWER),
        (0, "no answer"),
        (201, "no JSON"),
        (201, ANSWER | {"status": "processing"}),
        (201, ANSWER | {"id": "second"}),
        (201, ANSWER | {"amount_captured": 0}),
        (201, ANSWER | {"currency": "USD"}),
    ],
)
def test_an_answer_that_is_no_success(status: int, answer: object) -> None:
    assert answer_problem(SENT[0], status, answer) is not None


def test_who_asked_for_no_outcome_must_be_told_that_it_goes_on() -> None:
    taken = ANSWER | {"status": "processing", "amount_captured": 0}
    assert answer_problem(SENT[0], 202, taken, asynchronous=True) is None
    assert answer_problem(SENT[0], 202, ANSWER, asynchronous=True) is not None
    assert answer_problem(SENT[0], 201, ANSWER, asynchronous=True) is not None
    assert answer_problem(SENT[0], 503, taken, asynchronous=True) is not None
