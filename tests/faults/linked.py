"""A stack whose processes reach their servers through links: who talks to whom is known, and can be struck."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from paysaga.dev.ports import HOST
from paysaga.dev.process import Server
from paysaga.dev.services import ApiProcess, WorkerProcess
from prove.links import Link
from prove.moments import Moment, Point, armed
from tests.harness import Servers, Stack, open_servers, running

# Two, so that there is one to go on while the other is started again.
WORKERS = ("worker-1", "worker-2")
# Longer than a payment takes that somebody else's strike has held up.
REACHED_SECONDS = 30


class Linked:
    """Strikes, and starts again whom it has struck."""

    def __init__(self, stack: Stack, links: list[Link], processes: Mapping[str, Server]) -> None:
        self.stack = stack
        self.links = links
        self.exit_codes: dict[str, int] = {}
        """How those have ended who were struck, by the point's name."""
        self._processes = processes
        self._starting: dict[Server, asyncio.Task[None]] = {}

    async def meets(self, point: Point, asking: Awaitable[Any]) -> bool:
        """Whether the point is reached when this is asked for; whoever asks may get no answer."""
        async with armed(point, self.links, lambda link: self._strike(point, link)) as moment:
            return (await asyncio.gather(self._reached(moment), _unanswered(asking)))[0]

    async def all_up(self) -> None:
        await asyncio.gather(*self._starting.values())

    async def _reached(self, moment: Moment) -> bool:
        return await moment.wait(REACHED_SECONDS)

    async def _strike(self, point: Point, link: Link) -> None:
        if point.target is None:
            return
        process = self._processes[link.name.partition("/")[0] if point.target == "worker" else point.target]
        if point.gently:
            process.child.send_signal(signal.SIGTERM)
        else:
            await process.kill()
        self._starting[process] = asyncio.create_task(self._start_again(point, process))

    async def _start_again(self, point: Point, process: Server) -> None:
        self.exit_codes[point.name] = await process.wait()
        await process.start()


async def _unanswered(asking: Awaitable[Any]) -> None:
    try:
        await asking
    except httpx2.HTTPError:
        # The API was killed. Whoever wants to know asks again.
        return


@asynccontextmanager
async def open_linked(data: Path) -> AsyncGenerator[Linked]:
    """Two workers and an API."""
    async with AsyncExitStack() as exits:
        servers = await exits.enter_async_context(open_servers(data))
        links: list[Link] = []
        environments: list[dict[str, str]] = []
        for who in (*WORKERS, "api"):
            environments.append(await _linked_environment(exits, servers, who, links))
        workers = [WorkerProcess(env, log=data / f"{who}.log") for who, env in zip(WORKERS, environments, strict=False)]
        api = ApiProcess(environments[-1], servers.api_port, log=data / "api.log")
        await exits.enter_async_context(running(*workers, api, hurry=True))
        stack = Stack(servers, workers[0], api)
        exits.push_async_callback(stack.close)
        processes = dict(zip(WORKERS, workers, strict=True)) | {"api": api, "postgres": servers.postgres}
        linked = Linked(stack, links, processes)
        exits.push_async_callback(linked.all_up)
        yield linked


async def _linked_environment(exits: AsyncExitStack, servers: Servers, who: str, links: list[Link]) -> dict[str, str]:
    ports: dict[str, int] = {}
    targets = {"postgres": servers.postgres, "processor": servers.sandbox, "temporal": servers.temporal}
    for server, target in targets.items():
        assert target.port is not None
        link = Link(f"{who}/{server}", target.port)
        await link.open()
        exits.push_async_callback(link.close)
        links.append(link)
        ports[server] = link.port
    return servers.env(
        PAYSAGA_DATABASE_URL=servers.postgres.dsn.replace(f":{servers.postgres.port}/", f":{ports['postgres']}/"),
        PAYSAGA_PROCESSOR_URL=f"http://{HOST}:{ports['processor']}",
        TEMPORAL_ADDRESS=f"{HOST}:{ports['temporal']}",
    )
