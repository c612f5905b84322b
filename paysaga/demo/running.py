"""The stack that the demo shows: the one that runs on the data directory, else one of its own."""

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paysaga.demo.terminal import Terminal
from paysaga.dev.data_dir import DataDir, read_env
from paysaga.dev.errors import DevStackError
from paysaga.dev.options import Options
from paysaga.dev.ports import is_free
from paysaga.dev.process import Child, clean_environment

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
    before = _written_at(data.env_file)
    with tempfile.TemporaryDirectory(prefix="paysaga-demo-") as directory:
        # Whether one runs already is known for sure only by who holds the directory, so start one and see.
        child = await _start(data, Path(directory) / "stack.log")
        try:
            async with terminal.clock("starting the stack"):
                addresses = await _addresses(child, data, before)
            own = child.exit_code is None
            parts = "PostgreSQL, Temporal, a sandbox processor, a worker, the API"
            started = f"Started a stack in {data.path} ({time.monotonic() - begun:.0f} s): {parts}."
            terminal.line(started if own else f"On the stack that runs in {data.path}.")
            yield RunningStack(addresses, own)
        finally:
            # One that found another stack running has ended by itself.
            if child.exit_code is None:
                async with terminal.clock("stopping the stack"):
                    await child.stop(signal.SIGTERM, timeout=_STOP_SECONDS)


async def _start(data: DataDir, log: Path) -> Child:
    command = [sys.executable, "-m", "paysaga", "dev", "--data-dir", str(data.path)]
    usual = Options()
    for name in ("api_port", "temporal_port", "ui_port", "processor_port"):
        port: int = getattr(usual, name)
        command += ["--" + name.replace("_", "-"), str(port if is_free(port) else 0)]
    # It ends in order also when this process is killed.
    return await Child.start(command, log=log, env=clean_environment(), death_signal=signal.SIGTERM)


async def _addresses(child: Child, data: DataDir, before: int | None) -> dict[str, str]:
    """What the stack writes when it is ready; a file of an earlier one is of no use, unless that one still runs."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        other_runs = child.exit_code == 0
        if not other_runs and child.exit_code is not None:
            raise DevStackError(_reason(child.output()))
        if other_runs or _written_at(data.env_file) not in {None, before}:
            addresses = read_env(data.env_file)
            if addresses:
                return addresses
        await asyncio.sleep(_POLL_SECONDS)
    raise DevStackError(f"the stack in {data.path} was not ready after {_START_SECONDS} seconds")


def _written_at(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _reason(output: str) -> str:
    """What the stack said at its end; we put the program's name in front ourselves."""
    _, found, reason = f"\n{output}".partition("\npaysaga: ")
    return reason.strip() if found else f"the stack could not be started: {output.strip()}"
