"""Opens what the processes need and closes it again: the composition root's parts."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig

from gateways.port import WebhookReader
from gateways.sandbox.gateway import SandboxGateway, open_sandbox_gateway
from gateways.sandbox.record import SandboxRecord
from gateways.sandbox.webhooks import SandboxWebhookReader
from ledger.connections import READING, open_pool
from ledger.history import PostgresHistory
from ledger.postgres import PostgresLedger
from ledger.reconciling import PostgresReconciliations
from ledger.sending import PostgresOutbox
from paysaga.settings import Settings

DEFAULT_TEMPORAL_ADDRESS: Final = "127.0.0.1:7233"
# Besides those of the setting. A page takes milliseconds; so many at once load one core of PostgreSQL or two.
READING_CONNECTIONS: Final = 3
# Besides those of the setting, too: replies to webhooks, written down in milliseconds each.
WEBHOOK_CONNECTIONS: Final = 3

# One run at a time, and sometimes one by hand.
RECONCILING_CONNECTIONS: Final = 2


async def connect_temporal(*, lazy: bool) -> Client:
    """A client by Temporal's own environment variables and profiles. A lazy one connects when it is first used."""
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", DEFAULT_TEMPORAL_ADDRESS)
    return await Client.connect(**config, lazy=lazy, data_converter=pydantic_data_converter)


@asynccontextmanager
async def open_ledger(settings: Settings) -> AsyncGenerator[PostgresLedger]:
    """The ledger over a pool of its own."""
    pool = await open_pool(settings.database_url, settings.database_connections)
    try:
        yield PostgresLedger(pool)
    finally:
        pool.terminate()


@asynccontextmanager
async def open_outbox(settings: Settings) -> AsyncGenerator[PostgresOutbox]:
    """What is sent, over a pool of its own: however much that is, no payment waits for a connection."""
    pool = await open_pool(settings.database_url, WEBHOOK_CONNECTIONS)
    try:
        yield PostgresOutbox(pool)
    finally:
        pool.terminate()


@asynccontextmanager
async def open_history(settings: Settings) -> AsyncGenerator[PostgresHistory]:
    """The lists over a pool of their own: whoever reads much keeps no payment waiting for a connection."""
    pool = await open_pool(settings.database_url, READING_CONNECTIONS, READING)
    try:
        yield PostgresHistory(pool)
    finally:
        pool.terminate()


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncGenerator[SandboxGateway]:
    """The processor's gateway."""
    async with open_sandbox_gateway(
        settings.processor_url,
        timeout_seconds=settings.processor_timeout_seconds,
        key_window=settings.processor_key_window,
    ) as gateway:
        yield gateway


@asynccontextmanager
async def open_record(settings: Settings) -> AsyncGenerator[SandboxRecord]:
    """The processor's record, for reconciliation."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        yield SandboxRecord(session, settings.processor_url)


@asynccontextmanager
async def open_reconciliations(settings: Settings) -> AsyncGenerator[PostgresReconciliations]:
    """Reconciliation's rows over a pool of their own: what compares for a minute keeps no payment waiting."""
    pool = await open_pool(settings.database_url, RECONCILING_CONNECTIONS)
    try:
        yield PostgresReconciliations(pool)
    finally:
        pool.terminate()


def webhook_readers(settings: Settings) -> dict[str, WebhookReader]:
    """By the processor's name; none without a secret that its webhooks are signed with."""
    secrets = settings.webhook_secrets
    return {SandboxGateway.name: SandboxWebhookReader(secrets)} if secrets else {}
