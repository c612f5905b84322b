"""Calls to Temporal and PostgreSQL within our own time: both may hang, and their clients retry beyond any deadline."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import structlog
from temporalio.client import WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from api.looking import Looking
from api.problems import temporal_unavailable
from ledger.port import LedgerUnavailable

Result = TypeVar("Result")

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Most payments are decided by then. One that isn't costs a question whether Temporal is there at all: an outage must be
# told within three seconds, however long the caller is willing to wait.
OUTAGE_CHECK_AFTER_SECONDS: Final = 1.0
# Reading one row takes milliseconds. A database that hangs must be told within the three seconds, too.
LEDGER_SECONDS: Final = 2.0


class Deadline:
    """When a caller has waited long enough."""

    def __init__(self, seconds: float) -> None:
        self._at = asyncio.get_running_loop().time() + seconds

    @property
    def seconds_left(self) -> float:
        """Never negative."""
        return max(self._at - asyncio.get_running_loop().time(), 0.0)


async def read(query: Coroutine[Any, Any, Result]) -> Result:
    """What the ledger says, within our own time. Raises `LedgerUnavailable`."""
    call = asyncio.ensure_future(query)
    try:
        done, _ = await asyncio.wait({call}, timeout=LEDGER_SECONDS)
        if not done:
            raise LedgerUnavailable(f"PostgreSQL has not answered for {LEDGER_SECONDS:.0f} seconds")
        return call.result()
    finally:
        # Not awaited: giving a connection back to a database that hangs takes as long as the database does.
        call.add_done_callback(_forget)
        call.cancel()


async def within(deadline: Deadline, looking: Looking, call: Coroutine[Any, Any, Result]) -> Result | None:
    """What a call to Temporal gives, or None when the time is over. Raises `ProblemError` when Temporal is down."""
    task = asyncio.ensure_future(call)
    try:
        left = deadline.seconds_left
        patience = min(left, OUTAGE_CHECK_AFTER_SECONDS) if left > 0 else OUTAGE_CHECK_AFTER_SECONDS
        done, _ = await asyncio.wait({task}, timeout=patience)
        if not done:
            await looking.check_temporal()
            done, _ = await asyncio.wait({task}, timeout=deadline.seconds_left)
        return task.result() if done else None
    finally:
        task.cancel()
        await asyncio.wait({task})


def is_closed(error: Exception) -> bool:
    """Whether an Update-with-Start gave no answer because the run that was asked has ended. Raises `ProblemError`
    when Temporal is down."""
    match error:
        # Before we came, or before it answered: asleep, terminated, reset, or failed.
        case WorkflowAlreadyStartedError() | WorkflowUpdateFailedError():
            return True
        case RPCError() if "closing workflow" in str(error):
            return True
        case RPCError(status=RPCStatusCode.INVALID_ARGUMENT):
            raise error  # a bug of ours: no retry will help
        case _:
            _log.warning("temporal_unavailable", error=str(error))
            raise temporal_unavailable() from error


async def retrieve(operation: WithStartWorkflowOperation[object, object]) -> None:
    """asyncio complains of a future whose exception nobody retrieved; the update's own error tells the same."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(0):
            await operation.workflow_handle()


def _forget(call: asyncio.Future[Any]) -> None:
    """asyncio complains of an exception that nobody retrieved."""
    if not call.cancelled():
        call.exception()
