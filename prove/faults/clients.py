"""Clients who send everything twice, contradict themselves, don't wait, and write what they like."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Iterable
from random import Random
from typing import Any, Final

from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from prove.faults.misbehaving import misbehaves, paid, until, until_true
from prove.field import Field
from prove.shop import Reply
from prove.told import Json

DUPLICATES: Final = 50
REFUNDS: Final = 30
OF_ONE_ORDER: Final = 8
IMPATIENT_TRIES: Final = 6
IMPATIENCE_SECONDS: Final = (0.005, 0.2)
# Refused only if it is surely the second: 503 says nothing.
REUSED: Final = [422, 503]


def counted(replies: Iterable[Reply]) -> str:
    """How often which status was answered."""
    counts = Counter("none" if reply.status is None else str(reply.status) for reply in replies)
    return ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))


def _apis(field: Field) -> list[str]:
    return [node.server.name for node in field.stack.apis]


async def _duplicates(field: Field, random: Random) -> str | None:
    key, body, apis = field.key("duplicates"), field.body(random), _apis(field)
    field.unanswered[key] = body
    replies = await asyncio.gather(
        *(field.shop.pay(key, body, api=apis[number % len(apis)]) for number in range(DUPLICATES))
    )
    final = await field.pay(key, body)
    return f"{counted(replies)}; in the end {final.status}" if any(r.status for r in replies) else None


def _other_body(random: Random, body: Json) -> Json:
    """The same key can't mean this."""
    other = {"amount": body["amount"] + 1, "customer": "somebody else", "payment_method": "pm_paypal"}
    name = random.choice(list(other))
    return body | {name: other[name]}


async def _reuse(field: Field, random: Random, key: str, body: Json) -> str | None:
    """After the first request was answered, until this is refused."""
    while True:
        reply = await field.shop.send(
            "bad", "/v1/payments", payment=key, id_=key, body=_other_body(random, body), expected=REUSED
        )
        if reply.is_answer:
            return f"{reply.status} {reply.json.get('code')}" if reply.status == 422 else None
        await asyncio.sleep(reply.retry_after)


async def _reused_afterwards(field: Field, random: Random) -> str | None:
    key, body = field.key("reused"), field.body(random)
    await field.pay(key, body)
    return await _reuse(field, random, key, body)


async def _reused_when_closed(field: Field, random: Random) -> str | None:
    key, body = field.key("reused-late"), field.body(random, payment_method="pm_card_chargeDeclined")
    await field.pay(key, body)

    async def closed() -> bool:
        with contextlib.suppress(RPCError):
            return (await field.workflow(key).describe()).status is not WorkflowExecutionStatus.RUNNING
        return False

    await until_true(closed)
    return await _reuse(field, random, key, body)


async def _reused_at_once(field: Field, random: Random) -> str | None:
    """Either may win."""
    key, body = field.key("reused-at-once"), field.body(random)
    other = _other_body(random, body)
    one, two = await asyncio.gather(field.pay(key, body), field.shop.pay_until_answered(key, other))
    return f"one was told {one.status}, the other {two.status}" if 422 in (one.status, two.status) else None


async def _reused_in_flight(field: Field, random: Random) -> str | None:
    key, body = field.key("reused-in-flight"), field.body(random)
    await field.script("slow", payment_id=key, operation="authorize", seconds=1.0)
    field.unanswered[key] = body
    first = await field.shop.pay(key, body, wait=0)
    second = await field.shop.pay(key, _other_body(random, body))
    final = await field.pay(key, body)
    if (first.status, second.status) != (202, 422):
        return None
    return f"refused while in flight: {second.json.get('code')}; in the end {final.status}"


async def _one_order(field: Field, random: Random) -> str | None:
    order = field.key("order")
    keys = [field.key("of-one-order") for _ in range(OF_ONE_ORDER)]
    bodies = [field.body(random, order_id=order) for _ in keys]
    replies = await asyncio.gather(*(field.pay(key, body) for key, body in zip(keys, bodies, strict=True)))
    late = await field.pay(field.key("of-one-order"), field.body(random, order_id=order))
    return f"at once {counted(replies)}; afterwards {late.status}" if late.status == 409 else None


async def _refunds_at_once(field: Field, random: Random) -> str | None:
    """About three times as much as was charged."""
    key, payment = await paid(field, random, "many-refunds")
    most = max(1, payment["amount"] * 6 // REFUNDS)
    amounts = [random.randint(1, most) for _ in range(REFUNDS)]
    replies = await asyncio.gather(
        *(field.shop.refund_until_answered(key, f"r-{number}", amount) for number, amount in enumerate(amounts))
    )
    return counted(replies) if {201, 409} <= {reply.status for reply in replies} else None


async def _held(field: Field, random: Random, word: str, **fields: Any) -> tuple[str, Json]:
    return await paid(field, random, word, capture="manual", **fields)


async def _everything_at_once(field: Field, random: Random) -> str | None:
    key, payment = await _held(field, random, "at-once")
    part = random.randint(1, payment["amount"])
    asked: list[Awaitable[Reply]] = [
        field.shop.capture_until_answered(key, "ship", random.choice((None, part))),
        field.shop.cancel_until_answered(key),
        field.shop.refund_until_answered(key, "r-1", part),
        field.shop.refund_until_answered(key, "r-2"),
    ]
    random.shuffle(asked)
    replies = await asyncio.gather(*asked)
    stands = (await field.shop.get_until_answered(key)).json.get("status")
    return f"{counted(replies)}; {stands}" if {200, 409} <= {reply.status for reply in replies} else None


async def _illegal(field: Field, random: Random) -> str | None:
    """Refund, capture and cancel what can't be: declined, canceled, charged, unknown."""
    declined, _ = await paid(field, random, "illegal", payment_method="pm_card_chargeDeclined")
    canceled, _ = await _held(field, random, "illegal")
    await field.shop.cancel_until_answered(canceled)
    charged, _ = await paid(field, random, "illegal")
    unknown = field.key("unknown")
    cases = [(declined, 409, "capture"), (declined, 409, "cancel"), (canceled, 409, "capture")]
    cases += [(charged, 409, "capture"), (charged, 409, "cancel")]
    cases += [(unknown, 404, call) for call in ("refunds", "capture", "cancel")]
    # A refund that is refused leaves a row which says so: that is an answer, and no bad request.
    replies = await asyncio.gather(
        *(field.shop.refund_until_answered(payment, "no") for payment in (declined, canceled)),
        *(_refused(field, payment, status, call) for payment, status, call in cases),
    )
    return counted(replies) if {404, 409} <= {reply.status for reply in replies} else None


async def _refused(field: Field, payment: str, status: int, call: str) -> Reply:
    path, expected = f"/v1/payments/{payment}/{call}", [status, 503]
    return await field.shop.send("bad", path, payment=payment, id_=f"no-{call}", body={}, expected=expected)


async def _impatient(field: Field, random: Random) -> str | None:
    key, body, given_up = field.key("impatient"), field.body(random), 0
    field.unanswered[key] = body
    for _ in range(IMPATIENT_TRIES):
        reply = await field.shop.pay(key, body, patience=random.uniform(*IMPATIENCE_SECONDS))
        given_up += reply.status is None
    final = await field.pay(key, body)
    amount = random.randint(1, body["amount"])
    for _ in range(IMPATIENT_TRIES):
        reply = await field.shop.refund(key, "r", amount, patience=random.uniform(*IMPATIENCE_SECONDS))
        given_up += reply.status is None
    await field.shop.refund_until_answered(key, "r", amount)
    return f"hung up {given_up} times; in the end {final.status}" if given_up else None


async def _polls(field: Field, random: Random) -> str | None:
    key, body = field.key("polls"), field.body(random)
    field.unanswered[key] = body
    first = await field.shop.pay(key, body, wait=0)
    stands = await until(field, key, lambda p: p.get("status") not in {"processing", None}) if first.status else {}
    await field.pay(key, body)
    return f"202, then {stands.get('status')} by GET" if first.status == 202 else None


FAULTS: Final = (
    misbehaves("client-duplicates", ("F25",), "fifty equal requests at once, over every API", _duplicates),
    misbehaves("client-reuses-key", ("F26",), "another request with a key that was answered", _reused_afterwards),
    misbehaves("client-reuses-key-at-once", ("F26",), "two requests with one key at once", _reused_at_once),
    misbehaves("client-reuses-key-in-flight", ("F26",), "another request with a key whose payment is under way",
               _reused_in_flight),
    misbehaves("client-reuses-key-when-closed", ("F26",), "another request with a key whose workflow has ended",
               _reused_when_closed),
    misbehaves("client-pays-order-again", ("F27",), "one order with several keys, at once and afterwards", _one_order),
    misbehaves("client-refunds-at-once", ("F30",), "thirty refunds at once of about three times the charge",
               _refunds_at_once),
    misbehaves("client-everything-at-once", ("F31",), "capture, cancel and refund of a hold at once",
               _everything_at_once),
    misbehaves("client-asks-the-impossible", ("F31",), "refund, capture and cancel of what can't be", _illegal),
    misbehaves("client-hangs-up", ("F03", "F25"), "a client who waits for milliseconds, and comes back", _impatient),
    misbehaves("client-polls", ("F03",), "a client who doesn't wait, and asks how the payment stands", _polls),
)  # fmt: skip
