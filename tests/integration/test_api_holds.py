"""Manual capture over HTTP: a hold that waits, is captured once in full or in part, or is canceled."""

import asyncio
from typing import Any

import pytest

from tests.harness import Stack, new_key


async def held(stack: Stack, **fields: Any) -> str:
    key = new_key("hold")
    reply = await stack.pay(key, capture="manual", **fields)
    assert (reply.status_code, reply.json()["status"]) == (201, "authorized")
    return key


async def test_manual_capture_leaves_a_hold_and_charges_nothing(stack: Stack) -> None:
    key = await held(stack)
    payment = await stack.get(key)
    assert (payment["amount_authorized"], payment["amount_captured"], payment["amount_refundable"]) == (4990, 0, 0)
    assert (payment["capture"], payment["failure"]) == ("manual", None)
    assert payment["capture_before"] > payment["created_at"]
    assert payment["processor_reference"].startswith("auth_")
    assert await stack.journal_operations(key) == ["authorize"]


async def test_capture_charges_what_is_held_once_however_often_it_is_sent(stack: Stack) -> None:
    key = await held(stack)
    first = await stack.capture(key, "ship")
    assert (first.status_code, first.json()["status"], first.json()["amount_captured"]) == (200, "succeeded", 4990)
    assert first.json()["capture_before"] is None
    again = await stack.capture(key, "ship")
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_part_of_a_hold_is_captured_and_only_that_can_be_refunded(stack: Stack) -> None:
    key = await held(stack)
    payment = (await stack.capture(key, "ship", amount=3000)).json()
    assert (payment["status"], payment["amount"], payment["amount_captured"]) == ("succeeded", 4990, 3000)
    assert (await stack.refund(key, "r", amount=3001)).json()["code"] == "refund_exceeds_refundable"
    assert (await stack.refund(key, "r2")).json()["amount"] == 3000
    assert (await stack.get(key))["status"] == "refunded"
    await stack.assert_books_agree(key)


async def test_a_payment_is_captured_by_one_request(stack: Stack) -> None:
    key = await held(stack)
    replies = await asyncio.gather(*(stack.capture(key, f"ship-{n}", amount=100 + n) for n in range(8)))
    assert sorted(reply.status_code for reply in replies) == [200] + [409] * 7
    (won,) = [reply.json()["amount_captured"] for reply in replies if reply.status_code == 200]
    assert {reply.json()["code"] for reply in replies if reply.status_code == 409} == {"payment_not_capturable"}
    assert [entry["amount"] for entry in await stack.journal(key)] == [4990, won]
    await stack.assert_books_agree(key)


async def test_equal_captures_at_once_are_one(stack: Stack) -> None:
    key = await held(stack)
    replies = await asyncio.gather(*(stack.capture(key, "ship") for _ in range(8)))
    assert {reply.status_code for reply in replies} == {200}
    assert await stack.journal_operations(key) == ["authorize", "capture"]


async def test_one_capture_key_with_another_amount_is_refused(stack: Stack) -> None:
    key = await held(stack)
    await stack.capture(key, "ship", amount=100)
    reply = await stack.capture(key, "ship", amount=200)
    assert (reply.status_code, reply.json()["code"]) == (422, "idempotency_key_reused")
    assert [error["pointer"] for error in reply.json()["errors"]] == ["/amount"]


async def test_more_than_is_held_is_not_captured_and_the_hold_stays(stack: Stack) -> None:
    key = await held(stack)
    reply = await stack.capture(key, "too-much", amount=4991)
    assert (reply.status_code, reply.json()["code"]) == (409, "payment_not_capturable")
    assert (await stack.capture(key, "ship")).status_code == 200
    await stack.assert_books_agree(key)


async def test_cancel_releases_the_hold_and_frees_the_order(stack: Stack) -> None:
    key = await held(stack, order_id=(order := new_key("order")))
    assert (await stack.pay(new_key(), order_id=order)).json()["code"] == "order_already_paid"
    reply = await stack.cancel(key)
    assert (reply.status_code, reply.json()["status"], reply.json()["failure"]["code"]) == (200, "canceled", "canceled")
    again = await stack.cancel(key)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    late = await stack.capture(key, "ship")
    assert (late.status_code, late.json()["code"]) == (409, "payment_not_capturable")
    assert await stack.journal_operations(key) == ["authorize", "void"]
    assert (await stack.pay(new_key(), order_id=order)).json()["status"] == "succeeded"
    await stack.assert_books_agree(key)


async def test_capture_and_cancel_at_once_do_one_of_the_two(stack: Stack) -> None:
    keys = [await held(stack) for _ in range(12)]
    for key in keys:
        capture, cancel = await asyncio.gather(stack.capture(key, "ship"), stack.cancel(key))
        assert sorted((capture.status_code, cancel.status_code)) == [200, 409]
        operations = await stack.journal_operations(key)
        assert operations == ["authorize", "capture" if capture.status_code == 200 else "void"]
    await stack.assert_books_agree(*keys)


async def test_capture_cancel_and_refund_at_once_never_pay_out_more_than_was_taken(stack: Stack) -> None:
    keys = [await held(stack) for _ in range(6)]
    for key in keys:
        replies = await asyncio.gather(
            stack.refund(key, "r", amount=4990), stack.capture(key, "ship"), stack.cancel(key), stack.refund(key, "r2")
        )
        assert {reply.status_code for reply in replies} <= {200, 201, 202, 409}
    await stack.assert_books_agree(*keys)


async def test_payment_that_was_charged_is_not_canceled(stack: Stack) -> None:
    key = new_key()
    await stack.pay(key)
    reply = await stack.cancel(key)
    assert (reply.status_code, reply.json()["code"]) == (409, "payment_not_cancelable")
    assert "Refund it" in reply.json()["detail"]
    captured = await held(stack)
    await stack.capture(captured, "ship")
    assert (await stack.cancel(captured)).json()["code"] == "payment_not_cancelable"
    await stack.assert_books_agree(key, captured)


async def test_payment_whose_capture_is_automatic_is_not_captured(stack: Stack) -> None:
    key = new_key()
    await stack.pay(key)
    reply = await stack.capture(key, "ship")
    assert (reply.status_code, reply.json()["code"]) == (409, "payment_not_capturable")
    assert await stack.journal_operations(key) == ["authorize", "capture"]


async def test_cancel_of_a_payment_that_is_being_charged_is_refused_when_it_is(stack: Stack) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation="capture", seconds=3)
    paying = asyncio.create_task(stack.pay(key, wait=30))
    await stack.until_journal_has(key, "authorize")
    reply = await stack.cancel(key, wait=20)
    assert (reply.status_code, reply.json()["code"]) == (409, "payment_not_cancelable")
    assert (await paying).json()["status"] == "succeeded"
    await stack.assert_books_agree(key)


async def test_cancel_while_the_hold_is_placed_cancels_the_payment(stack: Stack) -> None:
    key = new_key()
    await stack.fault("slow", payment_id=key, operation="authorize", seconds=3)
    paying = asyncio.create_task(stack.pay(key, wait=30))
    async with asyncio.timeout(20):
        while (await stack.http.get(f"/v1/payments/{key}")).status_code == 404:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    reply = await stack.cancel(key, wait=20)
    assert (reply.status_code, reply.json()["status"]) == (200, "canceled")
    assert (await paying).json()["status"] == "canceled"
    assert await stack.journal_operations(key) == ["authorize", "void"]
    await stack.assert_books_agree(key)


@pytest.mark.parametrize("what", ["capture", "cancel"])
async def test_missing_payment_is_not_found(stack: Stack, what: str) -> None:
    reply = await stack.http.post(f"/v1/payments/nobody/{what}", headers={"Idempotency-Key": "k"})
    assert (reply.status_code, reply.json()["code"]) == (404, "payment_not_found")


@pytest.mark.parametrize("what", ["capture", "cancel"])
async def test_body_may_be_left_out_and_the_key_may_not(stack: Stack, what: str) -> None:
    key = await held(stack)
    without_key = await stack.http.post(f"/v1/payments/{key}/{what}")
    assert (without_key.status_code, without_key.json()["code"]) == (400, "idempotency_key_missing")
    assert (await stack.http.post(f"/v1/payments/{key}/{what}", headers={"Idempotency-Key": "k"})).status_code == 200
    await stack.assert_books_agree(key)


@pytest.mark.parametrize(
    "body", [{"amount": 0}, {"amount": -1}, {"amount": "1"}, {"amount": 1.5}, {"ammount": 1}, {"currency": "EUR"}]
)
async def test_bad_capture_is_refused_and_the_hold_stays(stack: Stack, body: dict[str, Any]) -> None:
    key = await held(stack)
    reply = await stack.capture(key, "ship", **body)
    assert (reply.status_code, reply.json()["code"]) == (422, "validation_failed")
    assert (await stack.cancel(key)).status_code == 200


async def test_declined_capture_releases_the_hold(stack: Stack) -> None:
    key = await held(stack, payment_method="pm_sandbox_captureDeclined")
    reply = await stack.capture(key, "ship")
    assert (reply.status_code, reply.json()["status"]) == (200, "declined")
    assert await stack.journal_operations(key) == ["authorize", "void"]
    await stack.assert_books_agree(key)


async def test_repeated_payment_gets_its_first_answer_after_capture_and_cancel(stack: Stack) -> None:
    for then in (stack.capture, stack.cancel):
        key = new_key()
        first = (await stack.pay(key, capture="manual")).json()
        await then(key, "k")
        assert (await stack.pay(key, capture="manual")).json() == first
