"""The stack that the demo shows: the one that runs on the data directory, else one of its own."""

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from paysaga.demo.terminal import Terminal
from paysaga.dev.data_dir import DataDir, read_env
from paysaga.dev.errors import DevStackError
from paysaga.dev.options import Options
from paysaga.dev.ports import is_free
from paysaga.dev.process import Child, clean_environment

_READY: Final = "paysaga is ready"
_POLL_SECONDS: Final = 0.05
_START_SECONDS: Final = 90
# A worker finishes what it has, then the servers end.
_STOP_SECONDS: Final = 40


@dataclass(frozen=True)
class RunningStack:
    """Where it is, and whether it is ours to stop."""

    addresses: dict[str, str]
    own: bool


@asynccontextmanager
async def running_stack(data: DataDir, terminal: Terminal) -> AsyncGenerator[RunningStack]:
    """A stack that is ready. Raises `DevStackError` when there can't be one."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="paysaga-demo-") as directory:
        async with terminal.clock("starting the stack"):
            child, addresses = await _start(data, Path(directory) / "stack.log")
        try:
            own = child.exit_code is None
            parts = "PostgreSQL, Temporal, a sandbox processor, a worker, the API"
            started = f"Started a stack in {data.path} ({time.monotonic() - begun:.0f} s): {parts}."
            terminal.line(started if own else f"On the stack that runs in {data.path}.")
            yield RunningStack(addresses, own)
        finally:
            # One that found another stack running has ended by itself.
            if child.exit_code is None:
                async with terminal.clock("stopping the stack"):
                    await _stop(child)


async def _start(data: DataDir, log: Path) -> tuple[Child, dict[str, str]]:
    """Whether a stack runs already is known for sure only by who holds the directory: so start one and see."""
    while True:
        ports = _ports()
        command = [sys.executable, "-m", "paysaga", "dev", "--data-dir", str(data.path), *_flags(ports)]
        # It ends in order also when this process is killed.
        child = await Child.start(command, log=log, env=clean_environment(), death_signal=signal.SIGTERM)
        try:
            return child, await _addresses(child, data)
        except BaseException as error:
            await _stop(child)
            # Somebody may have taken a port meanwhile; then there is another one for us.
            lost_a_port = not all(is_free(port) for port in ports.values() if port)
            if not isinstance(error, DevStackError) or not lost_a_port:
                raise


async def _stop(child: Child) -> None:
    await child.stop(signal.SIGTERM, timeout=_STOP_SECONDS)


def _ports() -> dict[str, int]:
    """The usual ones, so that an address stays the same from start to start; any other for one that is taken."""
    usual = {name: port for name, port in asdict(Options()).items() if name.endswith("_port")}
    return {name: port if is_free(port) else 0 for name, port in usual.items()}


def _flags(ports: dict[str, int]) -> list[str]:
    return [part for name, port in ports.items() for part in ("--" + name.replace("_", "-"), str(port))]


async def _addresses(child: Child, data: DataDir) -> dict[str, str]:
    """What the stack wrote down: ours when it says that it is ready, or another one if ours found it running."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if child.exit_code not in {None, 0}:
            raise DevStackError(_reason(child.output()))
        # Another one may still be starting: then there is no such file yet.
        if child.exit_code == 0 or _READY in child.output():
            addresses = read_env(data.env_file)
            if addresses:
                return addresses
        await asyncio.sleep(_POLL_SECONDS)
    raise DevStackError(f"the stack in {data.path} was not ready after {_START_SECONDS} seconds")


def _reason(output: str) -> str:
    """What the stack said at its end; we put the program's name in front ourselves."""
    _, found, reason = f"\n{output}".partition("\npaysaga: ")
    return reason.strip() if found else f"the stack could not be started: {output.strip()}"
