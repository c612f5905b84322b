"""Whatever anybody sends to a workflow: a malformed start fails clearly, nothing else disturbs a payment."""

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from payments.messages import Start
from payments.request import PaymentRequest, RecordedRequest
from tests.harness import Stack, a_request, new_key
from tests.workflow.test_cancellation import SLOW, closed_status, handle_of, until_pending

BAD_PAYS: list[list[Any]] = [[], [1], ["pay"], [None], [{}], [{"fingerprint": 1}], [{"fingerprint": None}], [{}, {}]]
BAD_SIGNALS: list[list[Any]] = [[], [{}], [{}, {}, {}], ["x" * 5000]]
GOOD = PaymentRequest.model_validate(a_request())
FINGERPRINT = GOOD.fingerprint()


def a_start(**fields: Any) -> dict[str, Any]:
    """As somebody may start it by hand, with the fingerprint that belongs to it."""
    request = a_request(**fields)
    return {"request": request, "fingerprint": RecordedRequest.model_construct(**request).fingerprint()}


BAD_STARTS: list[tuple[list[Any], str]] = [
    ([], "one argument, not 0"),
    ([a_start(), a_start()], "one argument, not 2"),
    (["nonsense"], "Start"),
    ([None], "Start"),
    ([[1, 2]], "Start"),
    ([{"request": None, "quiet_seconds": -1}], "quiet_seconds"),
    ([{"request": {}, "fingerprint": ""}], "request.amount"),
    ([{"request": a_request(amount="4990"), "fingerprint": FINGERPRINT}], "request.amount"),
    ([a_start(amount=-1)], "request.amount"),
    ([a_start(surplus=1)], "request.surplus"),
    ([a_start(currency="eur")], "request.currency"),
    ([a_start(capture="later")], "request.capture"),
    ([{"request": a_request(amount=5000), "fingerprint": FINGERPRINT}], "fingerprint"),
    ([{"request": a_request(), "fingerprint": "0" * 64}], "fingerprint"),
]


@pytest.mark.parametrize(("arguments", "problem"), BAD_STARTS)
async def test_malformed_start_fails_and_leaves_the_key_free(stack: Stack, arguments: list[Any], problem: str) -> None:
    key = new_key()
    client = await stack.temporal()
    handle = await client.start_workflow("PaymentWorkflow", args=arguments, id=key, task_queue="payments")
    with pytest.raises(WorkflowFailureError) as failure:
        async with asyncio.timeout(10):
            await handle.result()
    assert isinstance(failure.value.cause, ApplicationError)
    assert problem in str(failure.value.cause)
    assert "nonsense" not in str(failure.value.cause)
    assert await stack.journal(key) == []
    reply = await stack.pay_persistently(key)
    assert (reply.status_code, reply.json()["status"]) == (201, "succeeded")
    await stack.assert_books_agree(key)


@pytest.mark.parametrize("key", ["a/b", "50%", "..", "x" * 256, "naïve"])
async def test_start_under_an_id_that_is_no_idempotency_key_fails(stack: Stack, key: str) -> None:
    client = await stack.temporal()
    handle = await client.start_workflow("PaymentWorkflow", a_start(), id=key, task_queue="payments")
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert "idempotency key" in str(failure.value.cause)
    assert await stack.journal(key) == []


async def test_payment_started_by_hand_pays_once_and_answers_the_api(stack: Stack) -> None:
    key = new_key()
    client = await stack.temporal()
    await stack.fault("slow", payment_id=key, operation="capture", seconds=SLOW)
    start = Start(request=GOOD, fingerprint=FINGERPRINT)
    handle = await client.start_workflow("PaymentWorkflow", start, id=key, task_queue="payments")
    assert (await stack.pay_persistently(key, wait=5)).status_code in {201, 202}
    await handle.result()
    assert (await stack.pay_persistently(key)).json()["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]


async def test_malformed_pay_is_refused_and_the_payment_goes_on(stack: Stack) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation="capture", seconds=SLOW)
    assert (await stack.pay_persistently(key, wait=0)).status_code == 202
    await until_pending(stack, key, "charge")
    handle = await handle_of(stack, key)
    for arguments in BAD_PAYS:
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("pay", args=arguments)
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type == "Malformed"
    assert (await stack.until_decided(key))["status"] == "succeeded"
    assert await closed_status(stack, key) is WorkflowExecutionStatus.COMPLETED
    await stack.assert_books_agree(key)


@pytest.mark.parametrize("name", ["request_refund", "cancel", "no such signal", "pay"])
async def test_signal_disturbs_nothing(stack: Stack, name: str) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation="capture", seconds=SLOW)
    assert (await stack.pay_persistently(key, wait=0)).status_code == 202
    await until_pending(stack, key, "charge")
    handle = await handle_of(stack, key)
    for arguments in BAD_SIGNALS:
        await handle.signal(name, args=arguments)
    assert (await stack.until_decided(key))["status"] == "succeeded"
    assert await closed_status(stack, key) is WorkflowExecutionStatus.COMPLETED
    await stack.assert_books_agree(key)


async def test_waiter_who_did_not_start_the_payment_does_not_get_its_nonce(stack: Stack) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation="capture", seconds=SLOW)
    first = asyncio.create_task(stack.pay_persistently(key))
    await until_pending(stack, key, "charge")
    second = asyncio.create_task(stack.pay_persistently(key))
    assert "Idempotent-Replayed" not in (await first).headers
    assert (await second).headers["Idempotent-Replayed"] == "true"
    assert (await first).content == (await second).content


async def test_query_tells_the_payment_before_and_after_it_is_decided(stack: Stack) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation="capture", seconds=SLOW)
    assert (await stack.pay_persistently(key, wait=0)).status_code == 202
    await until_pending(stack, key, "charge")
    handle = await handle_of(stack, key)
    assert (await handle.query("payment"))["status"] == "processing"
    await stack.until_decided(key)
    await closed_status(stack, key)
    assert (await handle.query("payment"))["status"] == "succeeded"
