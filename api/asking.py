"""Sends an update to a payment's workflow, waking it if it sleeps."""

import asyncio
import hashlib
from datetime import timedelta
from enum import Enum, auto
from typing import Final, TypeVar

from pydantic import BaseModel
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

from activities.failures import FailureType
from api.calling import Deadline, is_closed, retrieve, within
from api.looking import Looking
from api.opening import reopening
from ledger.port import PaymentRecord

# A run that ends takes milliseconds to do so; the next one takes the request.
_NEXT_RUN_SECONDS: Final = 0.05

Answer = TypeVar("Answer", bound=BaseModel)


class _Again(Enum):
    """The run that was asked has ended without an answer."""

    AGAIN = auto()


class Asking:
    """Update-with-Start: joins the run that is open, or starts one under the same ID."""

    def __init__(self, client: Client, quiet_period: timedelta) -> None:
        self._client = client
        self._looking = Looking(client)
        self._quiet_period = quiet_period

    async def ask(
        self, record: PaymentRecord, update: str, request: BaseModel, key: str, answer: type[Answer], deadline: Deadline
    ) -> Answer | None:
        """The answer, or None when the time is over. `key` names the request: repeated, it gets the first answer.

        Raises `ProblemError` when Temporal is down.
        """
        while True:
            word = await within(deadline, self._looking, self._once(record, update, request, key, answer))
            if not isinstance(word, _Again):
                return word
            if not deadline.seconds_left:
                return None
            await asyncio.sleep(_NEXT_RUN_SECONDS)

    async def _once(
        self, record: PaymentRecord, update: str, request: BaseModel, key: str, answer: type[Answer]
    ) -> Answer | _Again | None:
        start, options = reopening(record, self._quiet_period)
        operation: WithStartWorkflowOperation[object, object] = WithStartWorkflowOperation(
            "PaymentWorkflow",
            start,
            id=record.payment.id,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            **options,
        )
        try:
            return await self._client.execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType]
                update,
                request,
                id=hashlib.sha256(key.encode()).hexdigest(),
                start_workflow_operation=operation,
                result_type=answer,
            )
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            return None  # given up, by us or by Temporal: it may go on
        except (WorkflowAlreadyStartedError, WorkflowUpdateFailedError, RPCError, RuntimeError) as error:
            return _no_answer(error)
        finally:
            await retrieve(operation)


def _no_answer(error: Exception) -> _Again | None:
    """What it means that Temporal gave no answer. Raises `ProblemError` when Temporal is down."""
    match error:
        case WorkflowUpdateFailedError(cause=ApplicationError(type=FailureType.MALFORMED)):
            raise error  # a bug of ours: no retry will help
        case _:
            return _Again.AGAIN if is_closed(error) else None
