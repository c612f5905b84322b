"""The rules of holds that wait for their capture, tried with plain SQL."""

from typing import Any

import asyncpg
import pytest

from tests.integration import ledger_rows
from tests.integration.ledger_rows import ANSWER, Connection, a_payment, insert, rule_of

db = ledger_rows.db

HELD = {"status": "authorized", "answer": ANSWER, "amount_authorized": 4990, "hold_reference": "auth_1"}
ORDER = '{"key": "ship"}'
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("authorized_means_held", HELD | {"amount_authorized": 0}),
    ("authorized_means_held", HELD | {"hold_reference": None}),
    ("authorized_means_held", HELD | {"amount_captured": 1}),
    ("only_a_hold_is_captured", {"capturing": ORDER}),
    ("captured_is_not_canceled", HELD | {"status": "canceled", "capturing": ORDER}),
    ("succeeded_means_charged", HELD | {"status": "succeeded", "amount_captured": 3000}),
    ("succeeded_means_charged", HELD | {"status": "succeeded", "amount_captured": 4991, "capturing": ORDER}),
    ("succeeded_means_charged", HELD | {"status": "succeeded", "amount_captured": 0, "capturing": ORDER}),
    ("undone_never_succeeds", HELD | {"status": "succeeded", "amount_captured": 4990, "undoing": "{}"}),
]


@pytest.mark.parametrize(("rule", "fields"), BROKEN)
async def test_hold_cannot_break_the_rule(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await insert(db, "payments", **a_payment(**fields))
    assert rule_of(refusal) == rule


@pytest.mark.parametrize("change", ["capturing = NULL", """capturing = '{"key": "other"}'"""])
async def test_capture_that_was_asked_for_first_stays(db: Connection, change: str) -> None:
    key = await insert(db, "payments", **a_payment(**HELD, capturing=ORDER))
    with pytest.raises(asyncpg.RestrictViolationError) as refusal:
        await db.execute(f"UPDATE payments SET {change} WHERE id = $1", key)
    assert rule_of(refusal) == "capture_is_fixed"
