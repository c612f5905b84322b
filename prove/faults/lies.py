"""Webhooks that say what is not so, and those that the processor never sent."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from multidict import CIMultiDict

from prove.faults.misbehaving import misbehaves, paid
from prove.faults.processor import asks_the_customer
from prove.faults.webhooks import HEADER, PATH, an_event, deliver, signature, until_told
from prove.field import Field
from prove.stack import WEBHOOK_SECRET
from prove.told import Json

# More than the service takes of an event.
TOO_LARGE: Final = 64 * 1024 + 1
# Twice what the service allows for clocks that differ.
OLD_SECONDS: Final = 600

Signed = tuple[bytes, Sequence[str]]
"""A body and its signatures."""

LIES: Final = ("refund.failed", "refund.succeeded", "capture.succeeded", "void.succeeded", "authorization.succeeded",
               "authorization.expired", "authorization.declined")  # fmt: skip


async def _lies(field: Field, random: Random) -> str | None:
    """About a charge, a refund, a hold, and a customer who has not confirmed."""
    charged, _ = await paid(field, random, "lied-about")
    refunded, payment = await paid(field, random, "lied-about")
    await field.shop.refund_until_answered(refunded, "r", random.randint(1, payment["amount"]))
    held, _ = await paid(field, random, "lied-about", capture="manual")
    asked = await asks_the_customer(field, random, "lied-about")
    about = [charged, refunded, held, *(asked[:1] if asked else ())]
    before = [(await field.shop.get_until_answered(key)).json.get("status") for key in about]
    events = [an_event(field, key, type_) for key in about for type_ in LIES]
    random.shuffle(events)
    await asyncio.gather(*(deliver(field, event) for event in events))
    became = await until_told(field, [event["id"] for event in events])
    after = [(await field.shop.get_until_answered(key)).json.get("status") for key in about]
    return f"{became.count('delivered')} of {len(became)} lies told: {', '.join(map(str, before))} is " + (
        "what they are" if after == before else f"now {', '.join(map(str, after))}"
    )


def _signed(event: Json, *, at: float = 0.0, secret: str = WEBHOOK_SECRET, more: bytes = b"") -> Signed:
    body = json.dumps(event).encode() + more
    return body, [signature(body, at=time.time() + at, secret=secret)]


def _altered(event: Json) -> Signed:
    body, signatures = _signed(event)
    return body.replace(b"failed", b"fooled"), signatures


FORGED: Final[tuple[tuple[int, Callable[[Json], Signed]], ...]] = (
    (400, lambda event: (json.dumps(event).encode(), [])),
    (400, lambda event: (_signed(event)[0], [*_signed(event)[1]] * 2)),
    (400, lambda event: _signed(event, secret="whsec_of_somebody_else")),  # noqa: S106 - it is nobody's
    (400, lambda event: _signed(event, secret="")),
    (400, _altered),
    (400, lambda event: _signed(event, at=-OLD_SECONDS)),
    (400, lambda event: _signed(event, at=OLD_SECONDS)),
    (400, lambda event: (_signed(event)[0], ["Bearer x"])),
    (400, lambda _event: (b"", [signature(b"")])),
    (400, lambda _event: (b"{", [signature(b"{")])),
    (400, lambda event: _signed(event | {"id": "evt\x00"})),
    (400, lambda event: _signed(event | {"data": {}})),
    (413, lambda event: _signed(event, more=b" " * TOO_LARGE)),
)


async def _forged(field: Field, random: Random) -> str | None:
    """About a payment that would have something to lose."""
    key, _ = await paid(field, random, "forged")
    await field.shop.refund_until_answered(key, "r")
    refused = 0
    for status, forge in FORGED:
        body, signatures = forge(an_event(field, key))
        headers = CIMultiDict([("Content-Type", "application/json"), *((HEADER, each) for each in signatures)])
        reply = await field.shop.send("bad", PATH, raw=body, headers=headers, expected=[status])
        refused += reply.status == status
    return f"{refused} of {len(FORGED)} refused" if refused else None


FAULTS: Final = (
    misbehaves("webhook-lies", ("F38",), "well signed events that say what is not so", _lies),
    misbehaves("webhook-forged", ("F37",), "events that are forged, altered, old or too large", _forged),
)
