"""Rows of the books, written with plain SQL past the code that normally writes them."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

import ledger
from tests.harness import Servers, new_key

Connection = Any  # asyncpg's class is generic for type checkers only
MIGRATIONS = (Path(str(ledger.__file__)).parent / "migrations").glob("*.sql")
SQL = "\n".join(file.read_text(encoding="utf-8") for file in sorted(MIGRATIONS))
RECEIVABLE = "processor_receivable:sandbox"
ANSWER = '{"status": "decided"}'


@pytest_asyncio.fixture
async def db(servers: Servers) -> AsyncGenerator[Connection]:
    connection = await asyncpg.connect(servers.postgres.dsn)
    await connection.executemany(
        "INSERT INTO accounts (name, currency) VALUES ($1, 'EUR') ON CONFLICT DO NOTHING", [(RECEIVABLE,), ("sales",)]
    )
    yield connection
    await connection.close()


async def insert(db: Connection, table: str, **fields: Any) -> Any:
    """A row, as far as `fields` say; returns its first column."""
    names, places = ", ".join(fields), ", ".join(f"${n}" for n in range(1, len(fields) + 1))
    statement = f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING {table}.*"
    return (await db.fetchrow(statement, *fields.values()))[0]


def a_payment(**fields: Any) -> dict[str, Any]:
    least = {"id": new_key("rule"), "fingerprint": "0" * 64, "request": "{}", "amount": 4990, "currency": "EUR"}
    return least | {"first_run": "run-1", "processor": "sandbox"} | fields


def a_posting(of_transaction: int, **fields: Any) -> dict[str, Any]:
    sides = {"debit_account": RECEIVABLE, "credit_account": "sales"}
    return {"transaction": of_transaction, "amount": 4990, "currency": "EUR"} | sides | fields


async def a_transaction(db: Connection, payment: str, operation: str = "capture", **fields: Any) -> int:
    row = {"operation_key": new_key(operation), "payment_id": payment, "operation": operation}
    more = {"processor": "sandbox", "processor_reference": "ref"}
    return await insert(db, "ledger_transactions", **row | more | fields)


async def a_recorded_posting(db: Connection, key: str, **fields: Any) -> None:
    """A posting with its transaction, both checked at once."""
    async with db.transaction():
        await insert(db, "postings", **a_posting(await a_transaction(db, key), **fields))
        await db.execute("SET CONSTRAINTS ALL IMMEDIATE")


async def a_paid_payment(db: Connection, **fields: Any) -> str:
    async with db.transaction():
        paid = {"status": "succeeded", "amount_captured": 4990, "answer": ANSWER}
        key = await insert(db, "payments", **a_payment(**paid | fields))
        await insert(db, "postings", **a_posting(await a_transaction(db, key)))
    return key


def rule_of(error: pytest.ExceptionInfo[asyncpg.PostgresError]) -> str | None:
    return getattr(error.value, "constraint_name", None)
