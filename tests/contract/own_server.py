"""A PostgreSQL that a test may kill, with books in it."""

from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest_asyncio

from ledger.connections import open_pool
from ledger.migrate import migrate
from ledger.postgres import PostgresLedger
from paysaga.dev.ports import free_port
from paysaga.dev.postgres import EmbeddedPostgres
from tests.contract.ledger_words import Books


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncGenerator[EmbeddedPostgres]:
    """Migrated."""
    postgres = EmbeddedPostgres(tmp_path, free_port())
    await postgres.start()
    try:
        db = await asyncpg.connect(postgres.dsn)
        await migrate(db)
        await db.close()
        yield postgres
    finally:
        await postgres.stop()


@pytest_asyncio.fixture
async def own_books(server: EmbeddedPostgres) -> AsyncGenerator[Books]:
    """A ledger on it."""
    pool = await open_pool(server.dsn, 6)
    yield Books(PostgresLedger(pool), pool)
    pool.terminate()
