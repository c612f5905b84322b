"""The rules of webhook events, tried with plain SQL."""

from typing import Any

import asyncpg
import pytest

from tests.harness import new_key
from tests.integration import ledger_rows
from tests.integration.ledger_rows import Connection, insert, rule_of

db = ledger_rows.db


def an_event(**fields: Any) -> dict[str, Any]:
    least = {"processor": "sandbox", "id": new_key("evt"), "type": "refund.failed", "concerns": "refund"}
    return least | {"payment_id": new_key()} | fields


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("webhook_event_is_plain", {"id": ""}),
    ("webhook_event_is_plain", {"id": "evt 1"}),
    ("webhook_event_is_plain", {"id": "e" * 256}),
    ("webhook_event_is_plain", {"id": "evt_1\n"}),
    ("webhook_event_is_plain", {"type": "é"}),
    ("webhook_event_is_plain", {"type": "t" * 101}),
    ("webhook_event_is_plain", {"payment_id": "p" * 256}),
    ("webhook_concern_is_known", {"concerns": "capture"}),
    ("webhook_outcome_is_known", {"outcome": "lost", "delivered_at": "now"}),
    ("webhook_outcome_has_a_time", {"outcome": "delivered"}),
    ("webhook_outcome_has_a_time", {"delivered_at": "now"}),
]


@pytest.mark.parametrize(("rule", "fields"), BROKEN)
async def test_event_cannot_break_the_rule(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    if "delivered_at" in fields:
        fields = fields | {"delivered_at": await db.fetchval("SELECT now()")}
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await insert(db, "webhook_events", **an_event(**fields))
    assert rule_of(refusal) == rule


async def test_event_is_there_once(db: Connection) -> None:
    event = an_event()
    await insert(db, "webhook_events", **event)
    with pytest.raises(asyncpg.UniqueViolationError) as refusal:
        await insert(db, "webhook_events", **event | {"type": "other"})
    assert rule_of(refusal) == "webhook_events_pkey"


@pytest.mark.parametrize(
    "change",
    [
        "processor = 'stripe'",
        "id = id || 'x'",
        "type = 'other'",
        "concerns = 'other'",
        "payment_id = 'other'",
        "received_at = received_at - interval '1 second'",
    ],
)
async def test_event_stays_as_it_came(db: Connection, change: str) -> None:
    event = an_event()
    await insert(db, "webhook_events", **event)
    with pytest.raises(asyncpg.RestrictViolationError) as refusal:
        await db.execute(f"UPDATE webhook_events SET {change} WHERE id = $1", event["id"])
    assert rule_of(refusal) == "webhook_event_is_fixed"


@pytest.mark.parametrize(
    "change", ["outcome = 'ignored'", "outcome = NULL, delivered_at = NULL", "delivered_at = 'epoch'"]
)
async def test_what_became_of_it_stays(db: Connection, change: str) -> None:
    event = an_event(outcome="delivered", delivered_at=await db.fetchval("SELECT now()"))
    await insert(db, "webhook_events", **event)
    with pytest.raises(asyncpg.RestrictViolationError) as refusal:
        await db.execute(f"UPDATE webhook_events SET {change} WHERE id = $1", event["id"])
    assert rule_of(refusal) == "webhook_event_is_fixed"


async def test_who_looks_after_payments_may_give_up_one_that_can_not_be_delivered(db: Connection) -> None:
    event = an_event()
    await insert(db, "webhook_events", **event)
    await db.execute("UPDATE webhook_events SET outcome = 'ignored', delivered_at = now() WHERE id = $1", event["id"])


@pytest.mark.parametrize("statement", ["DELETE FROM webhook_events WHERE id = '{}'", "TRUNCATE webhook_events"])
async def test_event_is_never_forgotten(db: Connection, statement: str) -> None:
    event = an_event()
    await insert(db, "webhook_events", **event)
    with pytest.raises(asyncpg.RestrictViolationError) as refusal:
        await db.execute(statement.format(event["id"]))
    assert rule_of(refusal) == "append_only"
