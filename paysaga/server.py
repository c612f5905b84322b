"""The API process."""

import asyncio
from typing import Final

import uvicorn
from temporalio.client import Client

from api.app import create_app
from api.asking import Asking
from api.capturing import Holds
from api.cursors import Cursors
from api.delivering import Delivering
from api.receiving import Webhooks
from api.refunding import Refunds
from api.services import Services
from api.serving import Serving
from api.starting import Payments
from ledger.history import PostgresHistory
from ledger.migrate import migrations
from ledger.postgres import PostgresLedger
from paysaga import logs
from paysaga.garbage import collect_seldom
from paysaga.migrate import missing_search_attributes
from paysaga.services import connect_temporal, open_history, open_ledger, webhook_readers
from paysaga.settings import Settings
from paysaga.worker import stop_signal, work

# Callers wait up to a minute for a decision; on a stop they are cut off sooner and send the same key again.
SHUTDOWN_SECONDS: Final = 5


def build_services(client: Client, ledger: PostgresLedger, history: PostgresHistory, settings: Settings) -> Services:
    """What the API is given."""

    async def check_database() -> None:
        missing = set(migrations()) - set(await ledger.migrations_applied())
        if missing:
            raise RuntimeError(f"migrations not applied: {sorted(missing)}")

    async def check_temporal() -> None:
        # Without its search attributes Temporal refuses every payment that uses them.
        missing = await missing_search_attributes(client)
        if missing:
            raise RuntimeError(f"search attributes not registered: {missing}; run `paysaga migrate`")

    api_key = settings.api_key.get_secret_value()
    asking = Asking(client, settings.quiet_period)
    delivering = Delivering(client, ledger, ledger, settings.quiet_period)
    return Services(
        payments=Payments(client, ledger, settings.quiet_period),
        refunds=Refunds(asking, ledger),
        holds=Holds(asking, ledger),
        webhooks=Webhooks(webhook_readers(settings), ledger, delivering),
        ledger=ledger,
        history=history,
        balances=history,
        feed=ledger,
        cases=ledger,
        endpoints=ledger,
        serving=Serving(client),
        private_webhooks=settings.webhooks_to_private_addresses,
        cursors=Cursors(api_key),
        api_key=api_key,
        check_database=check_database,
        check_temporal=check_temporal,
    )


async def run(settings: Settings, *, with_worker: bool) -> None:
    """Serve until SIGTERM or SIGINT. Starts, and answers 503, while PostgreSQL or Temporal is down."""
    logs.configure()
    client = await connect_temporal(lazy=True)
    async with open_ledger(settings) as ledger, open_history(settings) as history:
        services = build_services(client, ledger, history, settings)
        config = uvicorn.Config(
            create_app(services),
            host=settings.api_host,
            port=settings.api_port,
            # Addresses hold payment ids, which are the clients' own words.
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        server = uvicorn.Server(config)
        collect_seldom()
        async with services.webhooks.delivered():
            await (_serve_and_work(server, settings) if with_worker else server.serve())


async def _serve_and_work(server: uvicorn.Server, settings: Settings) -> None:
    """The API first: who waits for an answer needs the worker."""
    stop = stop_signal()  # uvicorn raises the signal again when it has ended; without this it would end us
    working = asyncio.create_task(work(settings, stop))
    working.add_done_callback(lambda _: setattr(server, "should_exit", True))
    try:
        await server.serve()
    finally:
        stop.set()
        await working
