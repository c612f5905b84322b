"""Reads what has piled up: memory of the processes, sizes on disk."""

from pathlib import Path
from typing import Final

import asyncpg

from benchmarks.scale.results import Stock
from benchmarks.systems.paysaga import Paysaga
from benchmarks.usage import memory_mb
from paysaga.dev.errors import DevStackError

TEMPORAL_DATABASE: Final = "Temporal's database"
LEDGER: Final = "ledger"


async def take_stock(system: Paysaga, payments: int, waiting: int) -> Stock:
    """As it is now, with so many payments in the books, of which so many wait."""
    return Stock(
        payments=payments,
        open=waiting,
        memory_mb=memory_mb(system.pids),
        disk_mb={TEMPORAL_DATABASE: _temporal_mb(system), LEDGER: await _ledger_mb(system)},
    )


def _temporal_mb(system: Paysaga) -> float:
    """With what SQLite has not yet moved from its write-ahead log."""
    if system.temporal is None:
        raise DevStackError("there is no Temporal server to be measured")
    database = system.temporal.database
    files = [database, Path(f"{database}-wal")]
    return sum(file.stat().st_size for file in files if file.exists()) / 1e6


async def _ledger_mb(system: Paysaga) -> float:
    """Tables and indexes, without PostgreSQL's write-ahead log, which is recycled."""
    connection = await asyncpg.connect(system.postgres.dsn)
    try:
        size: int = await connection.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await connection.close()
    return size / 1e6
