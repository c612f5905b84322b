"""A charged payment stays open for refunds, sleeps after the quiet period, and wakes under the same ID."""

import asyncio
import random
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowExecutionStatus

from payments.messages import Start
from paysaga.settings import Settings
from tests.harness import Servers, Stack, new_key, running
from tests.workflow.test_cancellation import closed_status, handle_of
from tests.workflow.test_refunds_by_signal import temporal

QUIET = 2


@pytest_asyncio.fixture(scope="module")
async def shop(stack: Stack, servers: Servers) -> AsyncGenerator[Stack]:
    """Payments stay open for two seconds."""
    api = stack.another_api("quiet-api", PAYSAGA_QUIET_PERIOD_SECONDS=str(QUIET))
    async with running(api):
        opened = Stack(servers, stack.worker, api)
        yield opened
        await opened.close()


async def status(shop: Stack, key: str) -> WorkflowExecutionStatus | None:
    return (await (await handle_of(shop, key)).describe()).status


async def runs(shop: Stack, key: str) -> int:
    client = await shop.temporal()
    return len({each.run_id async for each in client.list_workflows(f"WorkflowId = '{key}'")})


async def test_replays_get_the_first_answer_while_it_is_open_asleep_and_awake_again(shop: Stack) -> None:
    key = new_key()
    first = (await shop.pay(key)).json()
    assert await status(shop, key) is WorkflowExecutionStatus.RUNNING
    assert (await shop.pay(key)).json() == first
    assert (await shop.refund(key, "open", amount=100)).status_code == 201
    assert await closed_status(shop, key) is WorkflowExecutionStatus.COMPLETED
    assert (await shop.pay(key)).json() == first
    assert (await shop.refund(key, "woken", amount=200)).status_code == 201
    assert await status(shop, key) is WorkflowExecutionStatus.RUNNING
    replies = await asyncio.gather(*(shop.pay(key) for _ in range(5)), *(shop.pay(key, amount=1) for _ in range(5)))
    assert [reply.status_code for reply in replies] == [201] * 5 + [422] * 5
    assert [reply.json() for reply in replies[:5]] == [first] * 5
    assert await closed_status(shop, key) is WorkflowExecutionStatus.COMPLETED
    assert (await shop.pay(key)).json() == first
    assert (await shop.refund(key, "woken", amount=200)).headers["Idempotent-Replayed"] == "true"
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund", "refund"]
    await shop.assert_books_agree(key)


async def found_by(stack: Stack, key: str) -> dict[str, object]:
    """The search attributes of a payment's workflow."""
    description = await (await handle_of(stack, key)).describe()
    return {pair.key.name: pair.value for pair in description.typed_search_attributes}


async def test_people_wake_a_sleeping_payment_with_signal_with_start(shop: Stack) -> None:
    key = new_key()
    await shop.pay(key, customer="cus_9", order_id=f"order-{key}")
    await closed_status(shop, key)
    name = ("--workflow-id", key, "--type", "PaymentWorkflow", "--task-queue", "payments")
    signal = ("--signal-name", "request_refund", "--signal-input", '{"refund_id": "by-hand", "amount": 990}')
    await temporal(shop, "workflow", "signal-with-start", *name, "--input", "{}", *signal)
    async with asyncio.timeout(20):
        while (await shop.get(key))["amount_refunded"] != 990:
            await asyncio.sleep(0.05)
    expected = {"PaymentStatus": "partially_refunded", "CustomerId": "cus_9", "PaymentAmount": 4990}
    # The ledger says it first, then the workflow.
    async with asyncio.timeout(20):
        while {name: (await found_by(shop, key)).get(name) for name in expected} != expected:
            await asyncio.sleep(0.05)
    await shop.assert_books_agree(key)


async def test_waking_a_payment_that_never_was_moves_nothing_and_leaves_the_key_free(shop: Stack) -> None:
    key = new_key()
    client = await shop.temporal()
    request = {"refund_id": "r", "amount": 1}
    start = Start(quiet_seconds=0)
    await client.start_workflow(
        "PaymentWorkflow",
        start,
        id=key,
        task_queue="payments",
        start_signal="request_refund",
        start_signal_args=[request],
    )
    assert await closed_status(shop, key) is WorkflowExecutionStatus.COMPLETED
    assert (await shop.http.get(f"/v1/payments/{key}")).status_code == 404
    assert (await shop.refund(key, "r")).status_code == 404
    assert (await shop.pay(key)).json()["status"] == "succeeded"
    await shop.assert_books_agree(key)


async def test_a_payment_that_was_terminated_while_open_still_refunds(shop: Stack) -> None:
    key = new_key()
    await shop.pay(key)
    await (await handle_of(shop, key)).terminate("by mistake")
    assert (await shop.refund(key, "r", amount=100)).status_code == 201
    await shop.assert_books_agree(key)


async def test_refund_left_pending_by_a_terminated_run_is_finished_by_the_next(shop: Stack) -> None:
    key = new_key()
    await shop.pay(key)
    await shop.fault("timeout_after_execution", payment_id=key, operation="refund")
    assert (await shop.refund(key, "lost", amount=100, wait=1)).status_code == 202
    await (await handle_of(shop, key)).terminate("by mistake")
    assert (await shop.refund(key, "next", amount=1)).status_code == 201
    async with asyncio.timeout(30):
        while (await shop.get(key))["amount_refunded"] != 101:
            await asyncio.sleep(0.1)
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund", "refund"]
    await shop.assert_books_agree(key)


async def test_reset_of_a_refunded_payment_refunds_nothing_again(shop: Stack) -> None:
    key = new_key()
    first = (await shop.pay(key)).json()
    await shop.refund(key, "r", amount=100)
    arguments = ("--workflow-id", key, "--event-id", "4", "--reason", "by mistake")
    await temporal(shop, "workflow", "reset", *arguments)
    assert await closed_status(shop, key) is WorkflowExecutionStatus.COMPLETED
    assert (await shop.pay(key)).json() == first
    assert (await shop.refund(key, "r", amount=100)).headers["Idempotent-Replayed"] == "true"
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund"]
    await shop.assert_books_agree(key)


async def test_refunds_and_replays_hammered_while_it_sleeps_and_wakes_all_agree(stack: Stack) -> None:
    """A quiet period of nothing: every refund may meet a run that is just about to end."""
    dice = random.Random(new_key())
    key = new_key()
    first = (await stack.pay(key, amount=6000)).json()

    async def one(n: int) -> None:
        await asyncio.sleep(dice.random() * 2)
        reply = await stack.refund_persistently(key, f"r{n}", amount=100)
        assert (reply.status_code, reply.json()["status"]) == (201, "succeeded")
        assert (await stack.pay(key, amount=6000)).json() == first

    await asyncio.gather(*(one(n) for n in range(60)))
    replies = await asyncio.gather(*(stack.refund(key, f"r{n}", amount=100) for n in range(60)))
    assert {reply.headers.get("Idempotent-Replayed") for reply in replies} == {"true"}
    payment = await stack.get(key)
    assert (payment["status"], payment["amount_refundable"]) == ("refunded", 0)
    assert await runs(stack, key) > 1
    await stack.assert_books_agree(key)


async def test_refund_that_failed_after_all_is_found_before_it_sleeps(shop: Stack) -> None:
    """Nobody tells us: the processor is asked once the quiet period is over."""
    key = new_key()
    await shop.pay(key)
    await shop.fault("refund_fails_later", payment_id=key, operation="refund", seconds=1)
    refund = await shop.refund(key, "r")
    assert refund.json()["status"] == "succeeded"
    assert (await shop.get(key))["status"] == "refunded"
    assert await closed_status(shop, key) is WorkflowExecutionStatus.COMPLETED
    payment = await shop.get(key)
    assert (payment["status"], payment["amount_refunded"], payment["amount_refundable"]) == ("succeeded", 0, 4990)
    (shown,) = payment["refunds"]
    assert (shown["status"], shown["failure"]["code"]) == ("failed", "refund_failed")
    await shop.assert_books_agree(key)
    assert (await shop.refund(key, "again")).json()["status"] == "succeeded"
    await shop.assert_books_agree(key)


async def test_refund_made_late_in_the_quiet_period_is_watched_for_a_whole_one(shop: Stack) -> None:
    key = new_key()
    await shop.pay(key)
    await asyncio.sleep(QUIET * 0.6)
    # After the payment's own quiet period, long before the refund's.
    await shop.fault("refund_fails_later", payment_id=key, operation="refund", seconds=QUIET * 0.6)
    await shop.refund(key, "r")
    await closed_status(shop, key)
    assert (await shop.get(key))["status"] == "succeeded"
    await shop.assert_books_agree(key)


async def test_refund_that_failed_after_all_is_found_when_somebody_ends_the_waiting_or_wakes_it(stack: Stack) -> None:
    key = new_key()
    await stack.pay(key)
    await stack.fault("refund_fails_later", payment_id=key, operation="refund", seconds=1)
    assert (await stack.refund(key, "r")).json()["status"] == "succeeded"
    await stack.until_journal_has(key, "refund_failed")
    assert (await stack.get(key))["status"] == "refunded"
    await stack.refund(key, "wake", amount=1)
    async with asyncio.timeout(20):
        while (await stack.get(key))["amount_refunded"] > 1:
            await asyncio.sleep(0.1)
    await closed_status(stack, key)
    await stack.assert_books_agree(key)


async def test_a_refund_whose_outcome_is_unknown_turns_no_other_away(stack: Stack) -> None:
    """The run of a payment without a quiet period wants to end, and can't yet."""
    key = new_key()
    await stack.pay(key)
    await stack.fault("unavailable", payment_id=key, operation="refund", times=3)
    assert (await stack.refund(key, "stuck", amount=1, wait=1)).status_code == 202
    # Taken, or a 503, which says nothing.
    assert (await stack.refund(key, "other", amount=2, wait=2)).status_code in {201, 202, 503}
    for refund, amount in (("stuck", 1), ("other", 2)):
        assert (await stack.refund_persistently(key, refund, amount=amount)).json()["status"] == "succeeded"
    await stack.assert_books_agree(key)


async def test_run_knows_the_last_of_refunds_that_were_made_at_once(shop: Stack) -> None:
    keys = [new_key() for _ in range(4)]
    for key in keys:
        await shop.pay(key)
        await asyncio.gather(*(shop.refund(key, f"r{n}", amount=100) for n in range(8)))
        seen = await (await handle_of(shop, key)).query("payment")
        assert seen["amount_refunded"] == (await shop.get(key))["amount_refunded"] == 800


@pytest.mark.parametrize("refunds", [100, pytest.param(500, marks=pytest.mark.benchmarks)])
async def test_hundreds_of_refunds_of_one_payment_and_duplicates_of_each(shop: Stack, refunds: int) -> None:
    key = new_key()
    await shop.pay(key, amount=refunds * 100)
    turns = asyncio.Semaphore(8)

    async def one(n: int) -> Any:
        async with turns:
            return await shop.refund_persistently(key, f"r{n}", amount=100)

    replies = await asyncio.gather(*(one(n) for n in range(refunds)))
    assert {(reply.status_code, reply.json()["status"]) for reply in replies} == {(201, "succeeded")}
    again = await asyncio.gather(*(one(n % refunds) for n in range(4 * refunds)))
    assert {reply.headers.get("Idempotent-Replayed") for reply in again} == {"true"}
    payment = await shop.get(key)
    assert (payment["status"], len(payment["refunds"])) == ("refunded", refunds)
    assert (await shop.journal_operations(key)).count("refund") == refunds
    await shop.assert_books_agree(key)


def test_quiet_period_is_thirty_days_unless_an_operator_says_otherwise() -> None:
    assert Settings.model_fields["quiet_period_seconds"].default == timedelta(days=30).total_seconds()


def test_who_starts_a_payment_by_hand_gets_one_that_sleeps_at_once() -> None:
    """And so do payments that an older version has started: their histories know of no timer."""
    assert Start().quiet_seconds == 0
