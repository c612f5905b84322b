"""Machines whose clocks are wrong."""

import asyncio
import os
import re
import time
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Final

from paysaga.dev.services import ApiProcess, WorkerProcess
from prove.catalogue import Fault, Inject
from prove.faults.misbehaving import misbehaves
from prove.field import Field
from prove.stack import Node

# As with a time zone that was set wrong. Far more than the service allows for (five minutes for a webhook) and than the
# ages of the webhooks that the campaign forges: those must not look fresh to anybody.
WRONG_SECONDS: Final = 3600.0
FOR_SECONDS: Final = 6.0
# What a start may take.
TOLERANCE_SECONDS: Final = 30.0
_FOLDER: Final = Path(__file__).parents[1] / "clock"
_SAID: Final = re.compile(r"^clock ([\d.]+)$", re.MULTILINE)


def _step(kind: str) -> Inject:
    # One after another: each puts back what it has found.
    turn = asyncio.Lock()

    async def inject(field: Field, random: Random) -> str | None:
        nodes = field.stack.workers if kind == "worker" else field.stack.apis
        node, seconds = random.choice(nodes), random.choice((-WRONG_SECONDS, WRONG_SECONDS))
        return await field.stack.to_its_end(_in_turn(turn, _wrong(field, random, node, seconds)))

    return inject


async def _in_turn(turn: asyncio.Lock, deed: Coroutine[None, None, str | None]) -> str | None:
    async with turn:
        return await deed


async def _wrong(field: Field, random: Random, node: Node, seconds: float) -> str | None:
    """Stopped and started with this clock, and after a while with the right one."""
    server = node.server
    if not isinstance(server, ApiProcess | WorkerProcess):
        raise TypeError(f"{server.name} has no environment of ours")
    right = server.env
    path = os.pathsep.join(filter(None, (str(_FOLDER), right.get("PYTHONPATH"))))
    server.env = right | {"PYTHONPATH": path, "PROVE_CLOCK_SECONDS": str(seconds)}
    try:
        await node.restart()
        is_off = _is_off(server.child.output(), seconds)
        api = server.name if isinstance(server, ApiProcess) else None
        paying = field.pay(field.key("clock"), field.body(random), **({} if api is None else {"api": api}))
        field.ask_on(asyncio.create_task(paying))
        await asyncio.sleep(FOR_SECONDS)
    finally:
        server.env = right
        await node.restart()
    return f"{server.name}'s clock was {seconds:+.0f} s off for {FOR_SECONDS:.0f} s" if is_off else None


def _is_off(said: str, seconds: float) -> bool:
    """The process itself has read such a clock."""
    clocks = _SAID.findall(said)
    return bool(clocks) and abs(float(clocks[-1]) - time.time() - seconds) < TOLERANCE_SECONDS


def _fault(kind: str, name: str) -> Fault:
    return misbehaves(f"{kind}-clock", ("F40",), f"the clock of {name} is an hour off", _step(kind))


FAULTS: Final = (_fault("worker", "a worker"), _fault("api", "an API"))
