"""What the faults of one payment have in common: they are given up in time, and wait for what the service says."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from prove.catalogue import Fault, Inject, Lane
from prove.field import Field
from prove.shop import Reply
from prove.told import Json

# Whatever is killed meanwhile is back by then. What goes on afterwards is the auditor's business.
GIVE_UP_SECONDS: Final = 50.0
AFTERWARDS_SECONDS: Final = 5.0
LOOK_EVERY_SECONDS: Final = 0.1
CHARGED: Final = frozenset({"succeeded", "partially_refunded", "refunded"})


def misbehaves(name: str, covers: tuple[str, ...], what: str, inject: Inject) -> Fault:
    """A fault of one payment. It has not happened when it takes too long."""

    async def in_time(field: Field, random: Random) -> str | None:
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                return await inject(field, random)
        except TimeoutError:
            return None

    return Fault(name, covers, what, "other", Lane.MISBEHAVES, in_time)


async def paid(field: Field, random: Random, word: str, **fields: object) -> tuple[str, Json]:
    """A payment, its key and how it stands."""
    key = field.key(word)
    reply = await field.pay(key, field.body(random, **fields))
    return key, reply.json


async def until(field: Field, payment: str, condition: Callable[[Json], bool]) -> Json:
    """How the payment stands once this is so."""
    while not condition(stands := (await field.shop.get_until_answered(payment)).json):
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    return stands


async def afterwards(asked: Awaitable[Reply]) -> str:
    """What is answered after a flood; who waits in its queue is answered when this is over."""
    try:
        async with asyncio.timeout(AFTERWARDS_SECONDS):
            return str((await asked).status)
    except TimeoutError:
        return "no answer yet"


async def until_true(condition: Callable[[], Awaitable[bool]]) -> None:
    """Look until it is so."""
    while not await condition():
        await asyncio.sleep(LOOK_EVERY_SECONDS)
