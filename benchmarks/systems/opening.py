"""What the programs of the benchmark open: the same gateway and the same ledger as paysaga, with the same settings."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from benchmarks.systems.environment import DATABASE_URL, PROCESSOR_URL
from gateways.sandbox.gateway import SandboxGateway, open_sandbox_gateway
from ledger.connections import Pool, open_pool

# The defaults of paysaga's settings.
_CONNECTIONS = 10
_PROCESSOR_TIMEOUT_SECONDS = 5.0
_KEY_WINDOW = timedelta(days=1)


@asynccontextmanager
async def opened_pool() -> AsyncGenerator[Pool]:
    """Connections to the database that the environment names."""
    pool = await open_pool(os.environ[DATABASE_URL], _CONNECTIONS)
    try:
        yield pool
    finally:
        pool.terminate()


@asynccontextmanager
async def opened_gateway() -> AsyncGenerator[SandboxGateway]:
    """The gateway to the processor that the environment names."""
    async with open_sandbox_gateway(
        os.environ[PROCESSOR_URL], timeout_seconds=_PROCESSOR_TIMEOUT_SECONDS, key_window=_KEY_WINDOW
    ) as gateway:
        yield gateway
