"""Every page is read along an index, from its first row to its last, however many rows there are and whatever they are
chosen by: shown on tables that are large enough for PostgreSQL to have a choice."""

import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from ledger.connections import READING
from ledger.queries import QUERIES
from tests.harness import Servers

ROWS = 40_000
PAGE = 50
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

# One a second. Rare ones stand far apart: one of 400 in another currency, one of 100 declined, one of 1,000 failed.
_PAYMENTS = """
    INSERT INTO payments (id, fingerprint, request, amount, currency, customer, order_id, first_run, created_at,
        status, answer, failure_code, failure_message, amount_captured)
    SELECT 'key-' || n, repeat('0', 64), '{"description": "Two books"}', 1,
        CASE WHEN n % 400 = 0 THEN 'KWD' ELSE 'EUR' END,
        'cus_' || n % 500, 'order-' || n, 'run', $2::timestamptz + n * interval '1 second',
        CASE WHEN n % 1000 = 0 THEN 'failed' WHEN n % 100 = 0 THEN 'declined' ELSE 'succeeded' END, '{}', 'x', 'x',
        (n % 100 <> 0)::int
    FROM generate_series(1, $1::int) AS n
"""
_TRANSACTIONS = """
    INSERT INTO ledger_transactions (operation_key, payment_id, operation, processor, processor_reference)
    SELECT 'capture-' || id, id, 'capture', 'sandbox', 'ref' FROM payments WHERE status = 'succeeded'
"""
_REFUNDS = """
    INSERT INTO refunds (payment_id, id, fingerprint, amount, currency, requested_by, status)
    SELECT id, 'refund', repeat('0', 64), 1, currency, 'client', 'pending' FROM payments WHERE status = 'succeeded'
"""
_LINES = """
    INSERT INTO history (payment_id, type, status, amount, currency, customer, order_id, transaction, created_at)
    SELECT p.id, CASE status WHEN 'succeeded' THEN 'capture' ELSE 'payment' END, status, amount_captured,
        currency, customer, order_id, t.sequence, p.created_at
    FROM payments p LEFT JOIN ledger_transactions t ON t.payment_id = p.id ORDER BY p.created_at
"""


@pytest_asyncio.fixture(scope="module")
async def dsn(servers: Servers) -> AsyncGenerator[str]:
    async with servers.another_database() as dsn:
        db = await asyncpg.connect(dsn)
        # Rows alone, no rules: there are no books behind them.
        await db.execute("SET session_replication_role = replica")
        await db.execute(_PAYMENTS, ROWS, BEGIN)
        for statement in (_TRANSACTIONS, _REFUNDS, _LINES):
            await db.execute(statement)
        await db.execute("VACUUM ANALYZE")
        await db.close()
        yield dsn


MIDDLE = BEGIN + timedelta(seconds=ROWS // 2)
# Parameters by number, and the index.
CHOSEN: dict[str, tuple[dict[int, Any], str]] = {
    "nothing": ({}, "by_time"),
    "from a place on": ({7: MIDDLE}, "by_time"),
    "last page": ({7: BEGIN + timedelta(seconds=20)}, "by_time"),
    "time": ({5: BEGIN + timedelta(seconds=100), 6: MIDDLE}, "by_time"),
    "customer": ({1: "cus_7"}, "of_customer"),
    "customer from a place on": ({1: "cus_7", 7: MIDDLE}, "of_customer"),
    "customer and time": ({1: "cus_7", 6: MIDDLE}, "of_customer"),
    "order": ({2: "order-7"}, "of_order"),
    "rare currency": ({3: "KWD"}, "by_currency"),
    "rare currency from a place on": ({3: "KWD", 7: MIDDLE}, "by_currency"),
    "common currency": ({3: "EUR", 7: MIDDLE}, "by_"),
    "rare status": ({4: "failed"}, "by_status"),
    "rare status from a place on": ({4: "declined", 7: MIDDLE}, "by_status"),
    "common status": ({4: "succeeded", 6: MIDDLE}, "by_time"),
    "common status and rare currency": ({3: "KWD", 4: "succeeded"}, "by_currency"),
}


@pytest.mark.parametrize("chosen", CHOSEN)
@pytest.mark.parametrize("table", ["payments", "history"])
async def test_page_is_read_along_an_index(dsn: str, table: str, chosen: str) -> None:
    given, index = CHOSEN[chosen]
    values: dict[int, Any] = dict.fromkeys(range(1, 9), None) | given | {9: PAGE}
    if 7 in given:
        values[8] = "key-1" if table == "payments" else 1
    if table == "history":
        values[10] = None
    plan = await explained(dsn, QUERIES[f"{table}_page"], [values[n] for n in sorted(values)])
    assert any(f"{table}_{index}" in name for name in plan.indexes), plan
    assert "refunds_pkey" in plan.indexes
    assert plan.scanned == set(), plan
    assert plan.removed <= 10 * PAGE, plan


class Plan:
    """What PostgreSQL really did."""

    def __init__(self, node: dict[str, Any]) -> None:
        self.indexes: set[str] = set()
        self.scanned: set[str] = set()
        self.removed = 0
        self._add(node)

    def _add(self, node: dict[str, Any]) -> None:
        if "Index Name" in node:
            self.indexes.add(node["Index Name"])
        if node["Node Type"] == "Seq Scan":
            self.scanned.add(node["Relation Name"])
        self.removed += node.get("Rows Removed by Filter", 0) * node.get("Actual Loops", 1)
        for child in node.get("Plans", []):
            self._add(child)

    def __repr__(self) -> str:
        return f"along {self.indexes}, all of {self.scanned}, {self.removed} rows read in vain"


async def explained(dsn: str, statement: str, values: list[Any]) -> Plan:
    """As the lists' own connections would run it."""
    connection = await asyncpg.connect(dsn, server_settings=READING)
    try:
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
    finally:
        await connection.close()
    return Plan(json.loads(rows[0][0])[0]["Plan"])
