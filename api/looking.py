"""Looks at a workflow in Temporal within our own deadline: the SDK's client would retry beyond it, and its `describe`
fails on paused workflows."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from pydantic import ValidationError
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    GetSystemInfoRequest,
    GetWorkflowExecutionHistoryRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.problems import ProblemError, temporal_unavailable
from payments.messages import Start
from payments.request import PaymentRequest, RecordedRequest

# With the time before a probe it stays below the three seconds in which an outage must be told; a busy server may need
# most of it.
LOOK_TIMEOUT: Final = timedelta(seconds=1.8)


_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Started:
    """How a payment's workflow was started."""

    request: RecordedRequest
    at: datetime


class Looking:
    """Reads about workflows without needing a worker. Each method raises `ProblemError` when Temporal is down."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def check_temporal(self) -> None:
        """Ask whether anybody is there, which a busy server answers as fast as an idle one."""
        try:
            await self._client.workflow_service.get_system_info(
                GetSystemInfoRequest(), retry=False, timeout=LOOK_TIMEOUT
            )
        except (RPCError, RuntimeError) as error:
            raise _unavailable(error) from error

    async def is_open(self, payment_id: str) -> bool:
        """Whether the payment's workflow is still running, as far as Temporal knows."""
        request = DescribeWorkflowExecutionRequest(
            namespace=self._client.namespace, execution=WorkflowExecution(workflow_id=payment_id)
        )
        try:
            reply = await self._client.workflow_service.describe_workflow_execution(
                request, retry=False, timeout=LOOK_TIMEOUT
            )
        except (RPCError, RuntimeError) as error:
            if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise _unavailable(error) from error
        return not reply.workflow_execution_info.HasField("close_time")

    async def first_event(self, payment_id: str) -> Started | None:
        """The input of the payment's latest run; None when there is none that was started with a payment."""
        request = GetWorkflowExecutionHistoryRequest(
            namespace=self._client.namespace,
            execution=WorkflowExecution(workflow_id=payment_id),
            maximum_page_size=1,
        )
        try:
            reply = await self._client.workflow_service.get_workflow_execution_history(
                request, retry=False, timeout=LOOK_TIMEOUT
            )
        except (RPCError, RuntimeError) as error:
            if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise _unavailable(error) from error
        event = reply.history.events[0]
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        try:
            start = Start.model_validate_json(payloads[0].data) if len(payloads) == 1 else Start()
            # What somebody started by hand without these has failed, or will: it doesn't hold the key. One that was
            # only woken has a row.
            if start.request is None:
                return None
            if start.fingerprint != PaymentRequest.model_validate(dict(start.request)).fingerprint():
                return None
        except ValidationError:
            return None
        return Started(request=start.request, at=event.event_time.ToDatetime(tzinfo=UTC))


def _unavailable(error: Exception) -> ProblemError:
    _log.warning("temporal_unavailable", error=str(error))
    return temporal_unavailable()
