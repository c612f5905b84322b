"""A refund that comes more than a year later, on a server that skips the time between."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from payments.messages import Start
from payments.request import PaymentRequest
from tests.harness import Stack, a_request, new_key, open_stack
from tests.workflow.test_cancellation import closed_status

SKIPPING = ("--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true")
DAY = timedelta(days=1)


@pytest_asyncio.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    async with open_stack(tmp_path_factory.mktemp("skipping"), temporal=SKIPPING) as stack:
        yield stack


async def start(skipper: TimeSkipper, key: str, quiet: timedelta) -> WorkflowHandle[Any, Any]:
    request = PaymentRequest.model_validate(a_request())
    seconds = int(quiet.total_seconds())
    return await skipper.client.start_workflow(
        "PaymentWorkflow",
        Start(request=request, fingerprint=request.fingerprint(), quiet_seconds=seconds),
        id=key,
        task_queue="payments",
    )


async def test_refund_on_day_400_wakes_a_payment_that_slept_for_a_year(shop: Stack) -> None:
    key = new_key("day-400")
    skipper = TimeSkipper(await shop.temporal())
    handle = await start(skipper, key, 30 * DAY)
    assert await closed_status(shop, key) is WorkflowExecutionStatus.COMPLETED
    description = await handle.describe()
    assert description.close_time is not None
    assert description.close_time - description.start_time >= 30 * DAY
    reply = await shop.refund(key, "year-later", amount=990)
    assert (reply.status_code, reply.json()["status"]) == (201, "succeeded")
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund"]
    await shop.assert_books_agree(key)


async def test_signal_on_day_400_refunds_a_payment_that_is_still_open(shop: Stack) -> None:
    key = new_key("day-400-open")
    skipper = TimeSkipper(await shop.temporal(), config=TimeSkippingConfig(enabled=False))
    handle = await start(skipper, key, 500 * DAY)
    await shop.until_decided(key)
    await skipper.fast_forward(handle, 400 * DAY)
    await handle.signal("request_refund", {"refund_id": "year-later", "amount": 990})
    async with asyncio.timeout(20):
        while (await shop.get(key))["status"] != "partially_refunded":
            await asyncio.sleep(0.05)
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund"]
    await shop.assert_books_agree(key)
