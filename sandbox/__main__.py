"""python -m sandbox: the sandbox processor as a process."""

import asyncio
import logging
import signal
import sqlite3
import sys
import time
from collections.abc import Sequence

from aiohttp import web

from sandbox import options as command_line
from sandbox.options import Options
from sandbox.processor import Processor
from sandbox.server import Server
from sandbox.store import Store
from sandbox.webhooks import Listener, Webhooks


def main(argv: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    options = command_line.read(argv)
    try:
        listener = command_line.listener(options)
    except ValueError as error:
        print(f"sandbox processor: {error}", file=sys.stderr)
        return 1
    try:
        store = Store(options.data)
    except (sqlite3.Error, OSError) as error:
        print(f"sandbox processor: can't open {options.data}: {error} (another one on this file?)", file=sys.stderr)
        return 1
    try:
        return asyncio.run(_serve(store, options, listener))
    finally:
        store.close()


async def _serve(store: Store, options: Options, listener: Listener | None) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    processor = Processor(store, options.key_window, time.time, options.terms)
    server = Server(store, processor, Webhooks(store, listener), options.public_url)
    # Requests that hang on purpose never end by themselves, hence the short wait at the end.
    runner = web.AppRunner(server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, options.host, options.port)
        await site.start()
        port = _port(runner)
        print(f"sandbox processor on http://{options.host}:{port}", flush=True)
        await stop.wait()
    except (OSError, OverflowError) as error:
        print(f"sandbox processor: can't listen on --port {options.port}: {error}", file=sys.stderr)
        return 1
    finally:
        await runner.cleanup()
    return 0


def _port(runner: web.AppRunner) -> int:
    address: tuple[str, int] = runner.addresses[0]
    return address[1]


if __name__ == "__main__":
    sys.exit(main())
