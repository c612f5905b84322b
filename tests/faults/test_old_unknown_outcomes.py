"""An operation whose outcome is still unknown when the processor has forgotten its key: only looked up, never sent."""

import asyncio
from pathlib import Path

from prove import clock
from tests.harness import Stack, new_key
from tests.workflow.test_cancellation import handle_of, until_pending

# One second longer than the margin in which nothing is sent again.
ALMOST_NO_WINDOW = {"PAYSAGA_PROCESSOR_KEY_WINDOW_SECONDS": "3601"}


async def test_charge_too_old_for_its_key_is_not_sent_again(own_stack: Stack) -> None:
    stack = own_stack
    await stack.worker.stop()
    worker = stack.another_worker("forgetful", **ALMOST_NO_WINDOW)
    await worker.start()
    try:
        lost, done = new_key("lost"), new_key("done")
        await stack.fault("timeout_before_execution", payment_id=lost, operation="capture")
        await stack.fault("timeout_after_execution", payment_id=done, operation="capture")
        await asyncio.gather(stack.pay_persistently(lost, wait=1), stack.pay_persistently(done, wait=1))
        # Found by its key, however old it is.
        assert (await stack.until_decided(done))["status"] == "succeeded"
        # Nothing is found: it stays unknown, and is asked for again. Time alone doesn't make it failed.
        await until_pending(stack, lost, "charge", attempt=4)
        payment = await stack.get(lost)
        assert payment["status"] == "processing"
        assert payment["outcome_unknown"]["operation"] == "capture"
        assert await stack.journal_operations(lost) == ["authorize"]
        # An operator's `activity reset` sets the count of tries back, and still nothing is sent.
        await reset_activity(stack, lost, "charge")
        await asyncio.sleep(3)
        assert await stack.journal_operations(lost) == ["authorize"]
    finally:
        await worker.stop()


async def test_worker_whose_clock_is_hours_late_does_not_send_what_is_too_old_either(own_stack: Stack) -> None:
    stack, key = own_stack, new_key("lost")
    await stack.worker.stop()
    late = {"PYTHONPATH": str(Path(clock.__file__).parent), "PROVE_CLOCK_SECONDS": "-7200"}
    worker = stack.another_worker("late", **ALMOST_NO_WINDOW, **late)
    await worker.start()
    try:
        await stack.fault("timeout_before_execution", payment_id=key, operation="capture")
        await stack.pay_persistently(key, wait=1)
        await until_pending(stack, key, "charge", attempt=4)
        assert await stack.journal_operations(key) == ["authorize"]
    finally:
        await worker.stop()


async def reset_activity(stack: Stack, key: str, activity_id: str) -> None:
    """As `temporal activity reset` does."""
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.workflowservice.v1 import ResetActivityRequest

    client = await stack.temporal()
    await client.workflow_service.reset_activity(
        ResetActivityRequest(
            namespace=client.namespace, execution=WorkflowExecution(workflow_id=key), id=activity_id, identity="test"
        )
    )
    description = await (await handle_of(stack, key)).describe()
    attempts = [p.attempt for p in description.raw_description.pending_activities if p.activity_id == activity_id]
    assert attempts == [1]
