"""One system under test: its own servers in a directory of its own, started fresh, stopped by process ID."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import asyncpg

from benchmarks.systems.environment import DATABASE_URL, PORT, PROCESSOR_URL, TEMPORAL_ADDRESS, WORKER_READY
from ledger.migrate import migrate
from paysaga.dev.ports import HOST, free_port
from paysaga.dev.postgres import EmbeddedPostgres
from paysaga.dev.process import Child, Server, clean_environment
from paysaga.dev.services import SandboxProcess, start_program
from paysaga.dev.temporal import TemporalServer


class System(ABC):
    """A payment service with `POST /v1/payments` and an `Idempotency-Key`, and the servers that it needs."""

    name: ClassVar[str]
    label: ClassVar[str]
    # How many times the usual number of payments one measurement takes, so that a fast system's is not over at once.
    pace: ClassVar[int] = 1
    # Sent with every payment, beside its key.
    headers: Mapping[str, str] = {}

    def __init__(self, data: Path) -> None:
        self.data = data
        self.postgres = EmbeddedPostgres(data, free_port())
        self.sandbox = SandboxProcess(data / "sandbox.sqlite", free_port())
        self.temporal = self._temporal()
        self._programs: dict[str, Server] = {}

    @property
    @abstractmethod
    def url(self) -> str:
        """The API's address."""

    @abstractmethod
    def _temporal(self) -> TemporalServer | None:
        """Its Temporal server, if it has one."""

    @abstractmethod
    def _services(self) -> dict[str, Server]:
        """Its own programs by what they do; called when the servers below them run."""

    @property
    def measured(self) -> dict[str, Server]:
        """Whose CPU and memory count: all but the sandbox, which stands for somebody else's computer."""
        engine: dict[str, Server] = {} if self.temporal is None else {"temporal": self.temporal}
        return self._programs | engine | {"postgres": self.postgres}

    @property
    def pids(self) -> dict[str, int]:
        """Of what is measured and runs."""
        return {name: server.pid for name, server in self.measured.items() if server.running}

    async def start(self) -> None:
        """Everything, ready for payments."""
        await _start_together(self._base())
        connection = await asyncpg.connect(self.postgres.dsn)
        try:
            await migrate(connection)
        finally:
            await connection.close()
        self._programs = self._services()
        await _start_together(self._programs.values())

    async def stop(self) -> None:
        """Without waiting for anything, since its data goes, too. Also after a start that failed or was interrupted."""
        servers = (*self._programs.values(), *self._base())
        await asyncio.gather(*(server.hurry() for server in servers if server.running))

    def _base(self) -> Sequence[Server]:
        return [self.postgres, self.sandbox, *([] if self.temporal is None else [self.temporal])]

    def _environment(self) -> dict[str, str]:
        """Of the benchmark's own programs."""
        temporal = {} if self.temporal is None else {TEMPORAL_ADDRESS: self.temporal.address}
        return clean_environment(**{DATABASE_URL: self.postgres.dsn, PROCESSOR_URL: self.sandbox.url}, **temporal)


class HttpProgram(Server):
    """A program of the benchmark that serves HTTP. `env` is its whole environment."""

    def __init__(self, name: str, module: str, env: Mapping[str, str], log: Path) -> None:
        super().__init__()
        self.name = name
        self.port = free_port()
        self._module = module
        self._env = dict(env) | {PORT: str(self.port)}
        self._log = log

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def _launch(self) -> Child:
        return await start_program(self._module, log=self._log, env=self._env)

    async def _answers(self) -> bool:
        return True  # it connects before it listens, and the port is looked at by the caller


class WorkerProgram(Server):
    """A program of the benchmark that says when it is ready. `env` is its whole environment."""

    # A worker finishes what it has.
    stop_seconds = 12.0

    def __init__(self, name: str, module: str, env: Mapping[str, str], log: Path) -> None:
        super().__init__()
        self.name = name
        self._module = module
        self._env = dict(env)
        self._log = log

    async def _launch(self) -> Child:
        return await start_program(self._module, log=self._log, env=self._env)

    async def _answers(self) -> bool:
        return WORKER_READY in self.child.output()


async def _start_together(servers: Iterable[Server]) -> None:
    """All at once; the first that fails cancels the others and is raised itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for server in servers:
                group.create_task(server.start())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
