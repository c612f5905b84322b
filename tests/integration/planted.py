"""One lie for each check at least."""

from tests.integration.lying import (
    Plant,
    act_for_nobody,
    also,
    another_body_is_accepted,
    another_capture_is_made,
    another_refund_is_accepted,
    answer,
    asked,
    asked_for_more,
    cancel_a_charge,
    capture_something_else,
    captured_another_part,
    captured_by_whom_was_refused,
    charge_twice,
    entry,
    forget,
    made_though_refused,
    never_told,
    order_was_paid,
    refund_and_take_back_once_more,
    refund_before_the_charge,
    refunded_another_part,
    refunded_less,
    says,
    shift,
    signal,
    the,
    void_what_was_captured,
)

STANDS, MADE = "everybody can see how it stands", "each refund was asked for, and what was asked for is there"
THERE_IS, REFUNDED = "each answer is one that there is", "refunded as it was asked for"
PATH, LAST = "each payment's events are a path", "the last event is how the payment stands"
SUMS = "each payment's row has the journal's sums"
SHOWN = "a walk shows what there is, in its order"

PLANTS = (
    Plant("held twice", {"charged once", SUMS}, processor=charge_twice),
    Plant("voided after the capture", {"captured within its hold"}, processor=void_what_was_captured),
    Plant("an order paid by two", {"an order is paid once"}, books=(
        "DROP INDEX one_payment_for_an_order", "UPDATE payments SET order_id = 'order-1' WHERE id = 'later'",
    )),
    Plant("refunded first", {"never more refunded than captured"}, processor=refund_before_the_charge),
    Plant("a movement under another key", {"each movement is one transaction"}, books=(
        "UPDATE ledger_transactions SET operation_key = 'lost' WHERE payment_id = 'charged' AND operation = 'capture'",
    )),
    Plant("another amount was captured", {
        "each movement is one transaction", SUMS, "told charged is charged",
        "charged as it was asked for", "each balance is the processor's",
    }, processor=capture_something_else),
    Plant("a row that says less", {SUMS, STANDS}, books=(
        "UPDATE payments SET amount_captured = 2999 WHERE id = 'captured'",
    )),
    Plant("a charge whose hold was another", {SUMS}, books=(
        "UPDATE payments SET amount_authorized = amount_authorized + 1 WHERE id = 'captured'",
    )),
    Plant("a refund of another amount", {"each refund's row is a refund of the processor"}, books=(
        "UPDATE refunds SET amount = 1001 WHERE id = 'part'",
    )),
    Plant("refunded twice and sent back twice", {
        "each movement is one transaction", "each refund's row is a refund of the processor",
    }, processor=refund_and_take_back_once_more),
    Plant("a hold of a payment that is in no row", {
        "nothing was done for a payment that has no row", "charged as it was asked for",
    }, processor=act_for_nobody),
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
    Plant("a reservation of another payment", {"what is owed is what is pending", REFUNDED}, books=(
        "UPDATE ledger_transactions SET payment_id = 'charged' WHERE sequence = (SELECT min(sequence)"
        " FROM ledger_transactions WHERE operation = 'refund_reservation' AND payment_id = 'refunded')",
    )),
    Plant("told another amount", {"told charged is charged"},
          log=lambda lines: says(asked(lines, "get", "charged")[0], amount_captured=1)),
    Plant("told that another payment had the order", {"told not charged is not charged", THERE_IS},
          log=order_was_paid),
    Plant("asked for another amount", {"charged as it was asked for"}, log=asked_for_more),
    Plant("another answer to the same request", {"equal requests get equal answers"},
          log=lambda lines: says(asked(lines, "pay", "charged", status=201)[1], more=1)),
    Plant("a key taken for two requests", {"a key belongs to one request"}, log=another_body_is_accepted),
    Plant("decided, then processing", {"no answer goes back", STANDS},
          log=lambda lines: says(also(lines, asked(lines, "get", "charged")[0]), status="processing")),
    Plant("decided, then not found", {"no answer goes back", STANDS, THERE_IS},
          log=lambda lines: also(lines, asked(lines, "get", "charged")[0], status=404)),
    Plant("nonsense accepted", {"what must be refused is refused"},
          log=lambda lines: asked(lines, "bad", None)[0].update(status=201)),
    Plant("a stack trace", {"no answer is a bug or tells a secret"},
          log=lambda lines: says(asked(lines, "bad", None)[0], detail="Traceback (most recent call last)")),
    Plant("a bug", {"no answer is a bug or tells a secret", THERE_IS, STANDS},
          log=lambda lines: also(lines, asked(lines, "get", "charged")[0], status=500, text="")),
    Plant("captured by two", {"told captured is captured"}, log=another_capture_is_made),
    Plant("canceled, but charged", {"told canceled is canceled"}, log=cancel_a_charge),
    Plant("told another refund", {"told refunded is refunded"}, log=refunded_less),
    Plant("another answer to the same refund", {"equal refunds get equal answers"},
          log=lambda lines: says(asked(lines, "refund", "refunded", id="part", status=201)[1], more=1)),
    Plant("a refund's key taken for two", {"a refund's key belongs to one request"}, log=another_refund_is_accepted),
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
    Plant("a number left out", {"the feed has no gaps", SHOWN, "a walk at rest shows every event"}, books=(
        "UPDATE event_feed SET sequence = sequence + 1 WHERE sequence = (SELECT max(sequence) FROM event_feed)",
    )),
    Plant("an event that is never numbered", {
        "every event has its number", SHOWN, "a walk at rest shows every event",
    }, books=(
        "INSERT INTO unfed SELECT position FROM event_feed ORDER BY sequence DESC LIMIT 1",
        "DELETE FROM event_feed WHERE sequence = (SELECT max(sequence) FROM event_feed)",
    )),
    Plant("a status that no event tells", {LAST, STANDS}, books=(
        "UPDATE payments SET status = 'canceled' WHERE id = 'declined'",
    )),
    Plant("a refund that no event ended", {"the last event is how the refund stands"}, books=(
        "UPDATE payment_events SET type = 'refund.created' WHERE type = 'refund.refused' AND refund_id = 'too-much'",
    )),
    Plant("never decided", {"every payment is decided", LAST, STANDS}, books=(
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
    Plant("a payment that nobody asked for", {
        "what was asked for is there, and nothing else", "charged as it was asked for", "captured as it was asked for",
    }, log=lambda lines: forget(lines, "pay", "later")),
    Plant("accepted and forgotten", {"what was asked for is there, and nothing else", "what was promised is decided"},
          log=lambda lines: also(lines, asked(lines, "pay", "later")[0], payment="lost", id="lost", status=202)),
    Plant("a refund that nobody asked for", {MADE},
          log=lambda lines: forget(lines, "refund", "refunded", id="too-much")),
    Plant("a refusal that changed something", {"a refused request changes nothing"},
          log=lambda lines: the(lines, "books").update(hash="another")),
    Plant("shown twice", {"a walk has nothing twice", SHOWN},
          log=lambda lines: (ids := the(lines, "walk", of="payments")["ids"]).insert(0, ids[0])),
    Plant("in another order", {SHOWN}, log=lambda lines: shift(the(lines, "walk", of="transactions")["ids"])),
    Plant("an event left out", {SHOWN}, log=lambda lines: the(lines, "walk", of="events")["ids"].pop(3)),
    Plant("shown what is not there", {SHOWN},
          log=lambda lines: the(lines, "walk", of="transactions")["ids"].append("txn_999999")),
    Plant("an event left out at rest", {"a walk at rest shows every event"},
          log=lambda lines: the(lines, "walk", at_rest=True)["ids"].pop()),
    Plant("asked for another amount and never told", {"charged as it was asked for"}, log=never_told),
    Plant("asked for another capture", {"captured as it was asked for", "told captured is captured"},
          log=captured_another_part),
    Plant("captured by whom was refused", {"captured as it was asked for"}, log=captured_by_whom_was_refused),
    Plant("captured and still held", {"told captured is captured"},
          log=lambda lines: says(asked(lines, "capture", "captured", id="capture")[0], status="authorized")),
    Plant("asked for another refund", {REFUNDED, "told refunded is refunded"},
          log=lambda lines: refunded_another_part(lines, amount=998)),
    Plant("asked for all of the rest", {REFUNDED}, log=refunded_another_part),
    Plant("another refund by signal", {REFUNDED}, log=lambda lines: the(lines, "signal").update(amount=199)),
    Plant("a signal that was taken and forgotten", {MADE}, log=lambda lines: signal(lines, refund_id="forgotten")),
    Plant("refused and made", {REFUNDED, "told not refunded is not refunded"}, log=made_though_refused),
    Plant("seen by nobody", {STANDS}, log=lambda lines: forget(lines, "get", "later")),
    Plant("seen otherwise", {STANDS},
          log=lambda lines: says(asked(lines, "get", "refunded")[-1], amount_refunded=1)),
    *(
        Plant(f"a {call} answered {status} {code}", {THERE_IS},
              log=lambda lines, of=(call, payment, status, code): answer(lines, *of))
        for call, payment, status, code in (
            ("pay", "later", 400, "malformed_json"), ("pay", "later", 404, "payment_not_found"),
            ("pay", "later", 409, "payment_not_capturable"), ("pay", "later", 422, "validation_failed"),
            ("pay", "later", 429, "rate_limited"), ("pay", "later", 502, "bad_gateway"),
            ("refund", "refunded", 404, "payment_not_found"), ("refund", "declined", 409, "order_already_paid"),
            ("capture", "captured", 409, "payment_not_cancelable"), ("cancel", "canceled", 422, "validation_failed"),
        )
    ),
    Plant("reused by nobody", {THERE_IS, "a key belongs to one request"},
          log=lambda lines: answer(lines, "pay", "later", 422, "idempotency_key_reused")),
    Plant("a payment left out", {"a walk shows what somebody was told before it began"},
          log=lambda lines: the(lines, "walk", of="payments")["ids"].remove("charged")),
)  # fmt: skip
