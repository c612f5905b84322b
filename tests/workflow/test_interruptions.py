"""Runs that end without code of ours: terminated, reset, deleted after retention. The row and the keys carry on."""

import asyncio

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest, ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from payments.messages import Start
from payments.request import PaymentRequest
from tests.harness import Stack, a_request, new_key
from tests.workflow.test_cancellation import SLOW, closed_status, handle_of, until_pending


async def forget(client: Client, key: str) -> None:
    """Delete the closed workflow, as Temporal does when its retention is over."""
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=key)
        )
    )
    async with asyncio.timeout(60):
        while True:
            try:
                await client.get_workflow_handle(key).describe()
            except RPCError:
                return
            await asyncio.sleep(0.05)


async def reset(client: Client, key: str) -> None:
    """Reset the latest run to its first workflow task, as an operator can."""
    handle = client.get_workflow_handle(key)
    description = await handle.describe()
    events = [event async for event in handle.fetch_history_events()]
    first_task = next(e.event_id for e in events if e.HasField("workflow_task_completed_event_attributes"))
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=key, run_id=description.run_id),
            workflow_task_finish_event_id=first_task,
            request_id=new_key("reset"),
            reason="test",
        )
    )


@pytest.mark.parametrize(("operation", "activity"), [("authorize", "reserve"), ("capture", "charge")])
async def test_terminated_payment_is_finished_by_the_clients_retry(stack: Stack, operation: str, activity: str) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation=operation, seconds=SLOW)
    waiting = asyncio.create_task(stack.pay_persistently(key))
    await until_pending(stack, key, activity)
    await (await handle_of(stack, key)).terminate()
    # Whoever waited is not left alone either: the API takes the payment over at once.
    assert (await waiting).json()["status"] == "succeeded"
    assert (await stack.pay_persistently(key)).json()["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_payment_terminated_while_it_is_undone_is_undone_and_never_recorded(stack: Stack) -> None:
    # Refunded already, but not decided: a run that began at the start again must not record the charge.
    key = new_key()
    await stack.close_account("UGX")
    await stack.fault("timeout_after_execution", payment_id=key, operation="refund")
    assert (await stack.pay_persistently(key, wait=1, currency="UGX")).status_code == 202
    await stack.until_journal_has(key, "refund")
    async with stack.database() as db:
        await db.execute("DELETE FROM accounts WHERE currency = 'UGX' AND name = 'sales'")
    await (await handle_of(stack, key)).terminate()
    payment = (await stack.pay_persistently(key, wait=30, currency="UGX")).json()
    assert (payment["status"], payment["failure"]["code"]) == ("failed", "recording_refused")
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
    await stack.assert_books_agree(key)


async def test_cancel_of_a_run_that_took_over_a_charged_payment_finishes_it(stack: Stack) -> None:
    key = new_key()
    await stack.fault("timeout_after_execution", payment_id=key, operation="capture")
    assert (await stack.pay_persistently(key, wait=1)).status_code == 202
    await stack.until_journal_has(key, "capture")
    handle = await handle_of(stack, key)
    await handle.terminate()
    request = PaymentRequest.model_validate(a_request())
    start = Start(request=request, fingerprint=request.fingerprint())
    client = await stack.temporal()
    async with stack.database() as db, db.transaction():
        # Holds up the new run's first step, so that the cancellation comes during it.
        await db.execute("LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
        await client.start_workflow("PaymentWorkflow", start, id=key, task_queue="payments")
        await until_pending(stack, key, "reserve")
        await handle.cancel()
        await asyncio.sleep(0.5)
    assert (await stack.until_decided(key))["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_key_stays_with_its_first_request_when_its_run_was_terminated_before_the_claim(own_stack: Stack) -> None:
    await own_stack.worker.stop()
    key = new_key()
    assert (await own_stack.pay(key, wait=1)).status_code == 202
    await (await handle_of(own_stack, key)).terminate()
    changed = await own_stack.pay(key, wait=1, amount=1)
    assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")
    await own_stack.worker.start()
    assert (await own_stack.pay(key, wait=20)).json()["status"] == "succeeded"
    assert await own_stack.journal_operations(key) == ["authorize", "capture"]


async def test_reset_in_mid_charge_charges_once(stack: Stack) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation="capture", seconds=SLOW)
    assert (await stack.pay_persistently(key, wait=1)).status_code == 202
    await until_pending(stack, key, "charge")
    await reset(await stack.temporal(), key)
    assert (await stack.until_decided(key))["status"] == "succeeded"
    assert await closed_status(stack, key) is WorkflowExecutionStatus.COMPLETED
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


@pytest.mark.parametrize("payment_method", ["pm_card_visa", "pm_sandbox_captureDeclined"])
async def test_reset_of_a_decided_payment_moves_nothing(stack: Stack, payment_method: str) -> None:
    key = new_key()
    first = await stack.pay_persistently(key, payment_method=payment_method)
    journal = await stack.journal(key)
    await reset(await stack.temporal(), key)
    assert await closed_status(stack, key) is WorkflowExecutionStatus.COMPLETED
    assert await stack.journal(key) == journal
    assert (await stack.pay_persistently(key, payment_method=payment_method)).content == first.content
    await stack.assert_books_agree(key)


async def test_key_used_again_after_temporal_forgot_it_gets_the_first_answer_and_charges_nothing(stack: Stack) -> None:
    key = new_key()
    first = await stack.pay_persistently(key)
    await forget(await stack.temporal(), key)
    again = await stack.pay_persistently(key)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    changed = await stack.pay_persistently(key, amount=5000)
    assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")
    # Not even a run that somebody starts by hand for this key moves money.
    client = await stack.temporal()
    for amount in (4990, 5000):
        request = PaymentRequest.model_validate(a_request(amount=amount))
        start = Start(request=request, fingerprint=request.fingerprint())
        await (await client.start_workflow("PaymentWorkflow", start, id=key, task_queue="payments")).result()
    assert len(await stack.journal(key)) == 2
    await stack.assert_books_agree(key)


async def test_graceful_stop_of_the_worker_lets_the_charge_in_flight_finish(own_stack: Stack) -> None:
    key = new_key()
    await own_stack.fault("slow", payment_id=key, operation="capture", seconds=SLOW)
    assert (await own_stack.pay(key, wait=1)).status_code == 202
    await until_pending(own_stack, key, "charge")
    await own_stack.worker.stop()
    assert own_stack.worker.child.exit_code == 0
    assert await own_stack.journal_operations(key) == ["authorize", "capture"]
    await own_stack.worker.start()
    assert (await own_stack.until_decided(key))["status"] == "succeeded"
    handle = await handle_of(own_stack, key)
    started = [
        event.activity_task_started_event_attributes.attempt
        async for event in handle.fetch_history_events()
        if event.HasField("activity_task_started_event_attributes")
    ]
    assert started == [1, 1, 1], "the charge must have been reported by the worker that was told to stop"
