"""Makes payments that stay open: the processor tells each to come again in an hour."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from pydantic import BaseModel
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client

from benchmarks.jobs import Sent
from benchmarks.measuring import Measuring
from benchmarks.running import Tell
from benchmarks.scale.portions import send_all, until_all
from benchmarks.scale.rows import counted_rows
from benchmarks.systems.paysaga import Paysaga
from paysaga.dev.errors import DevStackError

# One fault that hits every payment: the processor looks through its list of faults on each request.
WAIT_SECONDS: Final = 3600
"""No longer, since that is what the gateway makes of any longer Retry-After."""
_FAULT: Final = {"fault": "rate_limited", "operation": "authorize", "times": 1_000_000, "seconds": WAIT_SECONDS}
_OPEN: Final = "ExecutionStatus = 'Running' AND PaymentStatus = 'processing'"
_POLL_SECONDS: Final = 2.0
# So long nobody asks the processor any more: all have been told to wait.
_QUIET_SECONDS: Final = 2.0
# Evenly spread, and the last ones: those that are most likely not to wait yet.
_LOOKED_AT: Final = 20


class _Fault(BaseModel):
    remaining: int


class _Faults(BaseModel):
    data: list[_Fault]


async def open_payments(
    system: Paysaga, measuring: Measuring, payments: Sequence[Sent], clients: int, tell: Tell
) -> None:
    """Returns when each of them waits with a pending activity and new payments are served as usual again."""
    if system.temporal is None:
        raise DevStackError("there is no Temporal server to keep workflows open")
    client = await Client.connect(system.temporal.address)
    async with _every_payment_told_to_wait(system.sandbox.url) as refusals_left:
        await send_all(payments, lambda part: measuring.submit(part, clients), tell)
        async with counted_rows(system.postgres.dsn, payments, processing=True) as rows:

            async def both() -> int:
                return min(await rows(), (await client.count_workflows(_OPEN)).count)

            await until_all(both, len(payments), "are open", tell, poll_seconds=_POLL_SECONDS)
        await _until_unchanged(refusals_left)
        looked_at = [*payments[:: max(len(payments) // _LOOKED_AT, 1)], *payments[-_LOOKED_AT:]]

        async def waiting() -> int:
            return sum([await _waits(client, payment) for payment in looked_at])

        await until_all(waiting, len(looked_at), "looked at wait", tell, poll_seconds=_POLL_SECONDS)


async def _until_unchanged(count: Callable[[], Awaitable[int]]) -> None:
    before = None
    while (now := await count()) != before:
        before = now
        await asyncio.sleep(_QUIET_SECONDS)


async def _waits(client: Client, payment: Sent) -> bool:
    """Whether the workflow has an activity that was tried and is to be tried again."""
    description = await client.get_workflow_handle(payment.payment_id).describe()
    return any(
        activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED and activity.attempt > 1
        for activity in description.raw_description.pending_activities
    )


@asynccontextmanager
async def _every_payment_told_to_wait(sandbox_url: str) -> AsyncGenerator[Callable[[], Awaitable[int]]]:
    """As long as the context lasts; gives what tells how many more requests would be refused."""
    async with aiohttp.ClientSession(sandbox_url, raise_for_status=True) as session:
        async with session.post("/faults", json=_FAULT):
            pass

        async def left() -> int:
            async with session.get("/faults") as reply:
                return sum(fault.remaining for fault in _Faults.model_validate_json(await reply.read()).data)

        yield left
        async with session.delete("/faults"):
            pass
