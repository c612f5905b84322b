"""Somebody dies, or a message is lost or changed, at an exact moment of a payment or a refund."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from prove.catalogue import Fault, Inject, Lane
from prove.field import Field
from prove.links import Link
from prove.moments import Point, Strike, armed
from prove.points import points_of, points_of_refund
from prove.stack import POSTGRES

DOWN_SECONDS: Final = (0.0, 0.6)
# A payment is at each of its moments within milliseconds, unless another fault has struck it first.
PATIENCE_SECONDS: Final = 8.0
REFUND: Final = "refund"

Points = Callable[[str, str], dict[str, Point]]


def _inject(name: str) -> Inject:
    async def inject(field: Field, random: Random) -> str | None:
        key, body = field.key(name.replace("_", "-")), field.body(random)
        api = random.choice(field.stack.apis).server.name
        point = points_of(key, body["currency"])[name]
        tasks: list[asyncio.Task[object]] = []
        strike = _strike(field, point, api, random, tasks)
        async with armed(point, field.stack.links.values(), strike) as moment:
            field.ask_on(asyncio.create_task(field.pay(key, body, api=api)))
            reached = await moment.wait(PATIENCE_SECONDS)
        await asyncio.gather(*tasks)
        return _said(point, moment.seen_on) if reached else None

    return inject


def _inject_into_refund(name: str) -> Inject:
    async def inject(field: Field, random: Random) -> str | None:
        key, body = field.key(name.replace("_", "-")), field.body(random)
        if (await field.pay(key, body)).json.get("status") != "succeeded":
            return None
        point = points_of_refund(key, REFUND)[name]
        tasks: list[asyncio.Task[object]] = []
        strike = _strike(field, point, "", random, tasks)
        async with armed(point, field.stack.links.values(), strike) as moment:
            amount = random.choice([None, body["amount"] // 2])
            field.ask_on(asyncio.create_task(field.shop.refund_until_answered(key, REFUND, amount)))
            reached = await moment.wait(PATIENCE_SECONDS)
        await asyncio.gather(*tasks)
        return _said(point, moment.seen_on) if reached else None

    return inject


def _strike(field: Field, point: Point, api: str, random: Random, tasks: list[asyncio.Task[object]]) -> Strike | None:
    """What is done to whom. A process is dead when it returns; its new start goes on in `tasks`."""
    if point.target is None:
        return None

    async def strike(link: Link) -> None:
        who = {"worker": link.name.partition("/")[0], "api": api, "postgres": POSTGRES}[point.target or "worker"]
        if point.gently:
            tasks.append(asyncio.create_task(field.stack.restart(who)))
            return
        dead = asyncio.Event()
        tasks.append(asyncio.create_task(field.stack.kill(who, random.uniform(*DOWN_SECONDS), dead)))
        await dead.wait()

    return strike


def _said(point: Point, link: Link | None) -> str:
    return f"{point.what}, on {link.name}" if link is not None else point.what


def _fault(point: Point, inject: Inject) -> Fault:
    kind = "kill" if point.target is not None else "cut"
    return Fault(point.name.replace("_", "-"), point.covers, point.what, kind, Lane.BREAKS, inject)


FAULTS: Final = (
    *(_fault(point, _inject(name)) for name, point in points_of("").items()),
    *(_fault(point, _inject_into_refund(name)) for name, point in points_of_refund("", REFUND).items()),
)
