"""Keeps the chain over the journal up to date, beside whatever else the process does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from ledger.chain import EXTENDED_AT_ONCE, PostgresChain
from ledger.port import LedgerError

# How far the chain may be behind; a balance is right all the same, and adds up what waits.
EVERY_SECONDS: Final = 1.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@asynccontextmanager
async def chained(ledger: PostgresChain) -> AsyncGenerator[None]:
    """As long as the context lasts. Any number of processes may do so: they take turns."""
    task = asyncio.create_task(_keep_chaining(ledger))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _keep_chaining(ledger: PostgresChain) -> None:
    while True:
        try:
            more = await ledger.extend_chain() == EXTENDED_AT_ONCE
        except LedgerError as error:
            _log.warning("chain_waits", error=str(error))
            more = False
        if not more:
            await asyncio.sleep(EVERY_SECONDS)
