"""Lets payments pile up without a worker, and works them off while new ones keep coming."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.figures import percentile
from benchmarks.jobs import Sent
from benchmarks.measuring import Measuring
from benchmarks.running import Tell
from benchmarks.scale.portions import send_all, until_all
from benchmarks.scale.results import Backlog
from benchmarks.scale.rows import counted_rows
from benchmarks.systems.paysaga import Paysaga

WORKER: Final = "worker"
NEW_CLIENTS: Final = 4
# Not often: each time as many keys are looked up as there are payments, and that must not slow down what is measured.
_POLL_SECONDS: Final = 1.0


async def pile_up(system: Paysaga, measuring: Measuring, payments: Sequence[Sent], clients: int, tell: Tell) -> None:
    """Stop the worker when it has finished what it has; the API takes payments all the same."""
    measuring.paused.add(WORKER)
    await system.measured[WORKER].stop()
    await send_all(payments, lambda part: measuring.submit(part, clients), tell)
    # From now on each must succeed.
    measuring.sent += payments


async def work_off(
    system: Paysaga,
    measuring: Measuring,
    payments: Sequence[Sent],
    new_payments: list[Sent],
    sample_rate: float,
    tell: Tell,
) -> Backlog:
    """Start the worker again, and send as many of the new payments as there is time for until the backlog is gone.

    `sample_rate`: payments/s without a backlog, to compare with.
    """
    launched = time.monotonic()
    await system.measured[WORKER].start()
    measuring.paused.remove(WORKER)
    ready = time.monotonic()
    tell(f"worker ready after {ready - launched:.1f} s")
    # A task, so that it begins now and is cancelled with us.
    drained = asyncio.create_task(_until_drained(system, payments, tell))
    latencies = (await measuring.pay_until(drained, new_payments, NEW_CLIENTS)).latencies_ms
    seconds = drained.result() - ready
    all_per_s = (len(payments) + len(latencies)) / seconds
    return Backlog(
        payments=len(payments),
        ready_s=ready - launched,
        drained_s=seconds,
        payments_per_s=len(payments) / seconds,
        clients=NEW_CLIENTS,
        meanwhile=len(latencies),
        all_per_s=all_per_s,
        of_sample_rate=all_per_s / sample_rate,
        p50_ms=percentile(latencies, 50),
        p99_ms=percentile(latencies, 99),
        max_ms=max(latencies),
    )


async def _until_drained(system: Paysaga, payments: Sequence[Sent], tell: Tell) -> float:
    """The moment when the last one was decided."""
    async with counted_rows(system.postgres.dsn, payments, processing=False) as decided:
        await until_all(decided, len(payments), "are decided", tell, poll_seconds=_POLL_SECONDS)
    return time.monotonic()
