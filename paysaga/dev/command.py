"""The life of `paysaga dev`, from taking the data directory to leaving no process behind."""

import asyncio
import signal

from paysaga.dev.console import Console
from paysaga.dev.data_dir import AlreadyRunning, DataDir
from paysaga.dev.errors import DevStackError
from paysaga.dev.leftovers import stop_leftovers
from paysaga.dev.options import Options
from paysaga.dev.stack import Stack

# A closed terminal is a reason to stop like any other.
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run(options: Options) -> int:
    """Run until told to stop; the exit code."""
    console = Console()
    try:
        data = DataDir(options.data_dir)
        data.open()
        stack = Stack(_prepared(options, data, console), data, console)
        return await _Life(stack, data, console).run()
    except AlreadyRunning as other:
        _tell_of(other, options, console)
        return 0
    except DevStackError as error:
        console.error(error)
        return 1
    except OSError as error:  # a full disk, a file of another user: reasons that need no traceback
        console.error(DevStackError(f"{error.strerror or error}: {error.filename or options.data_dir}"))
        return 1


def _prepared(options: Options, data: DataDir, console: Console) -> Options:
    console.line(f"Starting paysaga in {data.path}")
    if stopped := stop_leftovers(data.processes()):
        console.step("paysaga", f"stopped {stopped} processes of a start that was killed")
    return options.with_checked_ports()


def _tell_of(other: AlreadyRunning, options: Options, console: Console) -> None:
    data_dir = DataDir(options.data_dir).path
    who = "" if other.pid is None else f" (PID {other.pid})"
    if other.addresses:
        console.line(f"paysaga is already running{who}:")
        console.addresses(other.addresses, data_dir)
    else:
        console.line(f"paysaga is already running{who} in {data_dir}, but not ready yet")


class _Life:
    """One stack between the first signal that ends it and the second one that hurries."""

    def __init__(self, stack: Stack, data: DataDir, console: Console) -> None:
        self._stack = stack
        self._data = data
        self._console = console
        self._told_to_stop = asyncio.Event()
        self._hurrying: asyncio.Task[None] | None = None

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        work = asyncio.create_task(self._work())
        told = asyncio.create_task(self._told_to_stop.wait())
        try:
            await asyncio.wait([work, told], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, told):
                task.cancel()
            results = await asyncio.gather(work, told, return_exceptions=True)
            await self._stack.stop()
        if isinstance(results[0], Exception):
            raise results[0]
        self._console.step("paysaga", "stopped; the payments are kept")
        return 0

    async def _work(self) -> None:
        await self._stack.start()
        self._console.ready(self._stack.addresses, self._data.path)
        await self._stack.keep_running()

    def _on_signal(self) -> None:
        if not self._told_to_stop.is_set():
            self._told_to_stop.set()
        elif self._hurrying is None:
            self._hurrying = asyncio.create_task(self._stack.hurry())
