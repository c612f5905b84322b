"""Processes that die, freeze or are deployed anew."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Final

import psutil

from paysaga.dev.process import Server
from prove.catalogue import Fault, Inject, Lane
from prove.field import Field
from prove.stack import POSTGRES, PROCESSOR, TEMPORAL

DOWN_SECONDS: Final = (0.0, 1.5)
FROZEN_SECONDS: Final = (0.5, 2.5)
# Longer than a try of an activity may take: its work is done again elsewhere, and then it wakes up.
LONG_FROZEN_SECONDS: Final = 12.0
_LOOK_SECONDS: Final = 0.002


def _kill(*prefixes: str) -> Inject:
    async def inject(field: Field, random: Random) -> str:
        names = [name for name in field.stack.nodes if name.startswith(prefixes)]
        return await field.stack.kill(random.choice(names), random.uniform(*DOWN_SECONDS))

    return inject


async def _kill_everything(field: Field, random: Random) -> str:
    """A power cut."""
    nodes = field.stack.nodes
    await asyncio.gather(*(field.stack.kill(name, random.uniform(*DOWN_SECONDS)) for name in nodes))
    return "killed everything"


async def _deploy(field: Field, _random: Random) -> str:
    """One worker after another."""
    names = [node.server.name for node in field.stack.workers]
    for name in names:
        await field.stack.restart(name)
    return f"restarted {', '.join(names)}"


async def _deploy_api(field: Field, random: Random) -> str:
    return await field.stack.restart(random.choice(field.stack.apis).server.name)


def _freeze(*prefixes: str, seconds: tuple[float, float] = FROZEN_SECONDS) -> Inject:
    async def inject(field: Field, random: Random) -> str:
        name = random.choice([name for name in field.stack.nodes if name.startswith(prefixes)])
        node = field.stack.nodes[name]
        duration = random.uniform(*seconds)
        async with node.busy, frozen(node.server):
            await asyncio.sleep(duration)
        return f"froze {name} for {duration:.1f} s"

    return inject


@asynccontextmanager
async def frozen(server: Server) -> AsyncGenerator[None]:
    """It keeps its connections and answers nobody, as a machine does that stands still."""
    parent = psutil.Process(server.pid)
    family = [parent, *parent.children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    try:
        # One of its threads has to run to stop the others: on a busy machine they go on for a while.
        while any(_goes_on(process) for process in family):
            await asyncio.sleep(_LOOK_SECONDS)
        yield
    finally:
        for process in family:
            if process.is_running():
                process.send_signal(signal.SIGCONT)


def _goes_on(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
    return False


def _process(name: str, covers: tuple[str, ...], what: str, inject: Inject) -> Fault:
    return Fault(name, covers, what, "kill", Lane.BREAKS, inject)


FAULTS: Final = (
    _process("worker-killed", ("F05", "F06", "F07"), "a worker is killed at any moment", _kill("worker")),
    _process("api-killed", ("F01", "F03"), "an API is killed at any moment", _kill("api")),
    _process("postgresql-killed", ("F18",), "PostgreSQL is killed at any moment", _kill(POSTGRES)),
    _process("temporal-killed", ("F22",), "the Temporal server is killed at any moment", _kill(TEMPORAL)),
    _process("processor-killed", ("F17",), "the processor is killed at any moment", _kill(PROCESSOR)),
    _process("everything-killed", ("F18", "F22"), "the power fails: all processes die together", _kill_everything),
    _process("workers-deployed", ("F52",), "every worker is stopped and started, one after another", _deploy),
    _process("api-deployed", ("F52",), "an API is stopped and started, as by a deployment", _deploy_api),
    _process("worker-frozen", ("F16",), "a worker stands still for longer than a try may take, and goes on",
             _freeze("worker", seconds=(LONG_FROZEN_SECONDS, LONG_FROZEN_SECONDS))),
    _process("postgresql-frozen", ("F18",), "PostgreSQL stands still", _freeze(POSTGRES)),
    _process("temporal-frozen", ("F22",), "the Temporal server stands still", _freeze(TEMPORAL)),
    _process("processor-frozen", ("F16",), "the processor stands still", _freeze(PROCESSOR)),
)  # fmt: skip
