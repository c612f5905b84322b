"""The rules of payments whose customer must confirm first, tried with plain SQL."""

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from tests.integration import ledger_rows
from tests.integration.ledger_rows import Connection, a_payment, insert, rule_of

db = ledger_rows.db

ACTION = '{"reference": "auth_1", "url": "http://bank.example/1"}'
ENDED = datetime(2026, 11, 23, 12, tzinfo=UTC)
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("requires_action_says_which", {"status": "requires_action"}),
    ("requires_action_says_which", {"status": "requires_action", "next_action": ACTION, "action_ended_at": ENDED}),
    ("only_an_action_ends", {"action_ended_at": ENDED}),
    ("late_releases_are_counted", {"late_releases": -1}),
    ("late_refunds_are_counted", {"late_refunds": -1}),
]


@pytest.mark.parametrize(("rule", "fields"), BROKEN)
async def test_action_cannot_break_the_rule(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await insert(db, "payments", **a_payment(**fields))
    assert rule_of(refusal) == rule
