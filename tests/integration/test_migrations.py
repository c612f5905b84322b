"""Migrations are applied once, whoever starts them and how often, and never half."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from ledger import migrate as module
from ledger.migrate import MigrationChanged, digest, migrate, migrations
from tests.harness import Servers
from tests.integration.ledger_rows import ANSWER, a_payment, insert
from tests.integration.test_ledger_refund_rules import a_refund


@pytest_asyncio.fixture
async def dsn(servers: Servers) -> AsyncGenerator[str]:
    """An empty database."""
    async with servers.empty_database() as dsn:
        yield dsn


@asynccontextmanager
async def connected(dsn: str) -> AsyncGenerator[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def run(dsn: str) -> list[str]:
    async with connected(dsn) as connection:
        return await migrate(connection)


async def applied(dsn: str) -> dict[str, str]:
    async with connected(dsn) as connection:
        return dict(await connection.fetch("SELECT name, sha256 FROM schema_migrations"))


async def tables(dsn: str) -> set[str]:
    async with connected(dsn) as connection:
        return {row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def known(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    monkeypatch.setattr(module, "migrations", lambda: files)
    # Of tables that aren't among these.
    monkeypatch.setattr(module, "grants", lambda: "SELECT")


async def test_four_runners_at_once_apply_each_migration_once(dsn: str) -> None:
    results = await asyncio.gather(*(run(dsn) for _ in range(4)))
    assert sorted(results, key=len) == [[], [], [], list(migrations())]
    assert await applied(dsn) == {name: digest(sql) for name, sql in migrations().items()}
    assert await tables(dsn) >= {"payments", "ledger_transactions", "postings", "accounts"}


async def test_running_again_applies_nothing(dsn: str) -> None:
    await run(dsn)
    before = await applied(dsn)
    assert await run(dsn) == []
    assert await applied(dsn) == before


async def test_new_migration_is_applied_after_the_old_ones(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"0001_a.sql": "CREATE TABLE a (n int)"}
    known(monkeypatch, first)
    await run(dsn)
    known(monkeypatch, first | {"0002_b.sql": "ALTER TABLE a RENAME TO b", "0003_c.sql": "CREATE TABLE c ()"})
    assert await run(dsn) == ["0002_b.sql", "0003_c.sql"]
    assert await tables(dsn) == {"b", "c", "schema_migrations"}


@pytest.mark.parametrize("now", [{"0001_a.sql": "CREATE TABLE a (n bigint)"}, {}])
async def test_migration_that_was_edited_or_removed_after_it_was_applied_is_refused(
    dsn: str, monkeypatch: pytest.MonkeyPatch, now: dict[str, str]
) -> None:
    known(monkeypatch, {"0001_a.sql": "CREATE TABLE a (n int)"})
    await run(dsn)
    known(monkeypatch, now | {"0002_b.sql": "CREATE TABLE b ()"})
    with pytest.raises(MigrationChanged, match=r"0001_a\.sql"):
        await run(dsn)
    assert await tables(dsn) == {"a", "schema_migrations"}


async def test_failing_migration_leaves_nothing_half_done_and_can_be_mended(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {"0001_a.sql": "CREATE TABLE a (n int)"}
    known(monkeypatch, first | {"0002_b.sql": "CREATE TABLE b (n int); INSERT INTO b VALUES (1); SELECT 1 / 0;"})
    with pytest.raises(asyncpg.DivisionByZeroError):
        await run(dsn)
    assert await tables(dsn) == {"a", "schema_migrations"}
    assert await applied(dsn) == {"0001_a.sql": digest(first["0001_a.sql"])}
    known(monkeypatch, first | {"0002_b.sql": "CREATE TABLE b (n int)"})
    assert await run(dsn) == ["0002_b.sql"]


async def test_failing_migration_does_not_keep_others_waiting(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, {"0001_a.sql": "SELECT 1 / 0"})
    async with connected(dsn) as connection, asyncio.timeout(5):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate(connection)
        known(monkeypatch, {"0001_a.sql": "CREATE TABLE a ()"})
        assert await run(dsn) == ["0001_a.sql"]


# Reference and failure code: a refund that was refused by us, is under way, succeeded, was declined, failed later.
OLD_REFUNDS = [
    ("refused", "failed", None, "refund_exceeds_refundable"),
    ("pending", "pending", None, None),
    ("good", "succeeded", "re_1", None),
    ("declined", "failed", None, "card_declined"),
    ("reversed", "failed", "re_2", "refund_failed"),
]


async def test_payments_that_are_older_than_the_timeline_are_told_as_far_as_their_rows_tell(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, {name: sql for name, sql in migrations().items() if name < "0006"})
    await run(dsn)
    async with connected(dsn) as db:
        # The books of these payments are no matter here.
        await db.execute("SET session_replication_role = replica; SET timezone = 'UTC'")
        decided = {"answer": ANSWER, "processor_reference": "ref_1", "updated_at": datetime(2026, 2, 1, tzinfo=UTC)}
        refunded = decided | {"status": "partially_refunded", "amount_captured": 4990, "amount_refunded": 10}
        failure = {"failure_code": "no", "failure_message": "No."}
        for fields in (
            a_payment(id="processing"),
            a_payment(id="declined", **decided | failure | {"status": "declined"}),
            a_payment(id="refunded", **refunded),
        ):
            await insert(db, "payments", **fields | {"created_at": datetime(2026, 1, 1, tzinfo=UTC)})
        for n, (refund, status, reference, code) in enumerate(OLD_REFUNDS):
            failure = {"failure_code": code, "failure_message": code}
            at = {
                "created_at": datetime(2026, 1, 2 + n, tzinfo=UTC),
                "updated_at": datetime(2026, 1, 20 + n, tzinfo=UTC),
            }
            fields = a_refund("refunded", id=refund, status=status, processor_reference=reference)
            await insert(db, "refunds", **fields | failure | at)
        known(monkeypatch, migrations())
        assert "0006_payment_events.sql" in await migrate(db)
        rows = await db.fetch("SELECT * FROM payment_events ORDER BY position")
    assert [row["created_at"] for row in rows] == sorted(row["created_at"] for row in rows)
    told = {
        key: [(r["type"], r["actor"]) for r in rows if r["payment_id"] == key] for key in ("processing", "declined")
    }
    created = ("payment.created", "client")
    assert told == {"processing": [created], "declined": [created, ("payment.declined", "processor")]}
    old = [(row["type"], row["refund_id"], row["reference"]) for row in rows if row["payment_id"] == "refunded"]
    assert old == [
        ("payment.created", None, None),
        ("refund.refused", "refused", None),
        *(("refund.created", refund, None) for refund, *_ in OLD_REFUNDS[1:]),
        ("refund.succeeded", "good", "re_1"),
        ("refund.failed", "declined", None),
        ("refund.reversed", "reversed", "re_2"),
        ("payment.partially_refunded", None, None),
    ]


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [name[:5] for name in migrations()] == [f"{n:04}_" for n in range(1, len(migrations()) + 1)]
