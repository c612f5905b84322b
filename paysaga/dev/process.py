"""Operating system processes: started tethered to us, watched until they answer, stopped by their own PID."""

import asyncio
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from paysaga.dev.errors import DevStackError, ProcessFailed
from paysaga.dev.tether import CANNOT_EXECUTE

_TETHER = Path(__file__).with_name("tether.py")
_POLL_SECONDS = 0.02
# A log is for looking at what just happened; one older generation is kept.
_LOG_BYTES = 20_000_000
_TAIL_BYTES = 8_000
# The names of our own variables and of the servers we start: what the user's shell has is not for this stack.
_FOREIGN_PREFIXES = ("PAYSAGA_", "TEMPORAL_", "PG")


def clean_environment(**values: str) -> dict[str, str]:
    """The user's environment without settings meant for another paysaga, Temporal or PostgreSQL, plus `values`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_PREFIXES)}
    # An empty profile, else the SDK and the CLI read the one in the user's home.
    return kept | {"TEMPORAL_CONFIG_FILE": os.devnull, "PYTHONUNBUFFERED": "1"} | values


def _open_log(log: Path) -> tuple[int, int]:
    """A descriptor to append to, and where the new output will begin."""
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return output, os.fstat(output).st_size


def describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


class Child:
    """One process. Its output goes to a log file, so nothing that outlives us holds a pipe of ours.

    Start it from a thread that stays (the main one): on Linux it ends with the thread that started it."""

    def __init__(self, process: asyncio.subprocess.Process, command: list[str], log: Path, log_start: int) -> None:
        self._process = process
        self._log_start = log_start
        self.command = command
        self.log = log

    @classmethod
    async def start(
        cls,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str],
        cwd: Path | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        unprivileged_uid: int | None = None,
    ) -> Self:
        tether = [sys.executable, "-I", "-S", str(_TETHER), death_signal.name, "--parent", str(os.getpid())]
        if unprivileged_uid is not None:
            tether += ["--unprivileged", str(unprivileged_uid)]
        program = [str(part) for part in command]
        output, log_start = _open_log(log)
        try:
            process = await asyncio.create_subprocess_exec(
                *tether,
                "--",
                *program,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(env),
                cwd=cwd,
                # A session of its own: Ctrl-C in the terminal is for the supervisor, which stops in order.
                start_new_session=True,
            )
        finally:
            os.close(output)
        return cls(process, program, log, log_start)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number if a signal ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        return await self._process.wait()

    def send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def stop(self, number: signal.Signals = signal.SIGTERM, *, timeout: float = 10) -> int:
        """End it with `number`, or with SIGKILL when that takes longer than `timeout` seconds."""
        self.send_signal(number)
        try:
            return await asyncio.wait_for(self.wait(), timeout)
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """With the helpers it started: they are its process group and get no chance to end by themselves."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return await self.wait()

    def output(self) -> str:
        """What it has written since it was started (the end of it, if it is long)."""
        with self.log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, end - _TAIL_BYTES))
            return file.read().decode(errors="replace")


class Server(ABC):
    """A process that is ready when it answers. Subclasses say how to start it and how to ask."""

    name: str
    # Where it must listen to be ready; None for one that doesn't.
    port: int | None = None
    # Signals differ: PostgreSQL's "fast" stop is SIGINT; Python servers and Temporal drain on SIGTERM.
    stop_signal = signal.SIGTERM
    stop_seconds = 10.0
    # Far more than a start takes, even on a slow or busy machine.
    ready_seconds = 60.0

    def __init__(self) -> None:
        self._child: Child | None = None
        # Told about every process as soon as it exists, before it is ready.
        self.on_launch: Callable[[Server, Child], None] | None = None

    @property
    def child(self) -> Child:
        if self._child is None:
            raise DevStackError(f"{self.name} has not been started")
        return self._child

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.exit_code is None

    async def start(self) -> None:
        """Start it and return when it answers."""
        self._child = await self._launch()
        try:
            if self.on_launch is not None:
                self.on_launch(self, self._child)
            await self._until_ready(self._child)
        except BaseException:
            await asyncio.shield(self._child.kill())
            raise

    async def wait(self) -> int:
        return await self.child.wait()

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop(self.stop_signal, timeout=self.stop_seconds)

    async def hurry(self) -> None:
        """Stop without waiting for work in progress, which has to survive that anyway."""
        await self.kill()

    async def kill(self) -> None:
        if self._child is not None:
            await self._child.kill()

    @abstractmethod
    async def _launch(self) -> Child: ...

    @abstractmethod
    async def _answers(self) -> bool: ...

    async def _until_ready(self, child: Child) -> None:
        deadline = time.monotonic() + self.ready_seconds
        while not (await self._answers() and self._listens(child)):
            if child.exit_code is not None:
                raise self._failed(f"{self.name} ended while starting ({describe_exit(child.exit_code)})")
            if time.monotonic() > deadline:
                raise self._failed(f"{self.name} did not answer within {self.ready_seconds:.0f} seconds")
            await asyncio.sleep(_POLL_SECONDS)

    def _listens(self, child: Child) -> bool:
        """Whether it is our process that answers, and not one of somebody else's who took the port meanwhile."""
        if self.port is None:
            return True
        try:
            connections = psutil.Process(child.pid).net_connections("tcp")
        except psutil.Error:
            return False
        return any(c.status == psutil.CONN_LISTEN and c.laddr.port == self.port for c in connections)

    def _failed(self, message: str) -> DevStackError:
        if self.child.exit_code == CANNOT_EXECUTE:
            return DevStackError(self.child.output().strip())
        return ProcessFailed(message, log=self.child.log, last_lines=self.child.output())
