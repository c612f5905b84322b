"""Keeps reconciliation going: a Temporal Schedule (https://docs.temporal.io/schedule)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import Priority
from temporalio.service import RPCError, RPCStatusCode

from activities.reconciling import SCHEDULED
from payments.settlement import Reconcile
from workflows.names import TASK_QUEUE

SCHEDULE_ID: Final = "reconciliation"
# Runs that were missed while Temporal was down are not made up for: the next one goes on where the last one ended.
CATCH_UP: Final = timedelta(minutes=1)
RETRY_SECONDS: Final = 5.0
# The lowest: who stands at the checkout comes first.
PRIORITY: Final = Priority(priority_key=5)

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@asynccontextmanager
async def reconciling(client: Client, every: timedelta) -> AsyncGenerator[None]:
    """See to it that the schedule is there, as set; an operator may pause it in the Web UI, and it stays paused."""
    task = asyncio.create_task(_keep_trying(client, every))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _keep_trying(client: Client, every: timedelta) -> None:
    while True:
        try:
            return await (_set(client, every) if every else _remove(client))
        except (RPCError, RuntimeError) as error:
            _log.warning("schedule_waits", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)


async def _set(client: Client, every: timedelta) -> None:
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            "ReconciliationWorkflow",
            Reconcile(),
            id=SCHEDULED,  # Temporal adds the time
            task_queue=TASK_QUEUE,
            static_summary="reconcile with the processor",
            priority=PRIORITY,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
    )
    try:
        await client.create_schedule(SCHEDULE_ID, schedule)
    except ScheduleAlreadyRunningError:

        def changed(now: ScheduleUpdateInput) -> ScheduleUpdate | None:
            there = now.description.schedule
            if there.spec.intervals == schedule.spec.intervals:
                return None
            schedule.state = there.state
            return ScheduleUpdate(schedule)

        await client.get_schedule_handle(SCHEDULE_ID).update(changed)


async def _remove(client: Client) -> None:
    try:
        await client.get_schedule_handle(SCHEDULE_ID).delete()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
