"""A database that refuses: deadlocks, serialization failures, a full disk, rows locked by somebody else, read-only."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any, Final

import asyncpg

from prove.catalogue import Fault, Inject, Lane
from prove.field import Field

READ_ONLY_SECONDS: Final = (0.5, 2.0)
# The service gives up waiting for a lock after four seconds.
LOCKED_SECONDS: Final = (1.0, 5.0)
PATIENCE_SECONDS: Final = 10.0
# So that it isn't ours whom PostgreSQL ends, but the service's transaction.
OUR_DEADLOCK_TIMEOUT: Final = "20s"
STATES: Final = {
    "serialization-failure": ("40001", ("F19",), "the database reports a serialization failure"),
    "statement-canceled": ("57014", ("F19",), "a statement takes too long and is canceled"),
    "disk-full": ("53100", ("F21",), "the database's disk is full"),
    "connection-terminated": ("57P01", ("F18",), "an administrator terminates the connection"),
}
TABLES: Final = {
    "payments": "when a key is claimed",
    "ledger_transactions": "when a charge is recorded",
    "refunds": "when a refund is reserved",
}
_SETUP: Final = Path(__file__).with_name("strikes.sql")


async def prepare(field: Field) -> None:
    """What the database needs for it, once."""
    async with field.database() as db:
        await db.execute(_SETUP.read_text(encoding="utf-8"))


def _strike(table: str, state: str) -> Inject:
    async def inject(field: Field, random: Random) -> str | None:
        key, body = field.key("struck"), field.body(random)
        async with field.database() as db:
            number: int = await db.fetchval("SELECT nextval('campaign.strike_numbers')")
            counter = f"campaign.struck_{number}"
            await db.execute(f"CREATE SEQUENCE {counter}")
            await db.execute("INSERT INTO campaign.strikes VALUES ($1, $2, $3, $4)", key, table, state, counter)
        await field.pay(key, body)
        if table == "refunds":
            await field.shop.refund_until_answered(key, "refund", body["amount"] // 2)
        async with field.database() as db:
            struck: bool = await db.fetchval(f"SELECT is_called FROM {counter}")  # noqa: S608 - our own name
        return f"struck {key}" if struck else None

    return inject


async def _deadlock(field: Field, random: Random) -> str | None:
    """A person's transaction holds what the recording of a charge needs next, and wants what that holds."""
    key, body = field.key("deadlock"), field.body(random)
    async with field.database() as db:
        before = await _deadlocks(db)
        await db.execute(f"SET deadlock_timeout = '{OUR_DEADLOCK_TIMEOUT}'")
        transaction = db.transaction()
        await transaction.start()
        await db.execute("SELECT FROM accounts WHERE currency = $1 FOR UPDATE", body["currency"])
        paying = asyncio.create_task(field.pay(key, body))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await _until_somebody_waits(field, db)
                await db.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", key)
        except TimeoutError:
            pass
        finally:
            await transaction.rollback()
        await paying
        return "deadlocked with a recording" if await _has_deadlocked(db, before) else None


async def _until_somebody_waits(field: Field, ours: "asyncpg.Connection[asyncpg.Record]") -> None:
    async with field.database() as db:
        blocked = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))"
        while not await db.fetchval(blocked, ours.get_server_pid()):
            await asyncio.sleep(0.02)


async def _has_deadlocked(db: "asyncpg.Connection[asyncpg.Record]", before: int) -> bool:
    """The statistics may come some moments later."""
    for _ in range(20):
        if await _deadlocks(db) > before:
            return True
        await asyncio.sleep(0.2)
    return False


async def _deadlocks(db: "asyncpg.Connection[asyncpg.Record]") -> int:
    return await db.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")


async def _lock_row(field: Field, random: Random) -> str | None:
    """A person's transaction holds a payment that is about to refund."""
    key, body = field.key("locked"), field.body(random)
    if (await field.pay(key, body)).json.get("status") != "succeeded":
        return None
    async with field.database() as db, db.transaction():
        await db.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", key)
        refunding = asyncio.create_task(field.shop.refund_until_answered(key, "refund", body["amount"] // 2))
        await asyncio.sleep(random.uniform(*LOCKED_SECONDS))
        waited = not refunding.done()
    await refunding
    return f"held the row of {key}" if waited else None


async def _read_only(field: Field, random: Random) -> str | None:
    key, body = field.key("read-only"), field.body(random)
    try:
        await _set_read_only(field, "on")
        async with field.database() as db:
            is_read_only = await db.fetchval("SHOW transaction_read_only") == "on"
        reply = await field.shop.pay(key, body, wait=1, patience=5)
        await asyncio.sleep(random.uniform(*READ_ONLY_SECONDS))
    finally:
        await _set_read_only(field, "off")
    await field.pay(key, body)
    return f"read-only; a payment meanwhile: {reply.status}" if is_read_only and reply.status in {202, 503} else None


async def _set_read_only(field: Field, value: str) -> None:
    """For every session, those that are open included."""
    writing: dict[str, Any] = {"server_settings": {"default_transaction_read_only": "off"}}
    db = await asyncpg.connect(field.stack.postgres.dsn, timeout=5, **writing)
    try:
        await db.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        await db.execute("SELECT pg_reload_conf()")
    finally:
        db.terminate()


FAULTS: Final = (
    *(
        Fault(f"{name}-{table.replace('_', '-')}", covers, f"{what} {TABLES[table]}", "other", Lane.MISBEHAVES,
              _strike(table, state))
        for name, (state, covers, what) in STATES.items()
        for table in TABLES
    ),
    Fault("deadlock", ("F19",), "a recording and another transaction wait for each other", "other", Lane.BREAKS,
          _deadlock),
    Fault("row-locked", ("F19",), "another transaction holds a payment's row", "other", Lane.MISBEHAVES, _lock_row),
    Fault("read-only", ("F21",), "the database can't be written for some seconds", "other", Lane.BREAKS, _read_only),
)  # fmt: skip
