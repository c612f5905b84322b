"""A hold that waits: it outlives terminations, is released before it lapses; captured or given up, never both."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from temporalio.client import WorkflowExecutionStatus

from tests.faults.test_every_fault import FAULTS
from tests.harness import Stack, new_key, open_stack
from tests.workflow.test_cancellation import closed_status, handle_of
from tests.workflow.test_refunds_by_signal import temporal


async def held(stack: Stack) -> str:
    key = new_key("hold")
    assert (await stack.pay(key, capture="manual")).json()["status"] == "authorized"
    return key


@pytest_asyncio.fixture(scope="module")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    """A processor whose holds last for an hour and four seconds: we release them four seconds from now."""
    async with open_stack(tmp_path_factory.mktemp("hasty"), sandbox=("--hold-period", "3604")) as stack:
        yield stack


async def test_hold_that_nobody_captures_is_released_before_it_lapses(hasty: Stack) -> None:
    key = await held(hasty)
    async with asyncio.timeout(30):
        while (payment := await hasty.get(key))["status"] == "authorized":
            await asyncio.sleep(0.1)
    assert (payment["status"], payment["failure"]["code"]) == ("expired", "hold_expired")
    assert await hasty.journal_operations(key) == ["authorize", "void"]
    assert (await hasty.capture(key, "late")).json()["code"] == "payment_not_capturable"
    await hasty.assert_books_agree(key)


async def test_capture_just_before_the_release_is_made_and_nothing_is_released(hasty: Stack) -> None:
    key = await held(hasty)
    await asyncio.sleep(2)
    assert (await hasty.capture(key, "ship")).json()["status"] == "succeeded"
    await asyncio.sleep(3)
    assert await hasty.journal_operations(key) == ["authorize", "capture"]
    await hasty.assert_books_agree(key)


async def test_hold_that_the_processor_let_lapse_has_expired(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with open_stack(tmp_path_factory.mktemp("lapsed"), sandbox=("--hold-period", "0")) as stack:
        key = new_key("lapsed")
        assert (await stack.pay(key, capture="manual")).json()["status"] in {"authorized", "expired"}
        async with asyncio.timeout(30):
            while (payment := await stack.get(key))["status"] == "authorized":
                await asyncio.sleep(0.1)
        assert payment["status"] == "expired"
        assert await stack.journal_operations(key) == ["authorize"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_capture_is_made_once_whatever_the_processor_does(stack: Stack, fault: str) -> None:
    key = await held(stack)
    await stack.fault(fault, payment_id=key, operation="capture")
    while (reply := await stack.capture(key, "ship", amount=3000, wait=20)).status_code in {202, 503}:
        await asyncio.sleep(float(reply.headers["Retry-After"]))
    assert (reply.status_code, reply.json()["status"], reply.json()["amount_captured"]) == (200, "succeeded", 3000)
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_capture_whose_outcome_is_unknown_is_answered_so_and_not_canceled(stack: Stack) -> None:
    key = await held(stack)
    await stack.fault("unavailable", payment_id=key, operation="capture", times=3)
    # 503 says nothing: a busy Temporal may be too slow for the deadline.
    while (reply := await stack.capture(key, "ship", wait=1)).status_code == 503:
        pass
    assert (reply.status_code, reply.json()["status"]) == (202, "authorized")
    assert reply.json()["outcome_unknown"]["operation"] == "capture"
    canceled = await stack.cancel(key, wait=20)
    assert (canceled.status_code, canceled.json()["code"]) == (409, "payment_not_cancelable")
    assert (await stack.capture(key, "ship")).json()["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]


@pytest.mark.parametrize("ask", ["capture", "cancel"])
async def test_terminated_hold_wakes_for_its_capture_or_its_cancellation(stack: Stack, ask: str) -> None:
    key = await held(stack)
    await (await handle_of(stack, key)).terminate("by mistake")
    reply = await (stack.capture(key, "ship") if ask == "capture" else stack.cancel(key))
    assert (reply.status_code, reply.json()["status"]) == (200, "succeeded" if ask == "capture" else "canceled")
    await stack.assert_books_agree(key)


async def test_capture_that_a_terminated_run_has_begun_is_finished_and_not_canceled_by_the_next(stack: Stack) -> None:
    key = await held(stack)
    await stack.fault("timeout_after_execution", payment_id=key, operation="capture")
    assert (await stack.capture(key, "ship", amount=3000, wait=1)).status_code == 202
    await (await handle_of(stack, key)).terminate("by mistake")
    canceled = await stack.cancel(key, wait=30)
    assert (canceled.status_code, canceled.json()["code"]) == (409, "payment_not_cancelable")
    payment = await stack.get(key)
    assert (payment["status"], payment["amount_captured"]) == ("succeeded", 3000)
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_reset_of_a_captured_payment_captures_nothing_again(stack: Stack) -> None:
    key = await held(stack)
    await stack.capture(key, "ship")
    await closed_status(stack, key)
    await temporal(stack, "workflow", "reset", "--workflow-id", key, "--event-id", "4", "--reason", "by mistake")
    await closed_status(stack, key)
    assert (await stack.get(key))["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_people_cancel_a_hold_by_signal_or_with_temporals_cancel(stack: Stack) -> None:
    signaled, canceled = await held(stack), await held(stack)
    await temporal(stack, "workflow", "signal", "--workflow-id", signaled, "--name", "cancel")
    assert await closed_status(stack, signaled) is WorkflowExecutionStatus.COMPLETED
    await (await handle_of(stack, canceled)).cancel()
    assert await closed_status(stack, canceled) is WorkflowExecutionStatus.CANCELED
    for key in (signaled, canceled):
        assert (await stack.get(key))["status"] == "canceled"
        assert await stack.journal_operations(key) == ["authorize", "void"]
    await stack.assert_books_agree(signaled, canceled)


async def test_refund_of_a_hold_is_refused_and_the_hold_stays(stack: Stack) -> None:
    key = await held(stack)
    await (await handle_of(stack, key)).signal("request_refund", {"refund_id": "r"})
    async with asyncio.timeout(20):
        while not (payment := await stack.get(key))["refunds"]:
            await asyncio.sleep(0.05)
    assert (payment["status"], payment["refunds"][0]["failure"]["code"]) == ("authorized", "payment_not_refundable")
    assert (await stack.refund(key, "r2")).json()["code"] == "payment_not_refundable"
    assert (await stack.capture(key, "ship")).json()["status"] == "succeeded"
    await stack.assert_books_agree(key)
