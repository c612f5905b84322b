"""Serves one endpoint with webhooks: sends in shifts, sleeps while the endpoint is down, and shows how it stands."""

import contextlib
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from activities.options import DELIVERING
    from activities.webhooks import WebhookActivities
    from payments.webhooks import Deliver, Serve, Served
    from workflows import telling_webhooks
    from workflows.messages import decode


@workflow.defn
class WebhookWorkflow:
    """One endpoint. It only decides when the next shift begins: what is to be sent, and what was, stands in the ledger,
    so nothing is lost with it. One that was terminated is started again."""

    def __init__(self) -> None:
        self._woken = False

    @workflow.run
    async def run(self, raw_serve: RawValue) -> None:
        """Send until the endpoint is deleted or disabled. Raises `ApplicationError` for an input that names none."""
        endpoint_id = decode(raw_serve, Serve).endpoint_id
        telling_webhooks.beginning(endpoint_id)
        while True:
            order, self._woken = Deliver(endpoint_id=endpoint_id, probe=self._woken), False
            served = await workflow.execute_activity_method(
                WebhookActivities.deliver,
                order,
                activity_id="deliver",
                summary="send what there is, and what comes within a minute",
                **DELIVERING,
            )
            if served.disabled is not None or not served.there:
                telling_webhooks.ended(endpoint_id, served)
                if not self._woken:
                    return
            telling_webhooks.serving(endpoint_id, served, workflow.now())
            await self._rest(served)
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(Serve(endpoint_id=endpoint_id))

    async def _rest(self, served: Served) -> None:
        if served.pause_seconds <= 0:
            return
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._woken,
                timeout=timedelta(seconds=served.pause_seconds),
                timeout_summary="the endpoint is down; then one event is tried",
            )

    @workflow.signal
    def wake(self, _raw: RawValue) -> None:
        """Look now: something about the endpoint was changed, or somebody wants to see whether it is back."""
        self._woken = True
