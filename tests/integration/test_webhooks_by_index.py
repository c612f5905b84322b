"""What is asked each second for each endpoint reads a few rows, however many events and deliveries there are."""

from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from ledger.queries import QUERIES
from tests.contract import test_ledger_chain

dsn = test_ledger_chain.dsn
EVENTS = 50_000

# All but the last ten are deliveries: half of them wait for their time, half of them for the event before them.
_FILL = f"""
    SET session_replication_role = replica;
    INSERT INTO payment_events (payment_id, type, actor)
        SELECT 'p' || n % {EVENTS // 2}, 'payment.created', 'client' FROM generate_series(1, {EVENTS}) AS n;
    INSERT INTO event_feed SELECT position, position FROM payment_events;
    INSERT INTO webhook_endpoints (id, url, reached) VALUES ('we_1', 'https://shop.invalid', {EVENTS - 10});
    INSERT INTO webhook_deliveries (endpoint, sequence, payment_id, next_attempt_at)
        SELECT 'we_1', n, 'p' || n % {EVENTS // 2}, CASE WHEN n <= {EVENTS // 2} THEN now() END
        FROM generate_series(1, {EVENTS - 10}) AS n;
    ANALYZE;
    SET plan_cache_mode = force_generic_plan;
"""


@pytest_asyncio.fixture
async def db(dsn: str) -> AsyncGenerator[Any]:
    connection = await asyncpg.connect(dsn)
    await connection.execute(_FILL)
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("webhook_news", "'we_1'"),
        ("due_deliveries", "'we_1', now(), '{}', 8"),
        ("next_of_payment", "'we_1', 'p7', now()"),
        ("hurry", "'we_1', now(), true"),
        ("enqueue_deliveries", f"'we_1', {EVENTS - 10}, 500, NULL, now()"),
        ("deliveries_page_of_status", "'we_1', 'failed', 1000, 10"),
    ],
)
async def test_few_rows_are_read(db: Any, name: str, arguments: str) -> None:
    await db.execute(f"PREPARE planned AS {QUERIES[name]}")
    transaction = db.transaction()
    await transaction.start()
    rows = await db.fetch(f"EXPLAIN (ANALYZE, BUFFERS) EXECUTE planned ({arguments})")
    await transaction.rollback()
    plan = "\n".join(row[0] for row in rows)
    # The few endpoints that there can be are a table of one page.
    assert "Seq Scan" not in plan.replace("Seq Scan on webhook_endpoints", ""), plan
