"""One audit: load what others say, read the books once, run every check."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

import asyncpg

from prove.auditor.checks import Check, Violation, run, script, statements
from prove.auditor.loading import CannotAudit, Connection, Told, load_journal

# Sorts and joins of a hundred thousand rows in memory, not in files.
_SETTINGS: Final = {"application_name": "auditor", "work_mem": "64MB", "temp_buffers": "256MB", "jit": "off"}
_CONNECT_SECONDS: Final = 10


@dataclass(frozen=True)
class Audit:
    """What was found, in which material."""

    checks: tuple[Check, ...]
    violations: tuple[Violation, ...]
    entries: int
    lines: int
    loading_seconds: float


@asynccontextmanager
async def connected(dsn: str) -> AsyncGenerator[Connection]:
    """A session with the ledger. Raises `CannotAudit` where there is none, or one without books."""
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS, server_settings=_SETTINGS)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotAudit(f"The ledger can't be reached: {error or type(error).__name__}") from error
    try:
        yield connection
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise CannotAudit(f"This database has no books, or those of another version: {error}") from error
    except (asyncpg.InsufficientPrivilegeError, asyncpg.PostgresConnectionError) as error:
        raise CannotAudit(f"The ledger can't be read: {error}") from error
    finally:
        await connection.close(timeout=_CONNECT_SECONDS)


async def fingerprint(connection: Connection) -> str:
    """One hash of all that is money in the books."""
    value: str = await connection.fetchval(script("fingerprint"))
    return value


async def audit(connection: Connection, processor: str, log: Path) -> Audit:
    """Judge the books by the processor's record and the clients' log. Raises `CannotAudit`."""
    began = perf_counter()
    await connection.execute(script("tables"))
    entries = await load_journal(connection, processor)
    told = Told(log)
    await told.load(connection)
    # One moment of the books for all checks, after that of the processor's record.
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(script("books"))
        loaded = perf_counter() - began
        results = [await run(connection, statement) for statement in statements()]
    checks = tuple(check for check, _ in results)
    return Audit(checks, tuple(violation for _, found in results for violation in found), entries, told.lines, loaded)
