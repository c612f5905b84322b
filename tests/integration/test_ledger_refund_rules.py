"""The rules of refunds, tried with plain SQL: they hold whatever the code above them does."""

from typing import Any

import asyncpg
import pytest

from tests.harness import new_key
from tests.integration import ledger_rows
from tests.integration.ledger_rows import (
    ANSWER,
    Connection,
    a_paid_payment,
    a_payment,
    insert,
    rule_of,
)

db = ledger_rows.db

CHARGED = {"answer": ANSWER, "amount_captured": 4990}
PAYMENTS: list[tuple[str, dict[str, Any]]] = [
    ("refunded_within_captured", {"amount_refunding": -1}),
    ("refunded_within_captured", {"status": "succeeded", "amount_refunding": 4991} | CHARGED),
    ("refunded_means_all", {"status": "refunded", "amount_refunded": 4989} | CHARGED),
    ("refunded_means_all", {"status": "refunded", "answer": ANSWER}),
    ("partially_refunded_means_some", {"status": "partially_refunded"} | CHARGED),
    ("partially_refunded_means_some", {"status": "partially_refunded", "amount_refunded": 4990} | CHARGED),
    ("refunding_means_charged", {"amount_captured": 1, "amount_refunding": 1}),
    ("undone_never_succeeds", {"status": "refunded", "undoing": "{}", "amount_refunded": 4990} | CHARGED),
]


def a_refund(payment: str, **fields: Any) -> dict[str, Any]:
    least = {"payment_id": payment, "id": new_key("r"), "fingerprint": "0" * 64, "amount": 10, "currency": "EUR"}
    return least | {"requested_by": "client", "status": "pending"} | fields


REFUSED = {"status": "failed", "failure_code": "x", "failure_message": "x"}
REFUNDS: list[tuple[str, dict[str, Any]]] = [
    *(("refund_id_is_a_key", {"id": key}) for key in ["", "x" * 256, "a/b", ".", "..", "ü"]),
    *(("refund_fingerprint_is_sha256", {"fingerprint": text}) for text in ["", "0" * 63, "A" * 64]),
    ("refund_status_is_known", {"status": "done"}),
    ("requester_is_known", {"requested_by": "nobody"}),
    ("refund_gives_something_back", {"amount": 0}),
    ("refund_gives_something_back", REFUSED | {"amount": -1}),
    ("refund_failure_is_whole", {"failure_message": "x"}),
    ("failure_explains_failed_refund", {"status": "failed"}),
    ("failure_explains_failed_refund", {"failure_code": "x", "failure_message": "x"}),
    ("succeeded_refund_has_a_reference", {"status": "succeeded"}),
]


@pytest.mark.parametrize(("rule", "fields"), PAYMENTS)
async def test_payment_cannot_break_the_rule(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await insert(db, "payments", **a_payment(**fields))
    assert rule_of(refusal) == rule


@pytest.mark.parametrize(("rule", "fields"), REFUNDS)
async def test_refund_cannot_break_the_rule(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    key = await a_paid_payment(db)
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await insert(db, "refunds", **a_refund(key, **fields))
    assert rule_of(refusal) == rule


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("refund_unknown_is_whole", "unknown_next_check = now()"),
        ("only_a_pending_refund_is_unknown", "unknown_since = now(), unknown_next_check = now()"),
    ],
)
async def test_only_a_refund_under_way_has_an_unknown_outcome(db: Connection, rule: str, change: str) -> None:
    key = await a_paid_payment(db)
    await insert(db, "refunds", **a_refund(key, **REFUSED))
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await db.execute(f"UPDATE refunds SET {change} WHERE payment_id = $1", key)
    assert rule_of(refusal) == rule


async def test_refund_is_of_a_payment_and_its_id_names_one(db: Connection) -> None:
    key = await a_paid_payment(db)
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refusal:
        await insert(db, "refunds", **a_refund(new_key(), **REFUSED))
    assert rule_of(refusal) == "refund_of_payment"
    await insert(db, "refunds", **a_refund(key, id="one", **REFUSED))
    with pytest.raises(asyncpg.UniqueViolationError) as twice:
        await insert(db, "refunds", **a_refund(key, id="one", **REFUSED))
    assert rule_of(twice) == "refunds_pkey"


async def test_refund_is_never_forgotten(db: Connection) -> None:
    key = await a_paid_payment(db)
    await insert(db, "refunds", **a_refund(key, **REFUSED))
    for statement in (f"DELETE FROM refunds WHERE payment_id = '{key}'", "TRUNCATE refunds"):
        with pytest.raises(asyncpg.RestrictViolationError) as refusal:
            await db.execute(statement)
        assert rule_of(refusal) == "append_only"


@pytest.mark.parametrize(
    "change",
    [
        "amount = 11",
        "currency = 'USD'",
        "reason = 'x'",
        "id = 'x'",
        "requested_by = 'operator'",
        "fingerprint = repeat('1', 64)",
        "created_at = now() + '1 s'",
        "status = 'pending', failure_code = NULL",
    ],
)
async def test_refund_stays_what_was_asked_for_and_never_comes_back(db: Connection, change: str) -> None:
    key = await a_paid_payment(db)
    await insert(db, "refunds", **a_refund(key, **REFUSED))
    with pytest.raises(asyncpg.RestrictViolationError) as refusal:
        await db.execute(f"UPDATE refunds SET {change} WHERE payment_id = $1", key)
    assert rule_of(refusal) == "refund_is_fixed"


async def test_refund_under_way_must_be_reserved_in_its_payment_and_the_other_way_round(db: Connection) -> None:
    key = await a_paid_payment(db)
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await insert(db, "refunds", **a_refund(key))
    assert rule_of(refusal) == "refunds_add_up"
    with pytest.raises(asyncpg.CheckViolationError) as other:
        await db.execute("UPDATE payments SET amount_refunding = 10 WHERE id = $1", key)
    assert rule_of(other) == "refunds_add_up"


async def test_order_that_a_full_refund_freed_is_not_held_again_by_its_correction(db: Connection) -> None:
    order = new_key("order")
    key = await a_paid_payment(db, order_id=order)
    await db.execute("UPDATE payments SET order_freed = true WHERE id = $1", key)
    await a_paid_payment(db, order_id=order)
    with pytest.raises(asyncpg.UniqueViolationError) as refusal:
        await db.execute("UPDATE payments SET order_freed = false WHERE id = $1", key)
    assert rule_of(refusal) == "one_payment_for_an_order"
