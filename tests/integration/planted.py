"""One lie for each check: in the books, in the processor's record, or in what the client says it was told."""

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


def _charge_twice(entries: Entries) -> None:
    add(entries, entry(entries, "confirmed", "authorize"), key="authorize-2", hold="voided")


def _void_what_was_captured(entries: Entries) -> None:
    add(entries, entry(entries, "charged", "capture"), operation="void", key="void-1")


def _refund_before_the_charge(entries: Entries) -> None:
    entry(entries, "refunded", "refund")["sequence"] = 0


def _act_for_nobody(entries: Entries) -> None:
    add(entries, entry(entries, "canceled", "authorize"), payment_id="nobody", key="authorize-1-nobody")


def _capture_something_else(entries: Entries) -> None:
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


def _order_was_paid(lines: list[Line]) -> None:
    like = asked(lines, "pay", "confirmed")[0]
    also(lines, like, status=409, text='{"code": "order_already_paid"}')


def _asked_for_more(lines: list[Line]) -> None:
    for line in asked(lines, "pay", "later"):
        line["body"]["amount"] += 1


def _another_body_is_accepted(lines: list[Line]) -> None:
    asked(lines, "pay", "charged", status=422)[0].update(status=202, text='{"status": "processing"}')


def _another_capture_is_made(lines: list[Line]) -> None:
    first = asked(lines, "capture", "captured", id="capture")[0]
    asked(lines, "capture", "captured", id="another")[0].update(status=200, text=first["text"])


def _cancel_a_charge(lines: list[Line]) -> None:
    also(
        lines, asked(lines, "cancel", "canceled")[0], payment="charged", text=asked(lines, "get", "charged")[0]["text"]
    )


def _refunded_less(lines: list[Line]) -> None:
    for line in asked(lines, "refund", "refunded", id="part", status=201):
        says(line, amount=999)


def _another_refund_is_accepted(lines: list[Line]) -> None:
    asked(lines, "refund", "refunded", id="part", status=422)[0].update(status=202, text='{"status": "pending"}')


def _forget(lines: list[Line], call: str, payment: str, **fields: Any) -> None:
    for line in asked(lines, call, payment, **fields):
        lines.remove(line)


def _shift(ids: list[Any]) -> None:
    ids[0], ids[1] = ids[1], ids[0]


PATH, LAST = "each payment's events are a path", "the last event is how the payment stands"
SUMS = "each payment's row has the journal's sums"
SHOWN = "a walk shows what there is, in its order"

PLANTS = (
    Plant("held twice", {"charged once", SUMS}, processor=_charge_twice),
    Plant("voided after the capture", {"captured within its hold"}, processor=_void_what_was_captured),
    Plant("an order paid by two", {"an order is paid once"}, books=(
        "DROP INDEX one_payment_for_an_order", "UPDATE payments SET order_id = 'order-1' WHERE id = 'later'",
    )),
    Plant("refunded first", {"never more refunded than captured"}, processor=_refund_before_the_charge),
    Plant("a movement under another key", {"each movement is one transaction"}, books=(
        "UPDATE ledger_transactions SET operation_key = 'lost' WHERE payment_id = 'charged' AND operation = 'capture'",
    )),
    Plant("another amount was captured", {
        "each movement is one transaction", SUMS, "told charged is charged",
        "charged as it was asked for", "each balance is the processor's",
    }, processor=_capture_something_else),
    Plant("a row that says less", {SUMS}, books=(
        "UPDATE payments SET amount_captured = 2999 WHERE id = 'captured'",
    )),
    Plant("a charge whose hold was another", {SUMS}, books=(
        "UPDATE payments SET amount_authorized = amount_authorized + 1 WHERE id = 'captured'",
    )),
    Plant("a refund of another amount", {"each refund's row is a refund of the processor"}, books=(
        "UPDATE refunds SET amount = 1001 WHERE id = 'part'",
    )),
    Plant("a hold of a payment that is in no row", {"nothing was done for a payment that has no row"},
          processor=_act_for_nobody),
    Plant("a transaction without postings", {"each transaction balances"}, books=(
        "INSERT INTO ledger_transactions (operation_key, payment_id, operation, processor, processor_reference)"
        " VALUES ('empty', 'charged', 'hold', 'sandbox', 'auth')",
    )),
    Plant("a charge posted to another account", {"each balance is the processor's"}, books=(
        "UPDATE postings SET credit_account = 'refunds' WHERE sequence ="
        " (SELECT min(sequence) FROM postings WHERE credit_account = 'sales')",
    )),
    Plant("a memo of another amount", {"what is held is what is open", SUMS}, books=(
        "UPDATE payments SET amount_authorized = 1 WHERE id = 'held'",
    )),
    Plant("a reservation of another payment", {"what is owed is what is pending"}, books=(
        "UPDATE ledger_transactions SET payment_id = 'charged' WHERE sequence ="
        " (SELECT min(sequence) FROM ledger_transactions WHERE operation = 'refund_reservation')",
    )),
    Plant("told another amount", {"told charged is charged"},
          log=lambda lines: says(asked(lines, "get", "charged")[0], amount_captured=1)),
    Plant("told that another payment had the order", {"told not charged is not charged"}, log=_order_was_paid),
    Plant("asked for another amount", {"charged as it was asked for"}, log=_asked_for_more),
    Plant("another answer to the same request", {"equal requests get equal answers"},
          log=lambda lines: says(asked(lines, "pay", "charged", status=201)[1], more=1)),
    Plant("a key taken for two requests", {"a key belongs to one request"}, log=_another_body_is_accepted),
    Plant("decided, then processing", {"no answer goes back"},
          log=lambda lines: says(also(lines, asked(lines, "get", "charged")[0]), status="processing")),
    Plant("decided, then not found", {"no answer goes back"},
          log=lambda lines: also(lines, asked(lines, "get", "charged")[0], status=404)),
    Plant("nonsense accepted", {"what must be refused is refused"},
          log=lambda lines: asked(lines, "bad", None)[0].update(status=201)),
    Plant("a stack trace", {"no answer is a bug or tells a secret"},
          log=lambda lines: says(asked(lines, "bad", None)[0], detail="Traceback (most recent call last)")),
    Plant("a bug", {"no answer is a bug or tells a secret"},
          log=lambda lines: also(lines, asked(lines, "get", "charged")[0], status=500, text="")),
    Plant("captured by two", {"told captured is captured"}, log=_another_capture_is_made),
    Plant("canceled, but charged", {"told canceled is canceled"}, log=_cancel_a_charge),
    Plant("told another refund", {"told refunded is refunded"}, log=_refunded_less),
    Plant("another answer to the same refund", {"equal refunds get equal answers"},
          log=lambda lines: says(asked(lines, "refund", "refunded", id="part", status=201)[1], more=1)),
    Plant("a refund's key taken for two", {"a refund's key belongs to one request"}, log=_another_refund_is_accepted),
    Plant("shown a refund that was not made", {"every refund that is shown is true"},
          log=lambda lines: asked(lines, "get_refunds", "refunded")[0].update(
              text=asked(lines, "get_refunds", "refunded")[0]["text"].replace('"amount":1000', '"amount":1001'))),
    Plant("a move that there is not", {PATH}, books=(
        "UPDATE payment_events SET type = 'payment.succeeded'"
        " WHERE payment_id = 'captured' AND type = 'payment.authorized'",
    )),
    Plant("a refused refund that succeeds", {"each refund's events are a path"}, books=(
        "UPDATE payment_events SET type = 'refund.refused' WHERE refund_id = 'part' AND type = 'refund.created'",
    )),
    Plant("a number left out", {"the feed has no gaps", SHOWN}, books=(
        "UPDATE event_feed SET sequence = sequence + 1 WHERE sequence = (SELECT max(sequence) FROM event_feed)",
    )),
    Plant("an event that is never numbered", {"every event has its number", SHOWN}, books=(
        "INSERT INTO unfed SELECT position FROM event_feed ORDER BY sequence DESC LIMIT 1",
        "DELETE FROM event_feed WHERE sequence = (SELECT max(sequence) FROM event_feed)",
    )),
    Plant("a status that no event tells", {LAST}, books=(
        "UPDATE payments SET status = 'canceled' WHERE id = 'declined'",
    )),
    Plant("a refund that no event ended", {"the last event is how the refund stands"}, books=(
        "UPDATE payment_events SET type = 'refund.created' WHERE type = 'refund.refused' AND refund_id = 'too-much'",
    )),
    Plant("never decided", {"every payment is decided", LAST}, books=(
        "UPDATE payments SET status = 'processing', answer = NULL WHERE id = 'declined'",
    )),
    Plant("a customer acted for nothing", {"every payment is decided"}, log=lambda lines: lines.insert(
        -1, {"kind": "acted", "at": lines[-1]["at"], "payment": "waits-for-customer"})),
    Plant("unknown and no case", {"what is unknown has its case"}, books=(
        "UPDATE payments SET unknown_operation = 'capture', unknown_since = now(), unknown_next_check = now()"
        " WHERE id = 'held'",
    )),
    Plant("a refund that nobody ends", {
        "no refund is pending", "what is owed is what is pending", "each balance is the processor's",
        "the last event is how the refund stands",
    }, books=(
        "UPDATE refunds SET status = 'pending', failure_code = NULL, failure_message = NULL WHERE id = 'too-much'",
    )),
    Plant("a promise that nobody kept", {"what was promised is decided"},
          log=lambda lines: also(lines, asked(lines, "capture", "captured")[0], payment="held", status=202, text="{}")),
    Plant("a hold left open", {"no hold is forgotten"},
          processor=lambda entries: entry(entries, "canceled", "authorize").update(hold="open")),
    Plant("a payment that nobody asked for", {"what was asked for is there, and nothing else"},
          log=lambda lines: _forget(lines, "pay", "later")),
    Plant("accepted and forgotten", {"what was asked for is there, and nothing else", "what was promised is decided"},
          log=lambda lines: also(lines, asked(lines, "pay", "later")[0], payment="lost", id="lost", status=202)),
    Plant("a refund that nobody asked for", {"each refund was asked for, and what was asked for is there"},
          log=lambda lines: _forget(lines, "refund", "refunded", id="too-much")),
    Plant("a refusal that changed something", {"a refused request changes nothing"},
          log=lambda lines: the(lines, "books").update(hash="another")),
    Plant("shown twice", {"a walk has nothing twice", SHOWN},
          log=lambda lines: (ids := the(lines, "walk", of="payments")["ids"]).insert(0, ids[0])),
    Plant("in another order", {SHOWN}, log=lambda lines: _shift(the(lines, "walk", of="transactions")["ids"])),
    Plant("an event left out", {SHOWN}, log=lambda lines: the(lines, "walk", of="events")["ids"].pop(3)),
    Plant("shown what is not there", {SHOWN},
          log=lambda lines: the(lines, "walk", of="transactions")["ids"].append("txn_999999")),
    Plant("a payment left out", {"a walk shows what somebody was told before it began"},
          log=lambda lines: the(lines, "walk", of="payments")["ids"].remove("charged")),
)  # fmt: skip
