"""Webhooks that come twice, late, in the wrong order, in floods or never."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from random import Random
from typing import Final

import aiohttp
import asyncpg
from temporalio.service import RPCError

from paysaga.dev.ports import HOST
from prove.faults.misbehaving import LOOK_EVERY_SECONDS, afterwards, misbehaves, paid, until, until_true
from prove.faults.processor import asks_the_customer, confirm
from prove.field import Field
from prove.stack import WEBHOOK_SECRET
from prove.told import Json

PATH: Final = "/v1/webhooks/sandbox"
HEADER: Final = "Sandbox-Signature"
CONFIRMED: Final = "authorization.succeeded"
FAILED: Final = "refund.failed"
FLOOD: Final = 300
FLOOD_AT_ONCE: Final = 16
RESENT: Final = 5


def an_event(field: Field, payment: str, type_: str = "refund.failed") -> Json:
    """One that nobody has sent yet."""
    data = {"id": "re_1", "payment_id": payment, "amount": 1}
    return {"id": field.key("evt"), "type": type_, "created_at": "2026-11-23T12:00:00.000000Z", "data": data}


def signature(body: bytes, *, at: float | None = None, secret: str = WEBHOOK_SECRET) -> str:
    """As the processor makes it."""
    seconds = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


async def deliver(field: Field, event: Json) -> None:
    """In the processor's place, well signed, and again until somebody has taken it."""
    url = f"http://{HOST}:{field.stack.links['processor/api'].port}{PATH}"
    body = json.dumps(event).encode()
    while True:
        headers = {"Content-Type": "application/json", HEADER: signature(body)}
        with suppress(aiohttp.ClientError, OSError):
            async with field.http.post(url, data=body, headers=headers) as reply:
                if reply.status == 200:
                    return
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def outcomes(field: Field, ids: Sequence[str]) -> list[str | None]:
    """What became of those of these events that are stored, the first to arrive first."""
    while True:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with field.database() as db:
                rows = await db.fetch(
                    "SELECT outcome FROM webhook_events WHERE id = ANY($1) ORDER BY received_at", list(ids)
                )
                return [row["outcome"] for row in rows]
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def until_told(field: Field, ids: Sequence[str]) -> list[str | None]:
    """Once each has led to something, or to nothing."""
    while None in (found := await outcomes(field, ids)) or len(found) < len(ids):
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    return found


@asynccontextmanager
async def sent(field: Field, mode: str) -> AsyncGenerator[None]:
    """All webhooks of the processor for a while."""
    await field.ask_processor("POST", "/webhooks", {"mode": mode})
    try:
        yield
    finally:
        # However this ends: whoever gave up has no time left to wait.
        await asyncio.shield(field.ask_processor("POST", "/webhooks", {"mode": "normal"}))


async def _confirmed(field: Field, random: Random, word: str) -> tuple[str, Json] | None:
    """A payment whose customer has just confirmed, of which the processor has an event."""
    asked = await asks_the_customer(field, random, word)
    if asked is None:
        return None
    key, body, path = asked
    await confirm(field, key, path)
    return key, body


async def _repeated(field: Field, random: Random) -> str | None:
    async with sent(field, "duplicate"):
        if (confirmed := await _confirmed(field, random, "thrice")) is None:
            return None
        key, body = confirmed
        await until_true(lambda: _delivered(field, key, CONFIRMED))
    reply = await field.pay(key, body)
    event = await _event_of(field, key, CONFIRMED)
    for _ in range(RESENT):
        await field.ask_processor("POST", f"/events/{event['id']}/resend")
    await until_true(lambda: _delivered(field, key, CONFIRMED))
    stored = await until_told(field, [event["id"]])
    return f"sent 3 times, resent {RESENT} times, stored {len(stored)} times: {reply.json.get('status')}"


async def _event_of(field: Field, payment: str, type_: str) -> Json:
    """What the processor tells of it under this name; empty as long as it has nothing to tell."""
    events: list[Json] = (await field.ask_processor("GET", f"/events?payment_id={payment}"))["data"]
    return next((event for event in events if event["type"] == type_), Json())


async def _delivered(field: Field, payment: str, type_: str) -> bool:
    return bool((await _event_of(field, payment, type_)).get("delivered_at"))


async def _reversed(field: Field, random: Random) -> str | None:
    """That a refund has failed arrives before that the customer has confirmed."""
    async with sent(field, "hold"):
        if (confirmed := await _confirmed(field, random, "reversed")) is None:
            return None
        key, body = confirmed
        with suppress(RPCError):  # it would look by itself, after five seconds
            await field.workflow(key).signal("check", {"events": []})
        await field.pay(key, body)
        await field.script("refund_fails_later", payment_id=key, operation="refund", seconds=0.3)
        await field.shop.refund_until_answered(key, "r")
        await until_true(lambda: _told_of(field, key, FAILED))
        held = [await _event_of(field, key, type_) for type_ in (CONFIRMED, FAILED)]
    for type_ in (CONFIRMED, FAILED):
        await until_true(partial(_delivered, field, key, type_))
    stands = await until(field, key, lambda p: [r["status"] for r in p.get("refunds", [])] == ["failed"])
    were_held = all(event["delivered_at"] is None for event in held)
    return f"what came first was told last: {stands['status']}" if were_held else None


async def _told_of(field: Field, payment: str, type_: str) -> bool:
    return bool(await _event_of(field, payment, type_))


async def _dropped(field: Field, random: Random) -> str | None:
    async with sent(field, "drop"):
        if (confirmed := await _confirmed(field, random, "dropped")) is None:
            return None
        key, body = confirmed
    reply = await field.pay(key, body)
    event = await _event_of(field, key, CONFIRMED)
    stored = await outcomes(field, [event["id"]])
    return f"the confirmation's event never came: {reply.json.get('status')}" if not stored else None


async def _unknown(field: Field, random: Random) -> str | None:
    """And then there is one of this name."""
    key = field.key("not-yet-known")
    event = an_event(field, key)
    await deliver(field, event)
    [outcome] = await until_told(field, [event["id"]])
    reply = await field.pay(key, field.body(random))
    return f"{outcome}; then paid: {reply.json.get('status')}"


async def _flood(field: Field, random: Random) -> str | None:
    key, _ = await paid(field, random, "flooded")
    events = [an_event(field, key, random.choice(("refund.failed", "refund.succeeded"))) for _ in range(FLOOD)]
    places = asyncio.Semaphore(FLOOD_AT_ONCE)

    async def one(event: Json) -> None:
        async with places:
            await deliver(field, event)

    await asyncio.gather(*map(one, events))
    became = await until_told(field, [event["id"] for event in events])
    status = await afterwards(field.shop.refund_until_answered(key, "r"))
    return f"{became.count('delivered')} of {len(became)} told; a refund afterwards: {status}"


FAULTS: Final = (
    misbehaves("webhook-repeated", ("F36",), "an event is sent three times at once and resent", _repeated),
    misbehaves("webhook-reversed", ("F36", "F33"), "events are held back and come last first", _reversed),
    misbehaves("webhook-dropped", ("F36",), "an event never comes", _dropped),
    misbehaves("webhook-of-unknown-payment", ("F36",), "an event of a payment that comes later", _unknown),
    misbehaves("webhook-flood", ("F35",), "300 events of one payment", _flood),
)  # fmt: skip
