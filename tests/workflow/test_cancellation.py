"""Cancelling the workflow in Temporal, at each moment: before the charge it cancels the payment, after it nothing."""

import asyncio
import contextlib
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from tests.harness import Stack, new_key

# Longer than a payment is tried at once, shorter than the processor's deadline: the step can be seen while it waits.
SLOW = 3.5


async def handle_of(stack: Stack, key: str) -> Any:
    return (await stack.temporal()).get_workflow_handle(key)


async def until_pending(stack: Stack, key: str, activity_id: str, attempt: int = 1) -> None:
    """Until the activity is running, or waiting for the try of this number."""
    handle = await handle_of(stack, key)
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(RPCError):  # not started yet
                pending = (await handle.describe()).raw_description.pending_activities
                if any(p.activity_id == activity_id and p.attempt >= attempt for p in pending):
                    return
            await asyncio.sleep(0.02)


async def closed_status(stack: Stack, key: str) -> WorkflowExecutionStatus | None:
    handle = await handle_of(stack, key)
    async with asyncio.timeout(30):
        while (status := (await handle.describe()).status) is WorkflowExecutionStatus.RUNNING:
            await asyncio.sleep(0.05)
    return status


async def test_cancel_while_the_hold_is_placed_releases_it_and_charges_nothing(stack: Stack) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation="authorize", seconds=SLOW)
    waiting = asyncio.create_task(stack.pay_persistently(key))
    await until_pending(stack, key, "reserve")
    await (await handle_of(stack, key)).cancel()
    reply = await waiting
    assert (reply.status_code, reply.json()["status"]) == (201, "canceled")
    assert await stack.journal_operations(key) == ["authorize", "void"]
    assert await closed_status(stack, key) is WorkflowExecutionStatus.CANCELED
    await stack.assert_books_agree(key)


@pytest.mark.parametrize("fault", ["slow", "reset_after_execution", "timeout_before_execution", "unavailable"])
async def test_cancel_during_the_charge_finishes_the_payment(stack: Stack, fault: str) -> None:
    key = new_key()
    if fault == "slow":
        await stack.fault(fault, payment_id=key, operation="capture", seconds=SLOW)
    else:
        # The first one ends the try at once, the second strikes the step that can be seen.
        await stack.fault("unavailable", payment_id=key, operation="capture")
        await stack.fault(fault, payment_id=key, operation="capture")
    waiting = asyncio.create_task(stack.pay_persistently(key, wait=30))
    await until_pending(stack, key, "charge")
    await (await handle_of(stack, key)).cancel()
    assert (await waiting).json()["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    assert await closed_status(stack, key) is WorkflowExecutionStatus.COMPLETED
    await stack.assert_books_agree(key)


async def test_cancel_while_it_is_charged_at_once_finishes_the_payment(stack: Stack) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation="capture", seconds=SLOW)
    waiting = asyncio.create_task(stack.pay_persistently(key, wait=30))
    await stack.until_journal_has(key, "authorize")
    await asyncio.sleep(0.3)
    await (await handle_of(stack, key)).cancel()
    assert (await waiting).json()["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    assert await closed_status(stack, key) is WorkflowExecutionStatus.COMPLETED
    await stack.assert_books_agree(key)


async def test_cancel_while_the_hold_is_unknown_releases_it_and_charges_nothing(stack: Stack) -> None:
    key = new_key()
    await stack.fault("timeout_after_execution", payment_id=key, operation="authorize")
    waiting = asyncio.create_task(stack.pay_persistently(key, wait=30))
    await stack.until_journal_has(key, "authorize")
    await (await handle_of(stack, key)).cancel()
    assert (await waiting).json()["status"] == "canceled"
    assert await stack.journal_operations(key) == ["authorize", "void"]
    assert await closed_status(stack, key) is WorkflowExecutionStatus.CANCELED
    await stack.assert_books_agree(key)


async def test_cancel_between_the_tries_of_an_unknown_charge_finishes_the_payment(stack: Stack) -> None:
    # The trap of cancelling activities: between tries Temporal would call it canceled although the money moved.
    key = new_key()
    await stack.fault("unavailable", payment_id=key, operation="capture")
    await stack.fault("reset_after_execution", payment_id=key, operation="capture")
    waiting = asyncio.create_task(stack.pay_persistently(key, wait=30))
    await until_pending(stack, key, "charge", attempt=2)
    handle = await handle_of(stack, key)
    await handle.cancel()
    await handle.cancel()
    assert (await waiting).json()["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_cancel_during_the_undoing_undoes_to_the_end(stack: Stack) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation="void", seconds=SLOW)
    await stack.fault("unavailable", payment_id=key, operation="void")
    waiting = asyncio.create_task(stack.pay_persistently(key, wait=30, payment_method="pm_sandbox_captureDeclined"))
    await until_pending(stack, key, "release")
    handle = await handle_of(stack, key)
    for _ in range(3):
        await handle.cancel()
        await asyncio.sleep(0.2)
    assert (await waiting).json()["status"] == "declined"
    assert await stack.journal_operations(key) == ["authorize", "void"]
    await stack.assert_books_agree(key)


async def test_cancel_after_the_payment_is_decided_changes_nothing(stack: Stack) -> None:
    key = new_key()
    first = await stack.pay_persistently(key)
    await (await handle_of(stack, key)).cancel()
    assert await closed_status(stack, key) is WorkflowExecutionStatus.COMPLETED
    assert await stack.get(key) == first.json()
    assert await stack.journal_operations(key) == ["authorize", "capture"]


async def test_cancel_before_any_worker_took_the_payment_charges_nothing(own_stack: Stack) -> None:
    await own_stack.worker.stop()
    key = new_key()
    assert (await own_stack.pay(key, wait=1)).status_code == 202
    await (await handle_of(own_stack, key)).cancel()
    await own_stack.worker.start()
    assert (await own_stack.until_decided(key))["status"] == "canceled"
    assert "capture" not in await own_stack.journal_operations(key)
    await own_stack.assert_books_agree(key)


async def test_retry_of_a_canceled_payment_is_told_that_it_was_canceled(stack: Stack) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation="authorize", seconds=SLOW)
    waiting = asyncio.create_task(stack.pay_persistently(key))
    await until_pending(stack, key, "reserve")
    await (await handle_of(stack, key)).cancel()
    first = await waiting
    again = await stack.pay_persistently(key)
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await stack.journal_operations(key) == ["authorize", "void"]
