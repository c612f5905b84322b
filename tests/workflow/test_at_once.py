"""Most payments are paid at once in one workflow task; what doesn't settle at once goes on where people can see it."""

import asyncio
import time
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import PauseActivityRequest, UnpauseActivityRequest

from tests.harness import Stack, new_key
from tests.workflow.test_cancellation import SLOW, handle_of, until_pending


async def history(stack: Stack, key: str) -> list[HistoryEvent]:
    handle = await handle_of(stack, key)
    return [event async for event in handle.fetch_history_events()]


async def activities(stack: Stack, key: str) -> list[str]:
    """The IDs of the ordinary activities that were scheduled."""
    events = await history(stack, key)
    kind = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    return [e.activity_task_scheduled_event_attributes.activity_id for e in events if e.event_type == kind]


async def test_payment_that_goes_well_takes_one_task_and_no_activity_of_its_own(stack: Stack) -> None:
    key = new_key()
    assert (await stack.pay_persistently(key)).json()["status"] == "succeeded"
    kinds = [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in await history(stack, key)]
    assert kinds == [
        "WORKFLOW_EXECUTION_STARTED",
        "WORKFLOW_TASK_SCHEDULED",
        "WORKFLOW_TASK_STARTED",
        "WORKFLOW_TASK_COMPLETED",
        "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
        "MARKER_RECORDED",
        "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
        "WORKFLOW_EXECUTION_UPDATE_COMPLETED",
        "WORKFLOW_EXECUTION_COMPLETED",
    ]


@pytest.mark.parametrize(
    ("fields", "status", "steps"),
    [
        ({"payment_method": "pm_card_chargeDeclined"}, "declined", []),
        ({"payment_method": "pm_sandbox_captureDeclined"}, "declined", ["reserve", "release"]),
        ({"payment_method": "pm_sandbox_unavailableOnce"}, "succeeded", ["reserve", "charge", "record"]),
    ],
)
async def test_steps_that_are_taken_one_by_one(
    stack: Stack, fields: dict[str, Any], status: str, steps: list[str]
) -> None:
    key = new_key()
    assert (await stack.pay_persistently(key, **fields)).json()["status"] == status
    assert await activities(stack, key) == steps
    await stack.assert_books_agree(key)


async def test_request_that_takes_longer_is_seen_and_not_sent_again(stack: Stack) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation="capture", seconds=SLOW)
    began = time.monotonic()
    waiting = asyncio.create_task(stack.pay_persistently(key))
    await until_pending(stack, key, "charge")
    assert time.monotonic() - began < 3.5
    # Would strike a second request.
    await stack.fault("unavailable", payment_id=key, operation="capture")
    assert (await waiting).json()["status"] == "succeeded"
    assert time.monotonic() - began < SLOW + 2
    left = (await stack.processor.get("/faults")).json()["data"]
    assert key in {fault["payment_id"] for fault in left}
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_charge_that_did_not_settle_at_once_can_be_paused_and_goes_on(stack: Stack) -> None:
    key = new_key()
    await stack.fault("unavailable", payment_id=key, operation="capture", times=2)
    assert (await stack.pay_persistently(key, wait=0)).status_code == 202
    await until_pending(stack, key, "charge", attempt=2)
    client = await stack.temporal()
    execution = WorkflowExecution(workflow_id=key)
    await client.workflow_service.pause_activity(
        PauseActivityRequest(namespace=client.namespace, execution=execution, id="charge", identity="support")
    )
    await asyncio.sleep(2.5)
    payment = await stack.get(key)
    assert (payment["status"], await stack.journal_operations(key)) == ("processing", ["authorize"])
    await client.workflow_service.unpause_activity(
        UnpauseActivityRequest(namespace=client.namespace, execution=execution, id="charge", identity="support")
    )
    assert (await stack.until_decided(key))["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)
