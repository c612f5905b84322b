"""A customer confirms while another try is at it, or somebody cancels: charged once and told so, or not at all."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import pytest_asyncio

from api.delivering import _matters as is_news  # pyright: ignore[reportPrivateUsage]
from gateways.port import Concern
from gateways.sandbox.gateway import open_sandbox_gateway
from ledger.connections import open_pool
from ledger.port import Decision, WebhookEvent
from ledger.postgres import PostgresLedger
from payments.identifiers import OperationKind, operation_key
from payments.messages import Charged, Decided, Held, Reserve, Waiting
from payments.operations import Executed
from payments.payment import Payment, processing_payment
from payments.request import PaymentRequest
from payments.state import PaymentStatus
from paysaga.dev.ports import free_ports
from tests.harness import Servers, Stack, a_request, new_key
from tests.workflow.test_cancellation import handle_of
from tests.workflow.test_customer_action import METHOD, again, waiting
from tests.workflow.test_late_tries import Steps


class Frozen(PostgresLedger):
    """Of a machine that stands still before it writes a payment's end."""

    def __init__(self, pool: Any) -> None:
        super().__init__(pool)
        self.reached, self.goes_on = asyncio.Event(), asyncio.Event()

    async def decide(self, decision: Decision) -> Payment:
        self.reached.set()
        await self.goes_on.wait()
        return await super().decide(decision)


class Tries:
    """Two tries of the same steps, of which the first freezes; and one that can't reach the processor."""

    def __init__(self, frozen: Steps, second: Steps, cut_off: Steps) -> None:
        self.frozen, self.second, self.cut_off = frozen, second, cut_off


@pytest_asyncio.fixture
async def tries(servers: Servers) -> AsyncGenerator[Tries]:
    pool = await open_pool(servers.postgres.dsn, 4)
    day = timedelta(days=1)
    async with (
        open_sandbox_gateway(servers.sandbox.url, timeout_seconds=5, key_window=day) as gateway,
        open_sandbox_gateway(f"http://127.0.0.1:{free_ports(1)[0]}", timeout_seconds=1, key_window=day) as nowhere,
    ):
        yield Tries(
            Steps(gateway, Frozen(pool)), Steps(gateway, PostgresLedger(pool)), Steps(nowhere, PostgresLedger(pool))
        )
    await pool.close()


def step_of(key: str) -> Reserve:
    request = PaymentRequest.model_validate(a_request(payment_method=METHOD))
    return Reserve(payment_id=key, request=request, first_run="first")


async def action_of(steps: Steps, step: Reserve) -> dict[str, Any]:
    word = cast("Waiting", await steps.run("reserve", step))
    return {"next_action": {"url": word.action.url}}


@pytest.mark.parametrize("thaws", ["before the charge", "after the charge"])
async def test_frozen_try_that_saw_the_customer_give_up_declines_nothing_that_was_charged(
    tries: Tries, stack: Stack, thaws: str
) -> None:
    key = new_key()
    step = step_of(key)
    payment = await action_of(tries.second, step)
    await stack.act(payment, "abandon")
    late = asyncio.create_task(tries.frozen.run("reserve", step))
    ledger = cast("Frozen", tries.frozen.ledger)
    await ledger.reached.wait()
    assert (await stack.act(payment, "confirm", late=True)).status_code == 200
    held = cast("Held", await tries.second.run("reserve", step))
    if thaws == "before the charge":
        ledger.goes_on.set()
        await asyncio.gather(late, return_exceptions=True)
    charge = cast("Executed", await tries.second.run("charge", held))
    ledger.goes_on.set()
    await asyncio.gather(late, return_exceptions=True)
    recorded = await tries.second.run("record", Charged(held=held, charge=charge))
    assert recorded.status == "succeeded"
    await stack.assert_books_agree(key)


async def test_try_that_finds_a_late_confirmation_charges_nothing_once_another_one_has_declined(
    tries: Tries, stack: Stack
) -> None:
    """The other one decides between this one's look at the row and its look at the processor."""
    key = new_key()
    step = step_of(key)
    payment = await action_of(tries.second, step)
    claims = asyncio.Event()
    ledger = tries.second.ledger
    claim = ledger.claim

    async def claim_slowly(wanted: Any) -> Any:
        record = await claim(wanted)
        await claims.wait()
        return record

    ledger.claim = claim_slowly  # pyright: ignore[reportAttributeAccessIssue]
    slow = asyncio.create_task(tries.second.run("reserve", step))
    await asyncio.sleep(0.3)
    await stack.act(payment, "abandon")
    cast("Frozen", tries.frozen.ledger).goes_on.set()
    assert (await tries.frozen.run("reserve", step)).payment.status == "declined"
    await stack.act(payment, "confirm", late=True)
    claims.set()
    word = await slow
    assert isinstance(word, Decided), "a payment that was declined would be charged"


async def test_look_up_that_failed_once_leaves_no_unknown_outcome_behind(tries: Tries) -> None:
    step = step_of(new_key())
    await action_of(tries.second, step)
    with pytest.raises(Exception, match="can't be read"):
        await tries.cut_off.run("reserve", step)
    record = await tries.second.ledger.find(step.payment_id)
    assert record is not None
    assert record.payment.outcome_unknown is not None
    word = cast("Waiting", await tries.second.run("reserve", step))
    assert word.payment.outcome_unknown is None


async def test_canceled_payment_is_canceled_although_its_run_was_terminated_after_the_void(stack: Stack) -> None:
    payment = await waiting(stack)
    key = payment["id"]
    await stack.fault("timeout_after_execution", payment_id=key, operation="void")
    canceling = asyncio.create_task(stack.cancel(key, wait=1))
    void = f"/v1/operations/{operation_key(OperationKind.VOID, key)}"
    async with asyncio.timeout(10):
        while (await stack.processor.get(void)).status_code != 200:
            await asyncio.sleep(0.02)
    await (await handle_of(stack, key)).terminate("by mistake")
    await asyncio.gather(canceling, return_exceptions=True)
    assert await again(stack, key) == (201, "canceled")
    assert (await stack.cancel(key)).json()["status"] == "canceled"


@pytest.mark.parametrize(("status", "matters"), [("failed", True), ("declined", False), ("processing", True)])
def test_refund_that_failed_matters_to_a_payment_that_was_undone_in_another_currency(
    status: str, matters: bool
) -> None:
    """Of that charge the payment's own amounts say nothing."""
    event = WebhookEvent(processor="sandbox", id="e", type="refund.failed", concerns=Concern.REFUND, payment_id="p")
    payment = processing_payment("p", PaymentRequest.model_validate(a_request()), datetime.now(UTC))
    payment = payment.model_copy(update={"status": PaymentStatus(status), "processor": "sandbox"})
    assert is_news(event, payment) is matters


async def test_terminated_payment_that_was_confirmed_is_charged_when_its_request_is_repeated(stack: Stack) -> None:
    """Nobody else tells it: the run that the webhook reached is gone."""
    payment = await waiting(stack)
    for _ in range(2):
        await (await handle_of(stack, payment["id"])).terminate("by mistake")
        repeated = await stack.pay_persistently(payment["id"], payment_method=METHOD)
        assert (repeated.status_code, repeated.json()["next_action"]) == (202, payment["next_action"])
    await (await handle_of(stack, payment["id"])).terminate("by mistake")
    await stack.act(payment, "confirm")
    assert await again(stack, payment["id"]) == (201, "succeeded")
    assert await stack.journal_operations(payment["id"]) == ["authorize", "capture"]
    await stack.assert_books_agree(payment["id"])
