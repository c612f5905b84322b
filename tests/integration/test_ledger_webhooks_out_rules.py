"""The rules of webhooks that we send, tried with plain SQL."""

import secrets
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tests.integration import ledger_rows
from tests.integration.ledger_rows import Connection, a_payment, insert, rule_of

books = ledger_rows.db
URL = "https://rules.invalid"


@pytest_asyncio.fixture
async def db(books: Connection) -> AsyncGenerator[Connection]:
    """Leaves no endpoint, which payments of other tests would be sent to."""
    yield books
    await books.execute("UPDATE webhook_endpoints SET deleted_at = now() WHERE url = $1 AND deleted_at IS NULL", URL)


def an_endpoint(**fields: Any) -> dict[str, Any]:
    return {"id": f"we_{secrets.token_hex(8)}", "url": URL, "reached": 5} | fields


async def a_delivery(db: Connection, **fields: Any) -> dict[str, Any]:
    """Of an event that has its number."""
    endpoint = fields.pop("endpoint", None) or await insert(db, "webhook_endpoints", **an_endpoint())
    payment = await insert(db, "payments", **a_payment())
    while await db.fetchval("SELECT extend_feed(1000)"):
        pass
    sequence = await db.fetchval("SELECT max(sequence) FROM event_feed")
    return {"endpoint": endpoint, "sequence": sequence, "payment_id": payment} | fields


BROKEN_ENDPOINTS: list[tuple[str, dict[str, Any]]] = [
    ("webhook_endpoint_status_is_known", {"status": "paused", "disabled_reason": None}),
    ("webhook_endpoint_says_why_it_is_disabled", {"status": "disabled"}),
    ("webhook_endpoint_says_why_it_is_disabled", {"disabled_reason": "gone"}),
    ("webhook_endpoint_is_down_only_if_it_fails", {"failing": 1}),
]


@pytest.mark.parametrize(("rule", "fields"), BROKEN_ENDPOINTS)
async def test_endpoint_cannot_break_the_rule(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await insert(db, "webhook_endpoints", **an_endpoint(**fields))
    assert rule_of(refusal) == rule


async def test_endpoint_is_there_once(db: Connection) -> None:
    id_ = await insert(db, "webhook_endpoints", **an_endpoint())
    with pytest.raises(asyncpg.UniqueViolationError) as refusal:
        await insert(db, "webhook_endpoints", **an_endpoint(id=id_))
    assert rule_of(refusal) == "webhook_endpoints_pkey"


@pytest.mark.parametrize(
    "changes",
    [["reached = 4"], ["deleted_at = now()", "deleted_at = NULL"], ["deleted_at = now()", "description = 'x'"]],
)
async def test_endpoint_never_goes_back(db: Connection, changes: list[str]) -> None:
    id_ = await insert(db, "webhook_endpoints", **an_endpoint())
    *first, last = changes
    for change in first:
        await db.execute(f"UPDATE webhook_endpoints SET {change} WHERE id = $1", id_)
    with pytest.raises(asyncpg.RestrictViolationError) as refusal:
        await db.execute(f"UPDATE webhook_endpoints SET {last} WHERE id = $1", id_)
    assert rule_of(refusal) == "webhook_endpoint_never_goes_back"


BROKEN_DELIVERIES: list[tuple[str, dict[str, Any]]] = [
    ("webhook_delivery_status_is_known", {"status": "lost", "ended_at": "now"}),
    ("webhook_delivery_waits_until_it_ends", {"status": "succeeded"}),
    ("webhook_delivery_waits_until_it_ends", {"ended_at": "now"}),
    ("webhook_delivery_waits_until_it_ends", {"status": "failed", "ended_at": "now", "next_attempt_at": "now"}),
]


@pytest.mark.parametrize(("rule", "fields"), BROKEN_DELIVERIES)
async def test_delivery_cannot_break_the_rule(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    now = await db.fetchval("SELECT now()")
    fields = {name: now if value == "now" else value for name, value in fields.items()}
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await insert(db, "webhook_deliveries", **await a_delivery(db, **fields))
    assert rule_of(refusal) == rule


async def test_event_is_delivered_to_an_endpoint_once(db: Connection) -> None:
    delivery = await a_delivery(db)
    await insert(db, "webhook_deliveries", **delivery)
    with pytest.raises(asyncpg.UniqueViolationError) as refusal:
        await insert(db, "webhook_deliveries", **delivery)
    assert rule_of(refusal) == "webhook_deliveries_pkey"


async def test_of_a_payment_one_event_is_sent_at_a_time(db: Connection) -> None:
    now = await db.fetchval("SELECT now()")
    first = await a_delivery(db, next_attempt_at=now)
    await insert(db, "webhook_deliveries", **first)
    second = await a_delivery(db, endpoint=first["endpoint"], next_attempt_at=now)
    with pytest.raises(asyncpg.UniqueViolationError) as refusal:
        await insert(db, "webhook_deliveries", **second | {"payment_id": first["payment_id"]})
    assert rule_of(refusal) == "webhook_one_of_a_payment_at_a_time"
    await insert(db, "webhook_deliveries", **second)


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("webhook_delivery_to_endpoint", {"endpoint": "we_nobody"}),
        ("webhook_delivery_of_event", {"sequence": 10**15}),
    ],
)
async def test_delivery_is_of_something_to_somebody(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refusal:
        await insert(db, "webhook_deliveries", **await a_delivery(db) | fields)
    assert rule_of(refusal) == rule


async def test_secret_is_of_an_endpoint_and_long_enough(db: Connection) -> None:
    endpoint = await insert(db, "webhook_endpoints", **an_endpoint())
    good = "whsec_" + "A" * 44
    await insert(db, "webhook_secrets", endpoint=endpoint, secret=good)
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await insert(db, "webhook_secrets", endpoint=endpoint, secret="whsec_short")
    assert rule_of(refusal) == "webhook_secret_is_long_enough"
    with pytest.raises(asyncpg.ForeignKeyViolationError) as missing:
        await insert(db, "webhook_secrets", endpoint="we_nobody", secret=good)
    assert rule_of(missing) == "webhook_secret_of_endpoint"


async def test_secrets_have_different_numbers(db: Connection) -> None:
    endpoint = await insert(db, "webhook_endpoints", **an_endpoint())
    number = await insert(db, "webhook_secrets", endpoint=endpoint, secret="whsec_" + "A" * 44)
    with pytest.raises(asyncpg.UniqueViolationError) as refusal:
        await db.execute(
            "INSERT INTO webhook_secrets (number, endpoint, secret) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3)",
            number, endpoint, "whsec_" + "B" * 44,
        )  # fmt: skip
    assert rule_of(refusal) == "webhook_secrets_pkey"


async def an_attempt(db: Connection, **fields: Any) -> dict[str, Any]:
    delivery = await a_delivery(db)
    await insert(db, "webhook_deliveries", **delivery)
    keys = {"endpoint": delivery["endpoint"], "sequence": delivery["sequence"], "number": 1}
    return keys | {"at": await db.fetchval("SELECT now()"), "duration_ms": 5} | fields


async def test_attempt_is_of_a_delivery_and_written_once(db: Connection) -> None:
    attempt = await an_attempt(db)
    await insert(db, "webhook_attempts", **attempt)
    with pytest.raises(asyncpg.UniqueViolationError) as twice:
        await insert(db, "webhook_attempts", **attempt)
    assert rule_of(twice) == "webhook_attempts_pkey"
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refusal:
        await insert(db, "webhook_attempts", **attempt | {"endpoint": "we_nobody"})
    assert rule_of(refusal) == "webhook_attempt_of_delivery"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE webhook_attempts SET error = 'other' WHERE endpoint = '{}'",
        "DELETE FROM webhook_attempts WHERE endpoint = '{}'",
        "TRUNCATE webhook_attempts",
        "DELETE FROM webhook_deliveries WHERE endpoint = '{}'",
        "TRUNCATE webhook_deliveries, webhook_attempts",
        "DELETE FROM webhook_endpoints WHERE id = '{}'",
        "TRUNCATE webhook_endpoints, webhook_secrets, webhook_deliveries, webhook_attempts",
    ],
)
async def test_what_was_sent_is_never_forgotten(db: Connection, statement: str) -> None:
    attempt = await an_attempt(db)
    await insert(db, "webhook_attempts", **attempt)
    with pytest.raises(asyncpg.RestrictViolationError) as refusal:
        await db.execute(statement.format(attempt["endpoint"]))
    assert rule_of(refusal) == "append_only"
