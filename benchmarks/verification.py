"""Compares what was asked for with the books and with the processor's own journal. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.jobs import Mismatch, Sent
from payments.identifiers import OperationKind, operation_key

_EVERY_CHARGE = (OperationKind.AUTHORIZE, OperationKind.CAPTURE)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row of payments joined both ways to ledger transactions and postings; None where there is no partner."""

    payment_id: str
    status: str | None
    amount: int | None
    currency: str | None
    amount_captured: int | None
    operation_key: str | None
    operation: str | None
    posted_amount: int | None
    posted_currency: str | None


@dataclass(frozen=True, slots=True)
class Done:
    """One entry of the processor's journal: an effect that it really had."""

    operation: str
    key: str
    payment_id: str
    amount: int
    currency: str


Entry = TypeVar("Entry", Recorded, Done)


def mismatches(
    sent: Iterable[Sent], recorded: Iterable[Recorded], done: Iterable[Done], waiting: Iterable[Sent] = ()
) -> list[Mismatch]:
    """Every difference, by payment: an empty list says that each payment was held, charged and recorded once, with
    the right amount, that nothing has happened to those still `waiting` for the processor, and that neither the books
    nor the processor know of anything else."""
    asked = {payment.payment_id: payment for payment in sent}
    held_up = {payment.payment_id: payment for payment in waiting}
    rows, effects = _by_payment(recorded), _by_payment(done)
    found: list[Mismatch] = []
    for payment_id in sorted(asked.keys() | held_up.keys() | rows.keys() | effects.keys()):
        row, entries = rows.get(payment_id, []), effects.get(payment_id, [])
        if (payment := asked.get(payment_id)) is not None:
            problems = [*_differences(_paid(payment), row), *_wrong_at_the_processor(payment, entries)]
        elif (payment := held_up.get(payment_id)) is not None:
            problems = [*_differences(_processing(payment), row), *_early(entries)]
        else:
            problems = ["nobody asked for it"]
        found += [Mismatch(payment_id, problem) for problem in problems]
    return found


def _by_payment(entries: Iterable[Entry]) -> Mapping[str, list[Entry]]:
    grouped: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        grouped[entry.payment_id].append(entry)
    return grouped


def _paid(payment: Sent) -> Recorded:
    return Recorded(
        payment_id=payment.payment_id,
        status="succeeded",
        amount=payment.amount,
        currency=payment.currency,
        amount_captured=payment.amount,
        operation_key=operation_key(OperationKind.CAPTURE, payment.payment_id),
        operation=OperationKind.CAPTURE,
        posted_amount=payment.amount,
        posted_currency=payment.currency,
    )


def _processing(payment: Sent) -> Recorded:
    return Recorded(
        payment_id=payment.payment_id,
        status="processing",
        amount=payment.amount,
        currency=payment.currency,
        amount_captured=0,
        operation_key=None,
        operation=None,
        posted_amount=None,
        posted_currency=None,
    )


def _differences(expected: Recorded, rows: Sequence[Recorded]) -> list[str]:
    if len(rows) != 1:
        return [f"{len(rows)} rows of payment, transaction and posting instead of 1"]
    return [
        f"{name} is {getattr(rows[0], name)} in the ledger instead of {getattr(expected, name)}"
        for name in Recorded.__slots__
        if getattr(rows[0], name) != getattr(expected, name)
    ]


def _early(entries: Sequence[Done]) -> list[str]:
    return [f"{entry.operation} at the processor, which has only told it to wait" for entry in entries]


def _wrong_at_the_processor(payment: Sent, entries: Sequence[Done]) -> list[str]:
    problems: list[str] = []
    for kind in _EVERY_CHARGE:
        count = sum(entry.operation == kind for entry in entries)
        if count != 1:
            problems.append(f"{count} times {kind} at the processor instead of once")
    problems += [
        f"{entry.operation} at the processor, which nobody asked for"
        for entry in entries
        if entry.operation not in _EVERY_CHARGE
    ]
    for entry in entries:
        if (entry.amount, entry.currency) != (payment.amount, payment.currency):
            problems.append(
                f"{entry.operation} of {entry.amount} {entry.currency} at the processor"
                f" instead of {payment.amount} {payment.currency}"
            )
        elif entry.operation in _EVERY_CHARGE and entry.key != operation_key(
            OperationKind(entry.operation), payment.payment_id
        ):
            problems.append(f"{entry.operation} under another key, {entry.key}")
    return problems
