"""A processor that is slow, silent, garbled or wrong, cards that are declined, and customers who must confirm."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final

from prove.catalogue import Inject
from prove.faults.misbehaving import CHARGED, misbehaves, paid, until
from prove.field import Field
from prove.told import Json

OPERATIONS: Final = ("authorize", "capture", "void", "refund")
# Of the processor: longer and shorter than the service waits for a reply, which is 1.5 s.
LATE_SECONDS: Final = (2.0, 3.5)
SLOW_SECONDS: Final = (0.3, 2.5)
FAILS_AFTER_SECONDS: Final = (0.3, 2.0)

SCRIPTED: Final[tuple[tuple[str, tuple[str, ...], str, tuple[float, float] | None], ...]] = (
    ("timeout_after_execution", ("F09",), "the processor does what it is asked and never answers", None),
    ("timeout_before_execution", ("F10",), "the processor does nothing and never answers", None),
    ("late_execution", ("F11",), "the processor does not answer, and does it seconds later", LATE_SECONDS),
    ("unavailable", ("F12",), "the processor answers 503", None),
    ("rate_limited", ("F13",), "the processor answers 429", None),
    ("malformed_reply", ("F15",), "the processor does it, and its reply is cut off", None),
    ("wrong_amount", ("F15",), "the processor's reply names another amount", None),
    ("slow", ("F16",), "the processor takes its time, often more than it is given", SLOW_SECONDS),
    ("reset_after_execution", ("F17",), "the processor does it, and the connection is reset", None),
)


def _on_every_operation(fault: str, seconds: tuple[float, float] | None) -> Inject:
    """At once, each on a payment of its own, since most of the time is spent waiting."""

    async def inject(field: Field, random: Random) -> str | None:
        more = {} if seconds is None else {"seconds": round(random.uniform(*seconds), 1)}
        # Drawn before anything runs beside anything else, so that a seed says what is done.
        draws = {operation: Random(random.random()) for operation in OPERATIONS}
        struck = await asyncio.gather(
            *(_strike(field, draws[operation], fault, operation, **more) for operation in OPERATIONS)
        )
        names = [operation for operation, hit in zip(OPERATIONS, struck, strict=True) if hit]
        return f"{fault} on {', '.join(names)}" if len(names) == len(OPERATIONS) else None

    return inject


async def _strike(field: Field, random: Random, fault: str, operation: str, **more: Any) -> bool:
    """Whether the fault was taken by this operation of a new payment."""
    key = field.key(f"{fault}-{operation}")
    await field.script(fault, payment_id=key, operation=operation, **more)
    armed = await field.left_of_script(key)
    body = field.body(random, **({"capture": "manual"} if operation == "void" else {}))
    await field.pay(key, body)
    if operation == "void":
        await field.shop.cancel_until_answered(key)
    if operation == "refund":
        await field.shop.refund_until_answered(key, "r", random.randint(1, body["amount"]))
    # Scripted twice if the processor was killed before it had answered: one is enough.
    return await field.left_of_script(key) < armed


async def _declined(field: Field, random: Random) -> str | None:
    """Declined once, then the same order is paid with another key."""
    operation = random.choice(("authorize", "capture"))
    key, order = field.key("declined"), field.key("order")
    await field.script("decline", payment_id=key, operation=operation)
    first = await field.pay(key, field.body(random, order_id=order))
    second = await field.pay(field.key("paid-after-all"), field.body(random, order_id=order))
    if first.json.get("status") != "declined":
        return None
    return f"{operation} declined, then the order was {second.json.get('status')}"


async def _refund_declined(field: Field, random: Random) -> str | None:
    key, payment = await paid(field, random, "refund-declined")
    await field.script("decline", payment_id=key, operation="refund")
    first = await field.shop.refund_until_answered(key, "first", payment["amount"])
    second = await field.shop.refund_until_answered(key, "second", payment["amount"])
    if first.json.get("status") != "failed":
        return None
    return f"a refund was declined, the next one {second.json.get('status')}"


async def _refund_fails_later(field: Field, random: Random) -> str | None:
    key, payment = await paid(field, random, "refund-fails")
    after = round(random.uniform(*FAILS_AFTER_SECONDS), 1)
    await field.script("refund_fails_later", payment_id=key, operation="refund", seconds=after)
    await field.shop.refund_until_answered(key, "r", random.randint(1, payment["amount"]))
    stands = await until(field, key, lambda p: [r["status"] for r in p.get("refunds", [])] == ["failed"])
    done = [entry["operation"] for entry in await field.journal(key)]
    if "refund_failed" not in done:
        return None
    again = await field.shop.refund_until_answered(key, "again")
    return f"a refund failed {after} s after it had succeeded ({stands['status']}); the next one {again.status}"


METHODS: Final = {
    "pm_paypal": CHARGED,
    "pm_card_chargeDeclined": frozenset({"declined"}),
    "pm_card_chargeDeclinedInsufficientFunds": frozenset({"declined"}),
    "pm_sandbox_captureDeclined": frozenset({"declined"}),
    "pm_sandbox_timeoutAfterCharge": CHARGED,
    "pm_sandbox_unavailableOnce": CHARGED,
}


async def _methods(field: Field, random: Random) -> str | None:
    draws = [Random(random.random()) for _ in METHODS]
    stand = await asyncio.gather(
        *(paid(field, draw, "method", payment_method=method) for method, draw in zip(METHODS, draws, strict=True))
    )
    said = {method: payment.get("status") for method, (_, payment) in zip(METHODS, stand, strict=True)}
    if any(said[method] not in ends for method, ends in METHODS.items()):
        return None
    return ", ".join(f"{method} {status}" for method, status in said.items())


# Customers who must confirm with their bank.

AUTHENTICATION: Final = "pm_card_authenticationRequired"
Act = Callable[[Field, str, str], Awaitable[None]]
"""What a customer does, given the payment and the path at the processor where they do it."""


async def asks_the_customer(field: Field, random: Random, word: str) -> tuple[str, Json, str] | None:
    """A payment that waits for its customer, its request, and where they are to go; somebody asks for it in the end."""
    key, body = field.key(word), field.body(random, payment_method=AUTHENTICATION)
    field.unanswered[key] = body
    while (reply := await field.shop.pay(key, body)).json.get("status") != "requires_action":
        if reply.is_answer:
            field.unanswered.pop(key, None)
            return None
        await asyncio.sleep(reply.retry_after)
    # The address is at the processor, by the worker's own link; customers have a network of their own.
    return key, body, "/actions/" + reply.json["next_action"]["url"].rpartition("/")[2]


def _customer(word: str, act: Act) -> Inject:
    async def inject(field: Field, random: Random) -> str | None:
        asked = await asks_the_customer(field, random, word)
        if asked is None:
            return None
        key, body, path = asked
        await act(field, key, path)
        reply = await field.pay(key, body)
        return f"{word}: {reply.json.get('status')}"

    return inject


async def _act(field: Field, key: str, path: str, **what: Any) -> None:
    """The auditor is told so, whatever comes of it."""
    try:
        await field.ask_processor("POST", path, what)
    finally:
        field.shop.told.note("acted", payment=key)


async def confirm(field: Field, key: str, path: str) -> None:
    """What most customers do."""
    await _act(field, key, path, result="confirm")


async def _abandon(field: Field, key: str, path: str) -> None:
    await _act(field, key, path, result="abandon")


async def _confirm_twice(field: Field, key: str, path: str) -> None:
    await asyncio.gather(*(confirm(field, key, path) for _ in range(2)))
    await confirm(field, key, path)


async def _confirm_while_canceled(field: Field, key: str, path: str) -> None:
    await asyncio.gather(confirm(field, key, path), field.shop.cancel_until_answered(key))


async def _confirm_late(field: Field, key: str, path: str) -> None:
    """A bank that has not heard of the cancellation."""
    await field.shop.cancel_until_answered(key)
    await _act(field, key, path, result="confirm", late=True)


async def _nobody_comes(field: Field, random: Random) -> str | None:
    """The payment expires by itself, longer after this than a fault may take: it is asked for in the end."""
    asked = await asks_the_customer(field, random, "nobody-comes")
    return None if asked is None else f"{asked[0]} waits for a customer who never comes"


FAULTS: Final = (
    *(
        misbehaves(f"processor-{name.replace('_', '-')}", covers, what, _on_every_operation(name, seconds))
        for name, covers, what, seconds in SCRIPTED
    ),
    misbehaves("processor-declines", ("F14",), "an operation is declined, then the order is paid again", _declined),
    misbehaves("processor-declines-refund", ("F14",), "a refund is declined, and asked for again", _refund_declined),
    misbehaves("processor-refund-fails-later", ("F33",), "a refund fails after it had succeeded", _refund_fails_later),
    misbehaves("processor-test-cards", ("F12", "F14"), "one payment by each of the odd payment methods", _methods),
    misbehaves("customer-confirms", ("F47",), "a customer confirms with the bank", _customer("confirmed", confirm)),
    misbehaves("customer-gives-up", ("F47",), "a customer gives up", _customer("abandoned", _abandon)),
    misbehaves("customer-confirms-twice", ("F47",), "a customer confirms several times, also at once",
               _customer("confirmed-twice", _confirm_twice)),
    misbehaves("customer-crosses-cancel", ("F47", "F31"), "a customer confirms while the shop cancels",
               _customer("crossed", _confirm_while_canceled)),
    misbehaves("customer-confirms-late", ("F47",), "a customer confirms after the shop has canceled",
               _customer("confirmed-late", _confirm_late)),
    misbehaves("customer-never-comes", ("F47",), "a customer never comes back from the bank", _nobody_comes),
)  # fmt: skip
