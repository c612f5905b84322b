"""Every statement is one that PostgreSQL understands with our schema, and one that the code sends."""

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

import ledger
from ledger.queries import QUERIES
from tests.harness import Servers

LEDGER = Path(str(ledger.__file__)).parent
CODE = "\n".join(file.read_text(encoding="utf-8") for file in LEDGER.glob("*.py"))


@pytest_asyncio.fixture
async def db(servers: Servers) -> AsyncGenerator[Any]:
    connection = await asyncpg.connect(servers.postgres.dsn)
    yield connection
    await connection.close()


@pytest.mark.parametrize("name", QUERIES)
async def test_statement_can_be_prepared(db: Any, name: str) -> None:
    numbers = {int(number) for number in re.findall(r"\$(\d+)", QUERIES[name])}
    statement = await db.prepare(QUERIES[name])
    assert len(statement.get_parameters()) == len(numbers) == max(numbers, default=0)


def test_statements_are_exactly_those_that_the_code_names() -> None:
    assert set(re.findall(r"QUERIES\[\"(\w+)\"\]", CODE)) == set(QUERIES)


def test_no_statement_hides_behind_another() -> None:
    """One that lacks its name line would be sent with the one before it."""
    words = re.compile(r"^(INSERT|UPDATE|SELECT|DELETE|WITH)\b", re.MULTILINE)
    assert {name for name, sql in QUERIES.items() if len(words.findall(sql)) != 1} == set()


def test_every_change_is_of_one_payment_in_a_known_state_or_locked() -> None:
    """Refunds change a charged payment's row; their statements run after `lock`, in one transaction."""
    changing = {name: sql for name, sql in QUERIES.items() if re.search(r"\bUPDATE payments|\bDELETE\b", sql)}
    assert {name for name, sql in changing.items() if "WHERE id = $1" not in sql} == set()
    unguarded = {name for name, sql in changing.items() if "WHERE id = $1 AND status" not in sql}
    assert unguarded == {"reserve_for_refund", "apply_refund"}


@pytest.mark.parametrize("name", [name for name, sql in QUERIES.items() if "WHERE" in sql])
async def test_statement_finds_its_rows_by_an_index(db: Any, name: str) -> None:
    """Planned for any parameters. Where there is no index for it, PostgreSQL reads the table even if told not to."""
    await db.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
    await db.execute(f"PREPARE planned AS {QUERIES[name]}")
    nothing = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", QUERIES[name]))))
    given = f"({nothing})" if nothing else ""
    plan = "\n".join(row[0] for row in await db.fetch(f"EXPLAIN EXECUTE planned {given}"))
    assert re.search(r"Index (Only )?Scan", plan), plan
    assert "Seq Scan" not in plan, plan
