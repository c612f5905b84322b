"""Runs of reconciliation and their cases, and what they may not be. Tried with plain SQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.harness import new_key
from tests.integration import ledger_rows
from tests.integration.ledger_rows import Connection, insert, rule_of

db = ledger_rows.db
NOW = datetime.now(UTC)


def a_run(**fields: Any) -> dict[str, Any]:
    least = {"id": new_key("run"), "source": "record", "processor": "sandbox"}
    return least | {"period_from": NOW - timedelta(days=1), "period_to": NOW} | fields


async def a_case(db: Connection, **fields: Any) -> dict[str, Any]:
    run = fields.get("reconciliation") or await insert(db, "reconciliations", **a_run())
    least = {"reconciliation": run, "difference": "missing_there", "source": "record", "processor": "sandbox"}
    what = {"operation": "capture", "reference": new_key("cap"), "amount_here": 4990, "currency_here": "EUR"}
    return least | what | {"happened_at": NOW, "evidence": "{}"} | fields


async def refused(db: Connection, table: str, **row: Any) -> str | None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
        await insert(db, table, **row)
    return rule_of(refusal)


async def changed(db: Connection, statement: str, number: int) -> str | None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
        await db.execute(statement, number)
    return rule_of(refusal)


async def test_run_has_a_known_source_a_period_and_a_name_of_its_own(db: Connection) -> None:
    run = a_run()
    await insert(db, "reconciliations", **run)
    assert await refused(db, "reconciliations", **run) == "reconciliations_pkey"
    assert await refused(db, "reconciliations", **a_run(source="memory")) == "source_is_known"
    assert await refused(db, "reconciliations", **a_run(period_from=NOW)) == "period_has_a_length"


async def test_item_belongs_to_a_run_and_moves_something_known(db: Connection) -> None:
    item = {"reconciliation": await insert(db, "reconciliations", **a_run()), "operation": "capture"}
    item |= {"reference": "cap_1", "amount": 1, "currency": "EUR", "line": 0}
    assert await refused(db, "settlement_items", **item | {"reconciliation": "none"}) == "item_of_reconciliation"
    assert await refused(db, "settlement_items", **item | {"operation": "fee"}) == "item_operation_is_known"
    assert await refused(db, "settlement_items", **item | {"amount": 0}) == "item_moves_something"


async def test_case_is_of_a_run_and_of_known_words(db: Connection) -> None:
    for fields, rule in (
        ({"reconciliation": "none"}, "case_of_reconciliation"),
        ({"difference": "odd"}, "difference_is_known"),
        ({"status": "forgotten", "resolved_at": NOW, "reason": "so"}, "case_status_is_known"),
        ({"status": "resolved"}, "case_ends_with_a_reason"),
        ({"status": "resolved", "resolved_at": NOW}, "case_ends_with_a_reason"),
        ({"reason": "none"}, "case_ends_with_a_reason"),
    ):
        assert await refused(db, "reconciliation_cases", **await a_case(db, **fields)) == rule


async def test_same_difference_is_one_case_unless_both_sides_agreed_in_between(db: Connection) -> None:
    case = await a_case(db)
    number = await insert(db, "reconciliation_cases", **case)
    assert await refused(db, "reconciliation_cases", **case) == "case_is_found_once"
    end = "UPDATE reconciliation_cases SET status = $2, resolved_at = now(), reason = 'so' WHERE number = $1"
    await db.execute(end, number, "closed")
    number = await insert(db, "reconciliation_cases", **case)
    await db.execute(end, number, "resolved")
    assert await refused(db, "reconciliation_cases", **case) == "case_is_found_once"


async def test_case_is_ended_once_and_nothing_else_of_it_changes(db: Connection) -> None:
    number = await insert(db, "reconciliation_cases", **await a_case(db))
    of_case = "WHERE number = $1"
    alter = f"UPDATE reconciliation_cases SET amount_here = 1 {of_case}"
    assert await changed(db, alter, number) == "case_is_only_ended"
    assert await changed(db, f"DELETE FROM reconciliation_cases {of_case}", number) == "append_only"
    end = "UPDATE reconciliation_cases SET status = 'resolved', resolved_at = now(), reason = 'so' WHERE number = $1"
    await db.execute(end, number)
    assert await changed(db, end, number) == "case_is_only_ended"
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
        await db.execute("TRUNCATE reconciliation_cases")
    assert rule_of(refusal) == "append_only"


async def test_nobody_chooses_the_number_of_a_case(db: Connection) -> None:
    case = await a_case(db)
    number = await insert(db, "reconciliation_cases", **case)
    columns = ", ".join(case)
    copy = f"INSERT INTO reconciliation_cases (number, {columns}) OVERRIDING SYSTEM VALUE SELECT number, {columns}"
    statement = f"{copy} FROM reconciliation_cases WHERE number = $1"
    closed = "UPDATE reconciliation_cases SET status = 'closed', resolved_at = now(), reason = 'so' WHERE number = $1"
    await db.execute(closed, number)
    assert await changed(db, statement, number) == "reconciliation_cases_pkey"
