"""`GET /v1/payments/{id}/timeline`: what happened, in order, told as the processor's journal has it."""

import asyncio
from typing import Any

import pytest

from payments.messages import Start
from tests.harness import Stack, new_key
from tests.refusals import assert_problem
from tests.timelines import moved, said, timeline
from tests.workflow.test_cancellation import closed_status, handle_of, until_pending
from tests.workflow.test_customer_action import settled, waiting

CREATED = ("payment.created", "client")
AUTHORIZED = ("payment.authorized", "workflow")
SUCCEEDED = ("payment.succeeded", "workflow")
UNDOING = ("payment.undoing", "workflow")


async def wake(stack: Stack, key: str, **more: Any) -> None:
    """As people do who have only Temporal, until it sleeps again."""
    await closed_status(stack, key)
    client = await stack.temporal()
    run = await client.start_workflow("PaymentWorkflow", Start(), id=key, task_queue="payments", **more)
    async with asyncio.timeout(20):
        await run.result()


async def test_ordinary_payment_was_created_and_succeeded_and_its_repetition_tells_no_more(stack: Stack) -> None:
    key = new_key()
    payment = (await stack.pay(key)).json()
    events = await timeline(stack, key)
    assert said(events) == [CREATED, SUCCEEDED]
    assert set(events[0]) == {"id", "type", "actor", "refund_id", "reference", "data", "created_at"}
    assert (events[0]["data"], events[0]["reference"]) == ({"amount": 4990, "currency": "EUR"}, None)
    assert events[1]["reference"] == payment["processor_reference"]
    assert events[1]["data"] == {"amount_captured": 4990, "currency": "EUR"}
    await stack.pay(key)
    assert await timeline(stack, key) == events


async def test_nothing_that_clients_wrote_stands_in_a_timeline(stack: Stack) -> None:
    key = new_key()
    words: dict[str, Any] = {"customer": "cus_secret", "order_id": new_key("secret"), "metadata": {"secret": "secret"}}
    await stack.pay(key, description="secret", **words)
    await stack.refund(key, "r", amount=1, reason="secret")
    assert len(await timeline(stack, key)) == 5
    assert "secret" not in (await stack.http.get(f"/v1/payments/{key}/timeline")).text


async def test_decline_is_the_processors_with_its_code(stack: Stack) -> None:
    key, at_the_charge = new_key(), new_key()
    await stack.pay(key, payment_method="pm_card_chargeDeclinedInsufficientFunds")
    events = await timeline(stack, key)
    assert said(events) == [CREATED, ("payment.declined", "processor")]
    assert events[1]["data"] == {"code": "insufficient_funds"}
    await stack.pay(at_the_charge, payment_method="pm_sandbox_captureDeclined")
    events = await timeline(stack, at_the_charge)
    assert said(events) == [CREATED, UNDOING, ("payment.declined", "processor")]
    assert events[1]["data"] == {"step": "release", "code": events[2]["data"]["code"]}
    assert events[2]["reference"].startswith("auth_")


async def test_payment_refused_for_its_order_was_created_and_failed(stack: Stack) -> None:
    order, key = new_key("order"), new_key()
    await stack.pay(new_key(), order_id=order)
    assert (await stack.pay(key, order_id=order)).status_code == 409
    events = await timeline(stack, key)
    assert said(events) == [CREATED, ("payment.failed", "workflow")]
    assert events[1]["data"] == {"code": "order_already_paid"}


async def test_outcome_that_was_unknown_and_then_found_is_told(stack: Stack) -> None:
    key = new_key()
    await stack.fault("unavailable", payment_id=key, operation="capture")
    await stack.fault("reset_after_execution", payment_id=key, operation="capture")
    assert (await stack.pay(key, wait=20)).json()["status"] == "succeeded"
    events = await timeline(stack, key)
    assert said(events) == [CREATED, ("payment.outcome_unknown", "workflow"), SUCCEEDED]
    assert events[1]["data"] == {"operation": "capture"}


async def test_charge_that_the_books_refuse_is_told_as_undone_with_what_went_out_and_came_back(stack: Stack) -> None:
    key = new_key()
    await stack.close_account("KMF")
    assert (await stack.pay(key, currency="KMF", wait=20)).json()["status"] == "failed"
    events = await timeline(stack, key)
    assert said(events) == [CREATED, UNDOING, ("payment.failed", "workflow")]
    assert events[1]["data"] == {"step": "undo-charge", "code": "recording_refused"}
    both = {"amount_captured": 4990, "amount_refunded": 4990, "currency": "KMF"}
    assert events[2]["data"] == {"code": "recording_refused"} | both


async def test_hold_is_told_and_who_asked_for_how_much_of_it(stack: Stack) -> None:
    key = new_key()
    held = (await stack.pay(key, capture="manual")).json()
    await stack.capture(key, "ship", amount=3000)
    events = await timeline(stack, key)
    assert said(events) == [CREATED, AUTHORIZED, ("payment.capture_requested", "client"), SUCCEEDED]
    assert events[1]["reference"] == held["processor_reference"]
    assert [event["data"] for event in events[1:]] == [
        {"amount_authorized": 4990, "currency": "EUR"},
        {"amount": 3000, "currency": "EUR"},
        {"amount_captured": 3000, "currency": "EUR"},
    ]


@pytest.mark.parametrize("actor", ["client", "operator"])
async def test_hold_that_was_canceled_is_told_as_undone_by_whoever_canceled_it(stack: Stack, actor: str) -> None:
    key = new_key()
    await stack.pay(key, capture="manual")
    if actor == "client":
        assert (await stack.cancel(key)).json()["status"] == "canceled"
    else:
        await (await handle_of(stack, key)).signal("cancel", None)
        await closed_status(stack, key)
    events = await timeline(stack, key)
    assert said(events) == [CREATED, AUTHORIZED, ("payment.undoing", actor), ("payment.canceled", actor)]
    assert set(moved(events).values()) == {0}


async def test_refunds_over_http_are_the_clients_and_those_by_signal_an_operators(stack: Stack) -> None:
    key = new_key()
    await stack.pay(key)
    await stack.refund(key, "by-http", amount=1000)
    await stack.refund(key, "too-much", amount=5000)
    signal = {"refund_id": "by-signal", "amount": 3990}
    await wake(stack, key, start_signal="request_refund", start_signal_args=[signal])
    events = (await timeline(stack, key))[2:]
    assert [(event["type"], event["actor"], event["refund_id"]) for event in events] == [
        ("refund.created", "client", "by-http"),
        ("refund.succeeded", "processor", "by-http"),
        ("payment.partially_refunded", "workflow", None),
        ("refund.refused", "workflow", "too-much"),
        ("refund.created", "operator", "by-signal"),
        ("refund.succeeded", "processor", "by-signal"),
        ("payment.refunded", "workflow", None),
    ]
    references = {refund["id"]: refund["processor_reference"] for refund in (await stack.get(key))["refunds"]}
    assert [event["reference"] for event in events[1::4]] == [references["by-http"], references["by-signal"]]
    refused = {"amount": 5000, "currency": "EUR", "code": "refund_exceeds_refundable", "requested_by": "client"}
    assert events[3]["data"] == refused


async def test_refund_that_is_unknown_declined_or_fails_later_is_told_as_what_it_was(stack: Stack) -> None:
    key = new_key()
    await stack.pay(key)
    for fault in ("decline", "unavailable"):
        await stack.fault(fault, payment_id=key, operation="refund")
        await stack.refund(key, fault, amount=10, wait=20)
    await stack.fault("refund_fails_later", payment_id=key, operation="refund", seconds=0.1)
    await stack.refund(key, "late", amount=4980)
    await stack.until_journal_has(key, "refund_failed")
    await wake(stack, key)
    events = (await timeline(stack, key))[2:]
    assert [(event["type"], event["actor"], event["refund_id"]) for event in events] == [
        ("refund.created", "client", "decline"),
        ("refund.failed", "processor", "decline"),
        ("refund.created", "client", "unavailable"),
        ("refund.outcome_unknown", "workflow", "unavailable"),
        ("refund.succeeded", "processor", "unavailable"),
        ("payment.partially_refunded", "workflow", None),
        ("refund.created", "client", "late"),
        ("refund.succeeded", "processor", "late"),
        ("payment.refunded", "workflow", None),
        ("refund.reversed", "processor", "late"),
        ("payment.refund_reversed", "workflow", None),
    ]
    assert events[-2]["data"] == {"amount": 4980, "currency": "EUR", "code": "refund_failed"}
    assert events[-1]["data"] == {"status": "partially_refunded", "amount_refunded": 10, "currency": "EUR"}


async def test_payment_that_was_terminated_and_continued_tells_everything_once(stack: Stack) -> None:
    key = new_key()
    await stack.fault("unavailable", payment_id=key, operation="capture", times=3)
    assert (await stack.pay(key, wait=0)).status_code == 202
    await until_pending(stack, key, "charge", attempt=2)
    await (await handle_of(stack, key)).terminate("by mistake")
    assert (await stack.pay(key, wait=20)).json()["status"] == "succeeded"
    assert said(await timeline(stack, key)) == [CREATED, ("payment.outcome_unknown", "workflow"), SUCCEEDED]


@pytest.mark.parametrize(
    ("customer", "told"),
    [("confirm", [("payment.processing", "processor"), SUCCEEDED]), ("abandon", [("payment.declined", "processor")])],
)
async def test_what_the_customer_did_is_the_processors_word(
    stack: Stack, customer: str, told: list[tuple[str, str]]
) -> None:
    payment = await waiting(stack)
    await stack.act(payment, customer)
    await stack.check(payment["id"])
    await settled(stack, payment["id"])
    assert said(await timeline(stack, payment["id"])) == [CREATED, ("payment.requires_action", "processor"), *told]


async def test_payment_that_was_started_this_moment_has_an_empty_timeline(stack: Stack) -> None:
    """Nothing that is told may be taken back, and without a row nothing is certain yet."""
    key = new_key()
    async with stack.database() as db, db.transaction():
        await db.execute("LOCK TABLE payments IN SHARE ROW EXCLUSIVE MODE")
        assert (await stack.pay(key, wait=0)).status_code == 202
        assert await timeline(stack, key) == []
    await stack.until_decided(key)
    assert said(await timeline(stack, key)) == [CREATED, SUCCEEDED]


@pytest.mark.parametrize("key", ["nobody-paid-this", "x" * 256, "%2e", "a%23b"])
async def test_there_is_no_timeline_of_a_payment_that_never_was(stack: Stack, key: str) -> None:
    assert_problem(await stack.http.get(f"/v1/payments/{key}/timeline"), 404, "payment_not_found")


async def test_two_thousand_events_are_told_at_once(stack: Stack) -> None:
    key = new_key()
    await stack.pay(key)
    async with stack.database() as db:
        await db.execute(
            """INSERT INTO refunds (payment_id, id, fingerprint, amount, currency, requested_by, status, failure_code,
            failure_message) SELECT $1, 'r' || n, repeat('0', 64), 1, 'EUR', 'client', 'failed', 'x', 'x'
            FROM generate_series(1, 2000) n""",
            key,
        )
    async with asyncio.timeout(2):
        events = await timeline(stack, key)
    assert [event["refund_id"] for event in events[2:]] == [f"r{n}" for n in range(1, 2001)]
