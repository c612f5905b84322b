"""How to lie: in the books, in the processor's record, or in what the client says it was told."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.integration.told import Line

Entries = list[dict[str, Any]]


@dataclass(frozen=True)
class Plant:
    """What is changed, and the names of the checks that find it: those and no others."""

    what: str
    found_by: set[str]
    books: tuple[str, ...] = ()
    processor: Callable[[Entries], object] = field(default=lambda entries: None)
    log: Callable[[list[Line]], object] = field(default=lambda lines: None)


# The processor's record.


def entry(entries: Entries, payment: str, operation: str) -> dict[str, Any]:
    return next(e for e in entries if (e["payment_id"], e["operation"]) == (payment, operation))


def add(entries: Entries, like: dict[str, Any], **fields: Any) -> None:
    entries.append(like | {"sequence": max(e["sequence"] for e in entries) + 1} | fields)


def charge_twice(entries: Entries) -> None:
    add(entries, entry(entries, "confirmed", "authorize"), key="authorize-2", hold="voided")


def void_what_was_captured(entries: Entries) -> None:
    add(entries, entry(entries, "charged", "capture"), operation="void", key="void-1")


def refund_before_the_charge(entries: Entries) -> None:
    entry(entries, "refunded", "refund")["sequence"] = 0


def refund_and_take_back_once_more(entries: Entries) -> None:
    for operation in ("refund", "refund_failed"):
        add(entries, entry(entries, "sent-back-unheard", operation), key=f"refund-1-{'f' * 32}", reference="re_another")


def act_for_nobody(entries: Entries) -> None:
    add(entries, entry(entries, "canceled", "authorize"), payment_id="nobody", key="authorize-1-nobody")


def capture_something_else(entries: Entries) -> None:
    entry(entries, "charged", "capture")["amount"] -= 1


# The client's log.


def asked(lines: list[Line], call: str, payment: str | None, **fields: Any) -> list[Line]:
    wanted = {"call": call, "payment": payment} | fields
    found = [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]
    assert found, f"nobody has asked for {wanted}"
    return found


def says(line: Line, **fields: Any) -> Line:
    line["text"] = json.dumps(json.loads(line["text"]) | fields)
    return line


def also(lines: list[Line], like: Line, **fields: Any) -> Line:
    """One more line, before the last one."""
    at = lines[-1]["at"]
    lines.insert(-1, like | {"at": at, "sent_at": at} | fields)
    return lines[-2]


def the(lines: list[Line], kind: str, **fields: Any) -> Line:
    wanted = {"kind": kind} | fields
    return next(line for line in lines if all(line.get(name) == value for name, value in wanted.items()))


def order_was_paid(lines: list[Line]) -> None:
    like = asked(lines, "pay", "confirmed")[0]
    also(lines, like, status=409, text='{"code": "order_already_paid"}')


def asked_for_more(lines: list[Line]) -> None:
    for line in asked(lines, "pay", "later"):
        line["body"]["amount"] += 1


def another_body_is_accepted(lines: list[Line]) -> None:
    asked(lines, "pay", "charged", status=422)[0].update(status=202, text='{"status": "processing"}')


def another_capture_is_made(lines: list[Line]) -> None:
    first = asked(lines, "capture", "captured", id="capture")[0]
    asked(lines, "capture", "captured", id="another")[0].update(status=200, text=first["text"])


def cancel_a_charge(lines: list[Line]) -> None:
    also(
        lines, asked(lines, "cancel", "canceled")[0], payment="charged", text=asked(lines, "get", "charged")[0]["text"]
    )


def refunded_less(lines: list[Line]) -> None:
    for line in asked(lines, "refund", "refunded", id="part", status=201):
        says(line, amount=999)


def another_refund_is_accepted(lines: list[Line]) -> None:
    asked(lines, "refund", "refunded", id="part", status=422)[0].update(status=202, text='{"status": "pending"}')


def refunded_another_part(lines: list[Line], **body: int) -> None:
    """That is: asked for another one, and told the truth."""
    for line in asked(lines, "refund", "refunded", id="part", status=201):
        line["body"] = body


def made_though_refused(lines: list[Line]) -> None:
    for line in asked(lines, "refund", "refunded", id="rest"):
        line.update(status=409, text='{"code": "refund_exceeds_refundable"}')


def captured_another_part(lines: list[Line]) -> None:
    for line in asked(lines, "capture", "captured", id="capture"):
        line["body"]["amount"] = 2999


def captured_by_whom_was_refused(lines: list[Line]) -> None:
    for line in asked(lines, "capture", "captured", id="capture"):
        line.update(status=409, text='{"code": "payment_not_capturable"}')


def never_told(lines: list[Line]) -> None:
    """What was asked for, with another amount."""
    for line in asked(lines, "pay", "later"):
        line.update(status=None, text=None)
        line["body"]["amount"] += 1


def answer(lines: list[Line], call: str, payment: str, status: int, code: str, **fields: Any) -> None:
    """Answered so, before anything else was, on which it may depend."""
    also(lines, asked(lines, call, payment, **fields)[0], status=status, text=json.dumps({"code": code}))


def signal(lines: list[Line], **fields: Any) -> Line:
    at = lines[-1]["at"]
    lines.insert(-1, {"kind": "signal", "at": at, "payment": "charged", "amount": 1, "taken": True} | fields)
    return lines[-2]


def forget(lines: list[Line], call: str, payment: str, **fields: Any) -> None:
    for line in asked(lines, call, payment, **fields):
        lines.remove(line)


def shift(ids: list[Any]) -> None:
    ids[0], ids[1] = ids[1], ids[0]
