"""Temporal gives up a call, as it does when it is busy or stopped: its client raises an error of its own for that.

Nothing is known then, neither that the payment goes on nor that it doesn't: found by the campaign, which saw 500.
"""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
import pytest_asyncio
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowUpdateWithStartInput,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.contrib.pydantic import pydantic_data_converter

from api.asking import Asking
from api.calling import Deadline
from api.problems import Code, ProblemError
from api.starting import Decided, Payments, Undecided
from ledger.connections import open_pool
from ledger.postgres import PostgresLedger
from payments.messages import RefundAnswer, RequestRefund
from payments.request import RecordedRequest
from tests.harness import Stack, a_request, new_key

AT_ONCE = timedelta(0)


class GivenUp(Interceptor):
    """Each update is given up, after the server has taken it or before."""

    def __init__(self, *, taken: bool) -> None:
        self.taken = taken

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - its base names it
        return _GivenUp(next, taken=self.taken)


class _GivenUp(OutboundInterceptor):
    def __init__(self, following: OutboundInterceptor, *, taken: bool) -> None:
        super().__init__(following)
        self._taken = taken

    async def start_update_with_start_workflow(
        self,
        input: StartWorkflowUpdateWithStartInput,  # noqa: A002
    ) -> WorkflowUpdateHandle[object]:
        if self._taken:
            await super().start_update_with_start_workflow(input)
        raise WorkflowUpdateRPCTimeoutOrCancelledError


async def connected(stack: Stack, *, taken: bool) -> Client:
    return await Client.connect(
        stack.servers.temporal.address,
        data_converter=pydantic_data_converter,
        interceptors=[GivenUp(taken=taken)],
    )


@pytest_asyncio.fixture
async def ledger(stack: Stack) -> AsyncGenerator[PostgresLedger]:
    async with await open_pool(stack.servers.postgres.dsn, 2) as pool:
        yield PostgresLedger(pool)


async def test_payment_that_was_taken_is_under_way(stack: Stack, ledger: PostgresLedger) -> None:
    key = new_key()
    payments = Payments(await connected(stack, taken=True), ledger, AT_ONCE)
    request = RecordedRequest.model_validate(a_request())
    answer = await payments.pay(key, request, 5)
    assert isinstance(answer, Decided | Undecided)
    assert answer.payment.id == key
    assert (await stack.until_decided(key))["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]


async def test_of_a_payment_that_was_not_taken_nothing_is_said(stack: Stack, ledger: PostgresLedger) -> None:
    payments = Payments(await connected(stack, taken=False), ledger, AT_ONCE)
    with pytest.raises(ProblemError) as refused:
        await payments.pay(new_key(), RecordedRequest.model_validate(a_request()), 5)
    assert refused.value.code is Code.TEMPORAL_UNAVAILABLE


@pytest.mark.parametrize("taken", [True, False])
async def test_refund_that_was_given_up_has_no_answer_yet(stack: Stack, ledger: PostgresLedger, *, taken: bool) -> None:
    key = new_key()
    await stack.pay(key)
    record = await ledger.find(key)
    assert record is not None
    asking = Asking(await connected(stack, taken=taken), AT_ONCE)
    sent = RequestRefund(refund_id="r", amount=100)
    assert await asking.ask(record, "request_refund", sent, "refund", RefundAnswer, Deadline(5)) is None
    assert (await stack.refund_persistently(key, "r", amount=100)).json()["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
