"""Connections to PostgreSQL, and our words for what it may say."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from ledger.port import LedgerRefused, LedgerUnavailable

Result = TypeVar("Result")
# Quoted: only the type stubs know that these classes are generic.
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

# One statement takes milliseconds; beyond this PostgreSQL is in trouble and the caller should know it.
STATEMENT_TIMEOUT_SECONDS: Final = 5.0
# Below the three seconds in which the API must say that the database is down.
CONNECT_TIMEOUT_SECONDS: Final = 2.0

# A process that stands still with a payment's row locked (a paused machine, a cable) must not lock it for ever; and one
# that waits for such a row gives up before its caller does.
_SERVER_SETTINGS: Final = {
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "4s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

# Who the service is in the database, whoever it logged in as: see grants.sql. Given when the connection is made, it is
# what PostgreSQL goes back to at a RESET or DISCARD, too.
APPLICATION_ROLE: Final = "paysaga_application"

NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})

# What PostgreSQL answers when a rule of ours is broken: retrying can't help. Everything else may pass.
_REFUSALS: Final = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)
_OUTAGES: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
# The pool hands out a connection that PostgreSQL closed when it restarted: every method here may run twice.
# InternalClientError is what asyncpg raises when PostgreSQL's farewell has come and the end of the connection hasn't.
_STALE: Final = (
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.AdminShutdownError,
    asyncpg.InternalClientError,
    ConnectionResetError,
)


# For lists: nothing is written, and each statement is planned for the filters that are given. One plan for all of them
# could use no index.
READING: Final = {"default_transaction_read_only": "on", "plan_cache_mode": "force_custom_plan"}


async def open_pool(dsn: str, connections: int, settings: Mapping[str, str] = NO_SETTINGS) -> Pool:
    """A pool that connects when first used, so that a process can start while PostgreSQL is down."""
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=connections,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=STATEMENT_TIMEOUT_SECONDS,
        server_settings={**_SERVER_SETTINGS, "role": APPLICATION_ROLE, **settings},
        # asyncpg would send four statements to clean up after each use; ours leave nothing behind.
        reset=_leave_as_it_is,
    )


async def _leave_as_it_is(_connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """No statement of ours changes the session, takes an advisory lock or opens a cursor."""


class Connected:
    """What runs named statements over a pool of connections."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Give the work a connection, and our words to what PostgreSQL may say."""
        for again in (True, False):
            connected = False
            try:
                async with self._pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS) as connection:
                    connected = True
                    return await work(connection)
            except _STALE as error:
                if not again:
                    raise LedgerUnavailable(f"PostgreSQL closed the connection: {error}") from error
                await self._pool.expire_connections()
            except _REFUSALS as error:
                # A setting or a role that PostgreSQL doesn't know is no rule of the books.
                if not connected:
                    raise LedgerUnavailable(f"PostgreSQL takes no connection: {error}") from error
                raise LedgerRefused(_rule_of(error), str(error.args[0])) from error
            except _OUTAGES as error:
                raise LedgerUnavailable(f"PostgreSQL: {type(error).__name__}: {error}") from error
        raise AssertionError("the second round returns or raises")


def _rule_of(error: asyncpg.PostgresError) -> str:
    rule = getattr(error, "constraint_name", None)
    return rule or type(error).__name__
