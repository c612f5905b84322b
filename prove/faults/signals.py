"""What programs send a payment over Temporal: refunds, nonsense, and far too much of it."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any, Final

from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.service import RPCError

from prove.faults.misbehaving import LOOK_EVERY_SECONDS, afterwards, misbehaves, paid, until, until_true
from prove.field import TASK_QUEUE, Field

REFUND: Final = "request_refund"
# A server that is down doesn't answer, and the client would wait for a minute.
PATIENCE_SECONDS: Final = 5.0
FLOOD: Final = 500
FLOOD_AT_ONCE: Final = 16
# A slow machine takes fewer.
FLOOD_SECONDS: Final = 8.0
# As JSON, since some of it can't be written otherwise.
NONSENSE: Final = (
    "{}", '{"refund_id": null}', '{"refund_id": 1}', '{"refund_id": ""}', '{"refund_id": "a/b"}', '"refund"', "7",
    '{"refund_id": "r", "amount": "1"}', '{"refund_id": "r", "amount": 0}', '{"refund_id": "r", "amount": -1}', "",
    "null", "[1]",
    '{"refund_id": "r", "amount": 1.5}', '{"refund_id": "r", "amount": true}', '{"refund_id": "r", "amount": NaN}', "{",
    '{"refund_id": "r", "amount": 1e308}', '{"refund_id": "r", "amount": 1000000000000000000000000000000}', "\x00",
    '{"refund_id": "r", "reason": "\\ud800"}', '{"refund_id": "r", "reason": "a\\u0000b"}',
    '{"refund_id": "r", "currency": "USD"}', '{"refund_id": "r", "ammount": 100}',
    json.dumps({"refund_id": "x" * 5000}),
)  # fmt: skip


def _raw(data: str) -> RawValue:
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=data.encode()))


@asynccontextmanager
async def noted(field: Field, payment: str, refund_id: str, amount: int | None = None) -> AsyncGenerator[None]:
    """The log says whether Temporal has taken what is sent here. Whatever goes wrong with the server is passed over."""
    taken = False
    try:
        with suppress(RPCError, RuntimeError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                yield
            taken = True
    finally:
        field.shop.told.note("signal", payment=payment, refund_id=refund_id, amount=amount, taken=taken)


async def wake(field: Field, payment: str, signal: str, *arguments: Any) -> None:
    """Signal-with-start: it reaches the payment also when it sleeps."""
    await field.temporal.start_workflow(  # pyright: ignore[reportUnknownMemberType]
        "PaymentWorkflow", {}, id=payment, task_queue=TASK_QUEUE, start_signal=signal, start_signal_args=arguments
    )


async def _refund(field: Field, random: Random) -> str | None:
    """Several times, and over HTTP as well."""
    key, payment = await paid(field, random, "signaled")
    amount = random.randint(1, payment["amount"])

    async def by_signal() -> None:
        async with noted(field, key, "r", amount):
            await wake(field, key, REFUND, {"refund_id": "r", "amount": amount})

    await asyncio.gather(*(by_signal() for _ in range(3)))
    stands = await until(field, key, lambda p: any(r["id"] == "r" for r in p.get("refunds", [])))
    reply = await field.shop.refund_until_answered(key, "r", amount)
    return f"refunded by signal: {stands['status']}; over HTTP under the same id: {reply.status}"


async def _nonsense(field: Field, random: Random) -> str | None:
    """Then a refund that makes sense, under the id that the nonsense had."""
    key, payment = await paid(field, random, "nonsense")
    # What can't be read is written down as a refused refund under a name made of it; so is a wrong number of arguments.
    sent: list[tuple[str, list[Any]]] = [(data, [_raw(data)]) for data in random.sample(NONSENSE, len(NONSENSE))]
    sent += [(json.dumps({"arguments": len(each)}), each) for each in ([], [{"refund_id": "r"}, 2])]

    async def one(said: str, arguments: list[Any]) -> None:
        async with noted(field, key, _malformed(said.encode())):
            await wake(field, key, REFUND, *arguments)

    await asyncio.gather(*(one(said, arguments) for said, arguments in sent))
    with suppress(RPCError):
        await field.workflow(key).signal("no_such_signal", {"refund_id": "r"})
        await field.workflow(key).signal("check", args=[1, "two", None])
    status = await afterwards(field.shop.refund_until_answered(key, "r", random.randint(1, payment["amount"])))
    stands = await until(field, key, lambda p: any(r["id"].startswith("malformed-") for r in p.get("refunds", [])))
    refused = sum(refund["id"].startswith("malformed-") for refund in stands["refunds"])
    return f"{refused} shown as refused; then a refund: {status}"


def _malformed(data: bytes) -> str:
    return f"malformed-{hashlib.sha256(data).hexdigest()[:24]}"


async def _nonsense_updates(field: Field, random: Random) -> str | None:
    """Sent to a payment that is open. Not `cancel`: that one needs no data, so nothing is nonsense."""
    key, _ = await paid(field, random, "nonsense", capture="manual")
    cases = [(update, data) for update in (REFUND, "capture", "pay") for data in ('{"amount": 0}', "[1]", "{")]
    refused = 0
    for number, (update, data) in enumerate(cases):
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await field.workflow(key).execute_update(  # pyright: ignore[reportUnknownMemberType]
                    update, args=[_raw(data)], id=f"nonsense-{number}"
                )
        except WorkflowUpdateFailedError:
            refused += 1
        except (RPCError, TimeoutError):
            continue
    reply = await field.shop.cancel_until_answered(key)
    return f"{refused} of {len(cases)} updates refused; then canceled: {reply.status}" if refused else None


async def _nonsense_starts(field: Field, random: Random) -> str | None:
    """Payments that nobody asked for over HTTP, and that can't be read."""
    data = random.choice(("null", "[1]", '{"request": {"amount": -1}}', '{"request": 7, "fingerprint": "x"}', "{"))
    key = field.key("nonsense-start")
    while True:
        with suppress(RPCError, RuntimeError):
            await field.temporal.start_workflow(  # pyright: ignore[reportUnknownMemberType]
                "PaymentWorkflow", _raw(data), id=key, task_queue=TASK_QUEUE
            )
            break
        await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def failed() -> bool:
        with suppress(RPCError):
            return (await field.workflow(key).describe()).status is WorkflowExecutionStatus.FAILED
        return False

    await until_true(failed)
    return f"a run started with {data} has failed"


async def _flood(field: Field, random: Random) -> str | None:
    """Checks, refunds of too much, and one refund again and again."""
    key, payment = await paid(field, random, "signal-flood")
    small, large = max(1, payment["amount"] // 100), payment["amount"] + 1
    places = asyncio.Semaphore(FLOOD_AT_ONCE)
    taken, until_then = 0, time.monotonic() + FLOOD_SECONDS

    async def one(number: int) -> None:
        nonlocal taken
        async with places:
            if time.monotonic() > until_then:
                return
            if number % 2:
                with suppress(RPCError):
                    await wake(field, key, "check", {"events": [f"evt-{number}"]})
                    taken += 1
                return
            refund_id, amount = ("r", small) if number % 4 else (f"too-much-{number}", large)
            async with noted(field, key, refund_id, amount):
                await wake(field, key, REFUND, {"refund_id": refund_id, "amount": amount})
                taken += 1

    await asyncio.gather(*map(one, range(FLOOD)))
    status = await afterwards(field.shop.refund_until_answered(key, "last", small))
    return f"{taken} signals; a refund afterwards: {status}" if taken > FLOOD // 10 else None


FAULTS: Final = (
    misbehaves("signal-refunds", ("F25",), "a refund by signal, several times, and by HTTP as well", _refund),
    misbehaves("signal-nonsense", ("F42",), "refunds by signal that can't be read", _nonsense),
    misbehaves("signal-nonsense-updates", ("F42",), "updates that can't be read", _nonsense_updates),
    misbehaves("signal-nonsense-starts", ("F42",), "a workflow that is started with nonsense", _nonsense_starts),
    misbehaves("signal-flood", ("F35",), "500 signals to one payment", _flood),
)
