"""What Temporal knows of payments, for reconciliation."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pydantic import ValidationError
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from api.opening import start_input, start_options
from payments.messages import Start
from payments.request import RecordedRequest
from payments.settlement import Period
from payments.state import NOT_CHARGED
from workflows import names

# The SDK's client retries by itself for longer.
TEMPORAL_SECONDS: Final = 5.0
# Runs of one payment, the newest first: the first of them, which has the request, is among these or forgotten.
_RUNS_MAX: Final = 100


class TemporalRuns:
    """Implements `activities.reconciling.PaymentRuns`."""

    def __init__(self, client: Client, quiet_period: timedelta) -> None:
        self._client = client
        self._quiet_period = quiet_period

    async def stopped(self, payment_id: str) -> str | None:
        """See `PaymentRuns.stopped`."""
        try:
            async with asyncio.timeout(TEMPORAL_SECONDS):
                described = await self._client.get_workflow_handle(payment_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return "unknown"
            raise
        if described.status is None or described.status is WorkflowExecutionStatus.RUNNING:
            return None
        return described.status.name.lower()

    async def killed(self, period: Period, limit: int) -> Sequence[str]:
        """See `PaymentRuns.killed`."""
        query = (
            "WorkflowType = 'PaymentWorkflow' AND ExecutionStatus IN ('Terminated', 'TimedOut')"
            f" AND CloseTime >= '{period.start.isoformat()}' AND CloseTime < '{period.end.isoformat()}'"
        )
        return [run.id async for run in self._client.list_workflows(query, limit=limit)]

    async def restore(self, payment_id: str) -> bool:
        """See `PaymentRuns.restore`."""
        request = await self._request(payment_id)
        if request is None:
            return False
        async with asyncio.timeout(TEMPORAL_SECONDS):
            await self._client.start_workflow(  # pyright: ignore[reportUnknownMemberType]
                "PaymentWorkflow",
                # Not REJECT_DUPLICATE: it looks up what it did before it does anything.
                start_input(request, WorkflowIDReusePolicy.ALLOW_DUPLICATE, self._quiet_period),
                id=payment_id,
                # A run that goes on without its row can't end well.
                id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                **start_options(request),
            )
        return True

    async def _request(self, payment_id: str) -> RecordedRequest | None:
        """What was asked for, from the input of the payment's first run that is still known.

        None for one that ended without a charge: its client was told so, and it must not be paid after all.
        """
        quoted = payment_id.replace("'", "''")
        query = f"WorkflowId = '{quoted}' AND WorkflowType = 'PaymentWorkflow'"
        runs = [run async for run in self._client.list_workflows(query, limit=_RUNS_MAX)]
        if any(run.typed_search_attributes.get(names.STATUS) in NOT_CHARGED for run in runs):
            return None
        for run in runs:
            start = await self._start(self._client.get_workflow_handle(payment_id, run_id=run.run_id))
            if start is not None and start.request is not None and start.fingerprint == start.request.fingerprint():
                return start.request
        return None

    async def _start(self, run: WorkflowHandle[object, object]) -> Start | None:
        try:
            first = await anext(run.fetch_history_events(page_size=1))
        except RPCError as error:
            # Forgotten meanwhile.
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        payloads = first.workflow_execution_started_event_attributes.input.payloads
        try:
            return Start.model_validate_json(payloads[0].data) if len(payloads) == 1 else None
        except ValidationError:
            return None
