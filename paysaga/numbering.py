"""Gives movements and events their numbers, beside whatever else the process does."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from ledger.chain import EXTENDED_AT_ONCE
from ledger.port import LedgerError
from ledger.postgres import PostgresLedger
from ledger.timeline import FED_AT_ONCE

# How long a number may take. A balance is right all the same, and whoever reads the feed extends it first.
EVERY_SECONDS: Final = 1.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@asynccontextmanager
async def numbering(ledger: PostgresLedger) -> AsyncGenerator[None]:
    """As long as the context lasts. Any number of processes may do so: they take turns."""
    task = asyncio.create_task(_keep_numbering(ledger))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _keep_numbering(ledger: PostgresLedger) -> None:
    while True:
        try:
            more = await ledger.extend_chain() == EXTENDED_AT_ONCE
            more = await ledger.extend_feed() == FED_AT_ONCE or more
        except LedgerError as error:
            _log.warning("numbers_wait", error=str(error))
            more = False
        if not more:
            await asyncio.sleep(EVERY_SECONDS)
