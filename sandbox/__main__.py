"""python -m sandbox: the sandbox processor as a process."""

import argparse
import asyncio
import logging
import signal
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from sandbox.processor import Processor
from sandbox.server import Server
from sandbox.store import Store

DAY = 86_400.0


def main(argv: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    options = _options(argv)
    try:
        store = Store(options.data)
    except (sqlite3.Error, OSError) as error:
        print(f"sandbox processor: can't open {options.data}: {error} (another one on this file?)", file=sys.stderr)
        return 1
    try:
        return asyncio.run(_serve(store, options))
    finally:
        store.close()


class _Options(argparse.Namespace):
    """The command line, typed."""

    host: str
    port: int
    data: Path
    key_window: float


def _options(argv: Sequence[str] | None) -> _Options:
    parser = argparse.ArgumentParser(prog="sandbox", description="A card processor to test against.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="0 takes any free port")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE.sqlite")
    parser.add_argument(
        "--key-window",
        type=float,
        default=DAY,
        metavar="SECONDS",
        help="how long idempotency keys are kept; afterwards the same key executes again",
    )
    return parser.parse_args(argv, namespace=_Options())


async def _serve(store: Store, options: _Options) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    processor = Processor(store, options.key_window, time.time)
    # Requests that hang on purpose never end by themselves, hence the short wait at the end.
    runner = web.AppRunner(
        Server(store, processor).application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
    )
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
