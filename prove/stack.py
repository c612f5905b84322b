"""The campaign's own stack: several workers and APIs, and a link between any two processes that talk."""

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from paysaga.dev.errors import DevStackError
from paysaga.dev.ports import HOST, free_ports
from paysaga.dev.postgres import EmbeddedPostgres
from paysaga.dev.process import Server, clean_environment, describe_exit
from paysaga.dev.services import ApiProcess, SandboxProcess, WorkerProcess, start_program, telling
from paysaga.dev.temporal import TemporalServer
from prove.links import Link

API_KEY: Final = "sk_test_of_the_campaign"
WEBHOOK_SECRET: Final = "whsec_of_the_campaign"  # noqa: S105 - of servers that end with the campaign
SETTINGS: Final = {
    "PAYSAGA_API_KEY": API_KEY,
    "PAYSAGA_WEBHOOK_SECRET": WEBHOOK_SECRET,
    # Short, so that a reply that never comes costs a campaign little. Production has 5 s.
    "PAYSAGA_PROCESSOR_TIMEOUT_SECONDS": "1.5",
    # So that some refunds find their payment open and others wake it.
    "PAYSAGA_QUIET_PERIOD_SECONDS": "3",
    "PAYSAGA_RECONCILE_EVERY_SECONDS": "30",
}
# What nobody confirms is over within the campaign; webhooks tell of everything, so that there are some to be lost.
PROCESSOR_FLAGS: Final = ("--action-period", "20", "--webhook-events", "all")
POSTGRES, TEMPORAL, PROCESSOR, CLIENTS = "postgres", "temporal", "processor", "clients"
WATCH_SECONDS: Final = 0.2

Said = TypeVar("Said")


@dataclass
class Node:
    """One process."""

    server: Server
    links: dict[str, Link] = field(default_factory=dict[str, Link])
    """Its own connections, by the server on the other end."""
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever has it down."""

    async def restart(self) -> None:
        """Let it finish, as a deployment does, and start it again."""
        async with self.busy:
            await self.server.stop()
            await self.server.start()


class Stack:
    """Everything is started from here, and stopped by its own process ID."""

    def __init__(self, data: Path) -> None:
        self.data = data
        postgres, temporal, processor = free_ports(3)
        self.postgres = EmbeddedPostgres(data, postgres)
        self.temporal = TemporalServer(data, temporal)
        self.processor_port = processor
        self.links: dict[str, Link] = {}
        self.nodes: dict[str, Node] = {POSTGRES: Node(self.postgres), TEMPORAL: Node(self.temporal)}
        self.deaths: list[tuple[float, str]] = []
        """When which process was killed, in seconds since the epoch."""
        self.unexpected: list[str] = []
        """Processes that ended although nobody had killed them."""
        self._deeds: set[asyncio.Task[Any]] = set()

    @property
    def workers(self) -> list[Node]:
        return [node for name, node in self.nodes.items() if name.startswith("worker")]

    @property
    def apis(self) -> list[Node]:
        return [node for name, node in self.nodes.items() if name.startswith("api")]

    @property
    def processor_url(self) -> str:
        """Without a link."""
        return f"http://{HOST}:{self.processor_port}"

    async def start(self, workers: int, apis: int) -> None:
        """Links first: what they listen on are the settings of the processes."""
        # The database's address can be told once its password is made.
        await self.postgres.start()
        await self._link("processor/api", ports := free_ports(apis)[0])
        flags = (*telling(self.processor_port, self.links["processor/api"].port), *PROCESSOR_FLAGS)
        processor = SandboxProcess(
            self.data / "processor.db", self.processor_port, flags=flags, webhook_secret=WEBHOOK_SECRET
        )
        self.nodes[PROCESSOR] = Node(processor)
        await asyncio.gather(self.temporal.start(), processor.start())
        await self._migrate()
        for number in range(workers):
            await self._add_worker(f"worker-{number + 1}")
        for number in range(apis):
            await self._add_api(f"api-{number + 1}", ports if number == 0 else free_ports(1)[0])
        await asyncio.gather(*(node.server.start() for node in (*self.workers, *self.apis)))

    async def _migrate(self) -> None:
        settings = SETTINGS | {"PAYSAGA_DATABASE_URL": self.postgres.dsn, "PAYSAGA_PROCESSOR_URL": self.processor_url}
        await self.run("migrate", env=clean_environment(**settings, TEMPORAL_ADDRESS=self.temporal.address))

    async def run(self, *command: str, env: dict[str, str] | None = None) -> tuple[int, str]:
        """`paysaga command` to its end; its exit code and what it said. Raises `DevStackError` if `migrate` fails."""
        log = self.data / f"{command[0]}-{time.time_ns()}.log"
        child = await start_program("paysaga", *command, log=log, env=env or self.env())
        code, said = await child.wait(), child.output()
        if command[0] == "migrate" and code != 0:
            raise DevStackError(f"paysaga migrate: {said}")
        return code, said

    def env(self, links: dict[str, Link] | None = None) -> dict[str, str]:
        """The environment of a process of ours that talks over these links; without any, directly."""
        to = {name: link.port for name, link in (links or {}).items()}
        database = self.postgres.dsn.replace(f":{self.postgres.port}/", f":{to.get(POSTGRES, self.postgres.port)}/")
        addresses = {
            "PAYSAGA_DATABASE_URL": database,
            "PAYSAGA_PROCESSOR_URL": f"http://{HOST}:{to.get(PROCESSOR, self.processor_port)}",
            "TEMPORAL_ADDRESS": f"{HOST}:{to.get(TEMPORAL, self.temporal.port)}",
        }
        return clean_environment(**SETTINGS, **addresses)

    async def _add_worker(self, name: str) -> None:
        links = await self._own_links(name, POSTGRES, TEMPORAL, PROCESSOR)
        self._add(name, WorkerProcess(self.env(links), log=self.data / f"{name}.log"), links)

    async def _add_api(self, name: str, port: int) -> None:
        links = await self._own_links(name, POSTGRES, TEMPORAL)
        server = ApiProcess(self.env(links), port, log=self.data / f"{name}.log")
        links[CLIENTS] = await self._link(f"{CLIENTS}/{name}", port)
        self._add(name, server, links)

    def _add(self, name: str, server: Server, links: dict[str, Link]) -> None:
        server.name = name
        self.nodes[name] = Node(server, links)

    async def _own_links(self, name: str, *targets: str) -> dict[str, Link]:
        ports = {POSTGRES: self.postgres.port, TEMPORAL: self.temporal.port, PROCESSOR: self.processor_port}
        return {target: await self._link(f"{name}/{target}", ports[target] or 0) for target in targets}

    async def _link(self, name: str, port: int) -> Link:
        link = self.links[name] = Link(name, port)
        await link.open()
        return link

    # What faults do to processes.

    async def kill(self, name: str, down_seconds: float = 0.0, dead: asyncio.Event | None = None) -> str:
        """Kill it with -9, and start it again after so long; what happened, in words. `dead` is set in between."""

        async def killed() -> str:
            async with self.nodes[name].busy:
                server = self.nodes[name].server
                await server.kill()
                self.deaths.append((time.time(), name))
                if dead is not None:
                    dead.set()
                await asyncio.sleep(down_seconds)
                await server.start()
            return f"killed {name}"

        return await self.to_its_end(killed())

    async def restart(self, name: str) -> str:
        """See `Node.restart`; in words."""
        await self.to_its_end(self.nodes[name].restart())
        return f"restarted {name}"

    async def to_its_end(self, deed: Coroutine[None, None, Said]) -> Said:
        """Whoever has no time to wait for it leaves it to itself: what was taken down comes up again."""
        self._deeds.add(task := asyncio.create_task(deed))
        task.add_done_callback(self._deeds.discard)
        return await asyncio.shield(task)

    async def watch(self) -> None:
        """Until cancelled: start again whatever ends by itself, and remember it. Nothing may."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for name, node in self.nodes.items():
                if not node.busy.locked() and not node.server.running:
                    code = describe_exit(node.server.child.exit_code or 0)
                    self.unexpected.append(f"{name} ended by itself ({code}): {node.server.child.output()[-300:]}")
                    async with node.busy:
                        await node.server.start()

    async def all_is_up(self) -> None:
        """Nobody is being killed or started any more."""
        await asyncio.gather(*self._deeds, return_exceptions=True)

    async def stop(self) -> None:
        """Who asks ends before who answers."""
        await self.all_is_up()
        await _stopped(node.server for node in (*self.apis, *self.workers))
        await _stopped(node.server for node in self.nodes.values())
        for link in self.links.values():
            await link.close()


async def _stopped(servers: Iterable[Server]) -> None:
    await asyncio.gather(*(server.hurry() for server in servers if server.running))


@asynccontextmanager
async def open_stack(data: Path, workers: int, apis: int) -> AsyncGenerator[Stack]:
    """A whole stack, which ends with the block."""
    async with AsyncExitStack() as exits:
        stack = Stack(data)
        exits.push_async_callback(stack.stop)
        await stack.start(workers, apis)
        yield stack
