"""The lines of the history are written by what they tell, and never changed. Tried with plain SQL."""

from typing import Any

import asyncpg
import pytest

from tests.harness import new_key
from tests.integration import ledger_rows
from tests.integration.ledger_rows import Connection, a_paid_payment, insert, rule_of

db = ledger_rows.db

BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("line_type_is_known", {"type": "void"}),
    ("line_status_is_known", {"status": "processing"}),
    ("success_is_a_movement", {"status": "succeeded"}),
    ("success_is_a_movement", {"transaction": 1, "amount": 1}),
    ("only_a_movement_has_an_amount", {"amount": 1}),
    ("only_a_movement_has_an_amount", {"status": "succeeded", "type": "capture", "transaction": 1}),
]


@pytest.mark.parametrize(("rule", "fields"), BROKEN)
async def test_line_cannot_break_the_rule(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    line = {"payment_id": new_key(), "type": "payment", "status": "declined", "amount": 0, "currency": "EUR"}
    transaction = db.transaction()
    await transaction.start()
    await db.execute("ALTER TABLE history DISABLE TRIGGER written_by_the_change")
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await insert(db, "history", **line | fields)
    assert rule_of(refusal) == rule
    await transaction.rollback()


async def test_line_is_not_written_by_hand(db: Connection) -> None:
    key = await a_paid_payment(db)
    with pytest.raises(asyncpg.RestrictViolationError) as refusal:
        await insert(db, "history", payment_id=key, type="payment", status="failed", amount=0, currency="EUR")
    assert rule_of(refusal) == "written_by_the_change"


@pytest.mark.parametrize("statement", ["UPDATE history SET amount = 1", "DELETE FROM history", "TRUNCATE history"])
async def test_history_is_append_only(db: Connection, statement: str) -> None:
    await a_paid_payment(db)
    with pytest.raises(asyncpg.RestrictViolationError) as refusal:
        await db.execute(statement)
    assert rule_of(refusal) == "append_only"
