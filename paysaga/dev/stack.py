"""Everything on one machine: started in order, kept running, stopped in reverse order."""

import asyncio
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

import asyncpg

from ledger.migrate import MigrationChanged, migrate
from paysaga.dev.console import Console
from paysaga.dev.data_dir import DataDir, write_env
from paysaga.dev.errors import DevStackError
from paysaga.dev.leftovers import ProcessRecord, record
from paysaga.dev.options import Options
from paysaga.dev.ports import HOST
from paysaga.dev.postgres import EmbeddedPostgres
from paysaga.dev.process import Child, Server, clean_environment, describe_exit
from paysaga.dev.services import ApiProcess, SandboxProcess, WorkerProcess, telling
from paysaga.dev.temporal import NAMESPACE, TemporalServer

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
# A process that ran this long was fine: its next end begins with the short pause again.
_HEALTHY_SECONDS = 30.0


class Stack:
    """The five processes of `paysaga dev`. Its options have real ports, its data directory is ours."""

    def __init__(self, options: Options, data: DataDir, console: Console) -> None:
        self._data = data
        self._console = console
        self._records: dict[str, ProcessRecord] = {}
        self._watches: list[asyncio.Task[None]] = []
        self._postgres = EmbeddedPostgres(data.path, data.postgres_port())
        self._temporal = TemporalServer(data.path, options.temporal_port, options.ui_port)
        secret = data.webhook_secret()
        flags = telling(options.processor_port, options.api_port)
        self._processor = SandboxProcess(
            data.path / "processor.db", options.processor_port, flags=flags, webhook_secret=secret
        )
        self._postgres.check()
        self._temporal.check()
        self._settings = {
            "PAYSAGA_DATABASE_URL": self._postgres.dsn,
            "PAYSAGA_PROCESSOR_URL": self._processor.url,
            "PAYSAGA_API_KEY": data.api_key(options.api_key),
        }
        temporal = {"TEMPORAL_ADDRESS": self._temporal.address, "TEMPORAL_NAMESPACE": NAMESPACE}
        # So that people can have webhooks sent to a program on this machine.
        own = {"PAYSAGA_API_HOST": HOST, "PAYSAGA_WEBHOOKS_TO_PRIVATE_ADDRESSES": "true"}
        self._env = clean_environment(**self._settings, **temporal, **own)
        self._worker = WorkerProcess(self._env, log=data.path / "worker.log")
        takes_webhooks = self._env | {"PAYSAGA_WEBHOOK_SECRET": secret}
        self._api = ApiProcess(takes_webhooks, options.api_port, log=data.path / "api.log")

    @property
    def addresses(self) -> dict[str, str]:
        """What other programs need; the names are part of the contract."""
        return self._settings | {
            "PAYSAGA_API_URL": self._api.url,
            "TEMPORAL_ADDRESS": self._temporal.address,
            "TEMPORAL_UI_URL": f"http://{HOST}:{self._temporal.ui_port}",
        }

    async def start(self) -> None:
        if not self._postgres.pgdata.exists():
            self._console.step(self._postgres.name, "creating a new database")
        await _together(self._start(server) for server in (self._postgres, self._temporal, self._processor))
        await self._migrate()
        await _together([self._start(self._worker), self._start(self._api)])
        write_env(self._data.env_file, self.addresses)
        self._data.note("running")

    async def keep_running(self) -> None:
        """Until cancelled."""
        await asyncio.gather(*self._watches)

    async def stop(self) -> None:
        """Who asks ends before who answers."""
        self._data.note("stopping")
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        base: list[Server] = [self._processor, self._temporal, self._postgres]
        for group in ([self._api], [self._worker], base):
            running = [server for server in group if server.running]
            if running:
                self._console.step(" and ".join(server.name for server in running), "stopping")
            await asyncio.gather(*(server.stop() for server in running))
        self._data.forget()

    async def hurry(self) -> None:
        await asyncio.gather(*(server.hurry() for server in self._servers() if server.running))

    def _servers(self) -> list[Server]:
        return [self._postgres, self._temporal, self._processor, self._worker, self._api]

    async def _start(self, server: Server) -> None:
        server.on_launch = self._note_process
        begun = time.monotonic()
        await server.start()
        self._console.step(server.name, f"ready ({time.monotonic() - begun:.1f} s)")
        self._watches.append(asyncio.create_task(self._watch(server)))

    async def _migrate(self) -> None:
        """As `paysaga migrate` does, without the second or two that one more Python process takes to start. Temporal
        was told about the search attributes when it was started."""
        try:
            connection = await asyncpg.connect(self._postgres.dsn, timeout=10)
            try:
                applied = await migrate(connection)
            finally:
                await connection.close()
        except (MigrationChanged, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise DevStackError(f"the database in {self._postgres.pgdata} can't be migrated: {error}") from error
        self._console.step("database", f"migrated ({', '.join(applied)})" if applied else "up to date")

    async def _watch(self, server: Server) -> None:
        """Start it again whenever it ends."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            begun = time.monotonic()
            code = await server.wait()
            ended = time.monotonic()
            if ended - begun > _HEALTHY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            self._console.step(server.name, f"ended ({describe_exit(code)}), starting it again")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            try:
                await server.start()
            except (DevStackError, OSError) as error:
                self._console.step(server.name, f"did not start: {error}")
            else:
                self._console.step(server.name, f"back after {time.monotonic() - ended:.1f} s")

    def _note_process(self, server: Server, child: Child) -> None:
        entry = record(child, server.stop_signal)
        if entry is not None:
            self._records[server.name] = entry
            with suppress(OSError):  # a full disk: only a start after a kill would have needed the note
                self._data.keep_processes(list(self._records.values()))


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All at once; the first that fails cancels the others and is raised itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
