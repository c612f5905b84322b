"""Every change of a state has its event, whatever statement makes it, and events are for ever. Tried with plain SQL."""

import json
from itertools import pairwise, product
from typing import Any

import asyncpg
import pytest

from payments.state import PaymentStatus
from tests.harness import new_key
from tests.integration import ledger_rows
from tests.integration.ledger_rows import ANSWER, Connection, a_paid_payment, a_payment, insert, rule_of
from tests.integration.test_ledger_refund_rules import REFUSED, a_refund

db = ledger_rows.db

NO = {"failure_code": "no", "failure_message": "No."}
HELD = {"amount_authorized": 4990, "hold_reference": "auth_1"}
CAPTURED = {"amount_captured": 4990, "processor_reference": "cap_1"}
# What a row must say to have the status.
NEEDS: dict[str, dict[str, Any]] = {
    "processing": {"answer": None},
    "requires_action": {"answer": None, "next_action": "{}"},
    "authorized": HELD | {"answer": ANSWER},
    "succeeded": CAPTURED | {"answer": ANSWER},
    "partially_refunded": CAPTURED | {"answer": ANSWER, "amount_refunded": 990},
    "refunded": CAPTURED | {"answer": ANSWER, "amount_refunded": 4990},
    **{status: NO | {"answer": ANSWER} for status in ("declined", "canceled", "failed", "expired")},
}
UNDECIDED = {"processing", "requires_action"}
# An answer is never taken back, so that no statement makes a payment undecided again.
MOVES = [
    (old, new) for old, new in product(NEEDS, repeat=2) if old != new and (old in UNDECIDED or new not in UNDECIDED)
]
BACK = {("refunded", "partially_refunded"), ("refunded", "succeeded"), ("partially_refunded", "succeeded")}

Told = tuple[str, str, dict[str, Any]]


async def told(db: Connection, key: str) -> list[Told]:
    """Type, actor and data of the payment's events."""
    rows = await db.fetch("SELECT * FROM payment_events WHERE payment_id = $1 ORDER BY position", key)
    assert all(before["created_at"] <= after["created_at"] for before, after in pairwise(rows))
    return [(row["type"], row["actor"], json.loads(row["data"])) for row in rows]


async def change(db: Connection, key: str, **fields: Any) -> list[Told]:
    """What this change of the payment's row tells."""
    before = len(await told(db, key))
    columns = ", ".join(f"{name} = ${n}" for n, name in enumerate(fields, 2))
    await db.execute(f"UPDATE payments SET {columns} WHERE id = $1", key, *fields.values())
    return (await told(db, key))[before:]


def test_all_statuses_are_tried() -> None:
    assert set(NEEDS) == {str(status) for status in PaymentStatus}


@pytest.mark.parametrize(("old", "new"), MOVES)
async def test_no_statement_changes_a_status_without_its_event(db: Connection, old: str, new: str) -> None:
    """Also moves that the code never makes. Rolled back: whether money was posted for it is no matter here."""
    transaction = db.transaction()
    await transaction.start()
    key = await insert(db, "payments", **a_payment(status=old, **NEEDS[old]))
    ((type_, _, _),) = await change(db, key, **{"status": new, "amount_captured": 0, "amount_refunded": 0} | NEEDS[new])
    assert type_ == ("payment.refund_reversed" if (old, new) in BACK else f"payment.{new}")
    await transaction.rollback()
    assert await told(db, key) == []


@pytest.mark.parametrize("status", NEEDS)
async def test_payment_is_created_by_the_client_and_what_it_says_at_once_is_told_too(
    db: Connection, status: str
) -> None:
    transaction = db.transaction()
    await transaction.start()
    key = await insert(db, "payments", **a_payment(status=status, **NEEDS[status]))
    first, *rest = await told(db, key)
    assert first == ("payment.created", "client", {"amount": 4990, "currency": "EUR"})
    assert [type_ for type_, _, _ in rest] == ([] if status == "processing" else [f"payment.{status}"])
    await transaction.rollback()


CODE = {"code": "no"}
SAID: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"status": "requires_action"}, "processor", {}),
    ({"status": "authorized"}, "workflow", {"amount_authorized": 4990, "currency": "EUR"}),
    ({"status": "succeeded"}, "workflow", {"amount_captured": 4990, "currency": "EUR"}),
    ({"status": "partially_refunded"}, "workflow", {"amount_refunded": 990, "currency": "EUR"}),
    ({"status": "refunded"}, "workflow", {"amount_refunded": 4990, "currency": "EUR"}),
    ({"status": "declined"}, "processor", CODE),
    ({"status": "failed"}, "workflow", CODE),
    (
        {"status": "failed", "amount_captured": 4990, "amount_refunded": 4990},
        "workflow",
        CODE | {"amount_captured": 4990, "amount_refunded": 4990, "currency": "EUR"},
    ),
    ({"status": "canceled"}, "workflow", CODE),
    *(({"status": "canceled", "undoing": f'{{"by": "{who}"}}'}, who, CODE) for who in ("client", "operator")),
    ({"status": "canceled", "undoing": '{"by": "somebody"}'}, "workflow", CODE),
    ({"status": "canceled", "undoing": "[]"}, "workflow", CODE),
    ({"status": "expired"}, "processor", CODE),
    ({"status": "expired", "undoing": '{"gives_up": false}'}, "processor", CODE),
    ({"status": "expired", "undoing": '{"gives_up": true}'}, "workflow", CODE),
    ({"status": "expired", "undoing": '{"gives_up": true, "by": "processor"}'}, "processor", CODE),
]


@pytest.mark.parametrize(("fields", "actor", "data"), SAID)
async def test_status_is_told_with_who_caused_it_its_amount_or_its_code(
    db: Connection, fields: dict[str, Any], actor: str, data: dict[str, Any]
) -> None:
    transaction = db.transaction()
    await transaction.start()
    key = await insert(db, "payments", **a_payment(undoing=fields.get("undoing")))
    (event,) = await change(db, key, **NEEDS[fields["status"]] | fields)
    assert event == (f"payment.{fields['status']}", actor, data)
    await transaction.rollback()


async def test_customers_confirmation_is_the_processors_word(db: Connection) -> None:
    key = await insert(db, "payments", **a_payment(status="requires_action", next_action="{}"))
    assert await change(db, key, status="processing") == [("payment.processing", "processor", {})]


async def test_unknown_outcome_is_told_once_for_each_operation(db: Connection) -> None:
    key = await insert(db, "payments", **a_payment())
    now = await db.fetchval("SELECT now()")
    unknown = {"unknown_since": now, "unknown_next_check": now}
    for operation in ("authorize", "capture"):
        event = ("payment.outcome_unknown", "workflow", {"operation": operation})
        assert await change(db, key, unknown_operation=operation, **unknown) == [event]
        assert await change(db, key, unknown_operation=operation, **unknown) == []
    assert await change(db, key, undoing="{}") == [("payment.undoing", "workflow", {})]
    assert await change(db, key, unknown_operation=None, unknown_since=None, unknown_next_check=None) == []


@pytest.mark.parametrize(
    ("undoing", "actor", "data"),
    [
        ('{"step": "release", "failure": {"code": "canceled", "message": "x"}, "by": "client"}', "client", "canceled"),
        ('{"step": "release", "failure": {"code": "canceled", "message": "x"}}', "workflow", "canceled"),
        ('{"step": "release", "failure": null}', "workflow", None),
    ],
)
async def test_undoing_is_told_when_it_begins(db: Connection, undoing: str, actor: str, data: str | None) -> None:
    key = await insert(db, "payments", **a_payment())
    said = {"step": "release"} | ({"code": data} if data else {})
    assert await change(db, key, undoing=undoing) == [("payment.undoing", actor, said)]
    assert await change(db, key, undoing='{"step": "undo-charge"}') == []


async def test_capture_is_told_when_it_is_asked_for(db: Connection) -> None:
    key = await insert(db, "payments", **a_payment(status="authorized", **NEEDS["authorized"]))
    said = {"amount": 3000, "currency": "EUR"}
    capturing = '{"key": "ship", "amount": 3000}'
    assert await change(db, key, capturing=capturing) == [("payment.capture_requested", "client", said)]


async def test_every_late_release_and_every_refund_that_was_made_again_is_told(db: Connection) -> None:
    key = await insert(db, "payments", **a_payment(status="failed", **NEEDS["failed"]))
    again = {"amount_refunded": 0, "currency": "EUR"}
    for count in (1, 2):
        assert await change(db, key, late_releases=count) == [("payment.late_hold_released", "workflow", {})]
        assert await change(db, key, late_refunds=count) == [("payment.refunded_again", "workflow", again)]


async def test_change_of_anything_else_is_not_told(db: Connection) -> None:
    key = await a_paid_payment(db)
    now = await db.fetchval("SELECT now()")
    for fields in ({"updated_at": now}, {"order_freed": True}, {"late_releases": 0}, {"status": "succeeded"}):
        assert await change(db, key, **fields) == []


async def test_refunds_events_tell_who_asked_and_what_the_processor_said(db: Connection) -> None:
    key = await a_paid_payment(db)
    ten = {"amount": 10, "currency": "EUR"}
    begun = len(await told(db, key))
    transaction = db.transaction()
    await transaction.start()
    for refund, asked_by in (("good", "client"), ("bad", "operator")):
        await insert(db, "refunds", **a_refund(key, id=refund, requested_by=asked_by))
    await insert(db, "refunds", **a_refund(key, id="refused", requested_by="operator", **REFUSED))
    await insert(db, "refunds", **a_refund(key, id="nonsense", **REFUSED | {"amount": 0}))
    for _ in range(2):
        await db.execute(
            "UPDATE refunds SET unknown_since = now(), unknown_next_check = now() WHERE payment_id = $1 AND id = 'bad'",
            key,
        )
    for refund, status, code in (("good", "succeeded", None), ("bad", "failed", "no"), ("good", "failed", "late")):
        await db.execute(
            """UPDATE refunds SET status = $3, failure_code = $4, failure_message = $4, processor_reference = 're_1',
            unknown_since = NULL, unknown_next_check = NULL WHERE payment_id = $1 AND id = $2""",
            *(key, refund, status, code),
        )
    assert (await told(db, key))[begun:] == [
        ("refund.created", "client", ten),
        ("refund.created", "operator", ten),
        ("refund.refused", "workflow", ten | {"code": "x", "requested_by": "operator"}),
        ("refund.refused", "workflow", {"currency": "EUR", "code": "x", "requested_by": "client"}),
        ("refund.outcome_unknown", "workflow", {}),
        ("refund.succeeded", "processor", ten),
        ("refund.failed", "processor", ten | {"code": "no"}),
        ("refund.reversed", "processor", ten | {"code": "late"}),
    ]
    await transaction.rollback()


BROKEN: list[tuple[str, dict[str, Any]]] = [
    *(("event_is_of_payment_or_refund", {"type": name}) for name in ["", "paid", "order.paid", "Payment.created"]),
    ("actor_is_known", {"actor": "nobody"}),
    ("refund_event_names_its_refund", {"type": "refund.created"}),
    ("refund_event_names_its_refund", {"refund_id": "r"}),
    *(("event_data_is_an_object", {"data": data}) for data in ["[]", "1", '"x"', "null"]),
]


@pytest.mark.parametrize(("rule", "fields"), BROKEN)
async def test_event_cannot_break_the_rule(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    event = {"payment_id": new_key(), "type": "payment.created", "actor": "client"} | fields
    transaction = db.transaction()
    await transaction.start()
    await db.execute("ALTER TABLE payment_events DISABLE TRIGGER written_by_the_change")
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await insert(db, "payment_events", **event)
    assert rule_of(refusal) == rule
    await transaction.rollback()


async def test_event_is_not_written_by_hand(db: Connection) -> None:
    key = await a_paid_payment(db)
    with pytest.raises(asyncpg.RestrictViolationError) as refusal:
        await insert(db, "payment_events", payment_id=key, type="payment.refunded", actor="operator")
    assert rule_of(refusal) == "written_by_the_change"


@pytest.mark.parametrize(
    "statement",
    ["UPDATE payment_events SET actor = 'operator'", "DELETE FROM payment_events", "TRUNCATE payment_events CASCADE"],
)
async def test_events_are_append_only(db: Connection, statement: str) -> None:
    await insert(db, "payments", **a_payment(id=new_key("told")))
    with pytest.raises(asyncpg.RestrictViolationError) as refusal:
        await db.execute(statement)
    assert rule_of(refusal) == "append_only"
