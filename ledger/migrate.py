"""Forward-only migrations: numbered .sql files, each applied once, in order, in a transaction of its own.

After them, each time, what the application's role may do.
"""

import hashlib
from importlib.resources import files
from typing import Final

import asyncpg

# Any number that nothing else in this database locks: migrations started at once by several processes take turns.
LOCK: Final = 7_265_017_241

_BOOKKEEPING: Final = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


class MigrationChanged(Exception):
    """A migration that was applied before has been edited since, or is missing: add a new one instead."""


def migrations() -> dict[str, str]:
    """SQL text by file name, in the order in which they apply."""
    folder = files("ledger").joinpath("migrations")
    return {file.name: file.read_text() for file in sorted(folder.iterdir(), key=_name) if file.name.endswith(".sql")}


def grants() -> str:
    """SQL text that leaves the application's role with what it may do and nothing else."""
    return files("ledger").joinpath("grants.sql").read_text()


def _name(file: object) -> str:
    return str(getattr(file, "name", ""))


def digest(sql: str) -> str:
    """SHA-256 of a migration's text, in hex."""
    return hashlib.sha256(sql.encode()).hexdigest()


async def migrate(connection: "asyncpg.Connection[asyncpg.Record]", before: str | None = None) -> list[str]:
    """Apply what has not been applied yet, or of it what comes `before` a name; returns the names.

    Raises `MigrationChanged`, and asyncpg's `InsufficientPrivilegeError` with a hint when the application's role is
    missing and an administrator must make it.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    try:
        await connection.execute(_BOOKKEEPING)
        rows = await connection.fetch("SELECT name, sha256 FROM schema_migrations")
        applied: dict[str, str] = {row["name"]: row["sha256"] for row in rows}
        known = migrations()
        for name, sha256 in applied.items():
            if name not in known or digest(known[name]) != sha256:
                raise MigrationChanged(f"{name} was changed after it had been applied; add a new migration instead")
        new = [name for name in known if name not in applied and (before is None or name < before)]
        for name in new:
            async with connection.transaction():
                await connection.execute(known[name])
                await connection.execute(
                    "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", name, digest(known[name])
                )
        if before is None:
            async with connection.transaction():
                await connection.execute(grants())
        return new
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)
