"""A customer who must confirm with their bank: nothing is held before they have, and they are charged once, or not."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from tests.faults.test_every_fault import FAULTS
from tests.harness import Stack, new_key, open_stack
from tests.workflow.test_cancellation import closed_status, handle_of
from tests.workflow.test_refunds_by_signal import temporal

METHOD = "pm_card_authenticationRequired"


async def waiting(stack: Stack, **fields: Any) -> dict[str, Any]:
    """A payment that waits for its customer."""
    reply = await stack.pay_persistently(new_key("action"), payment_method=METHOD, **fields)
    assert (reply.status_code, reply.json()["status"]) == (202, "requires_action"), reply.text
    return reply.json()


async def settled(stack: Stack, key: str) -> dict[str, Any]:
    """The payment once nobody has to do anything any more."""
    async with asyncio.timeout(40):
        while (payment := await stack.get(key))["status"] in {"processing", "requires_action"}:
            await asyncio.sleep(0.1)
    return payment


async def again(stack: Stack, key: str, **fields: Any) -> tuple[int, str]:
    """What repeating the request is told, once it is decided."""
    async with asyncio.timeout(40):
        while (reply := await stack.pay_persistently(key, payment_method=METHOD, **fields)).status_code == 202:
            await asyncio.sleep(0.1)
    return reply.status_code, reply.json()["status"]


@pytest_asyncio.fixture(scope="module")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    """Customers have six seconds, payments are watched for three more, and the processor forgets keys after three, an
    hour less than it says being what is left to us."""
    env = {"PAYSAGA_QUIET_PERIOD_SECONDS": "3", "PAYSAGA_PROCESSOR_KEY_WINDOW_SECONDS": "3603"}
    async with open_stack(tmp_path_factory.mktemp("hasty"), sandbox=("--action-period", "6"), env=env) as stack:
        yield stack


async def test_client_is_told_at_once_where_to_send_the_customer_and_nothing_is_held(stack: Stack) -> None:
    began = time.monotonic()
    payment = await waiting(stack)
    assert time.monotonic() - began < 5
    action = payment["next_action"]
    assert action["type"] == "redirect_to_url"
    assert action["url"].startswith(stack.servers.sandbox.url)
    assert action["expires_at"] > payment["created_at"]
    assert (await stack.get(payment["id"]))["next_action"] == action
    repeated = await stack.pay_persistently(payment["id"], payment_method=METHOD)
    assert (repeated.status_code, repeated.json()["next_action"]) == (202, action)
    assert await stack.journal(payment["id"]) == []


async def test_confirmed_payment_is_charged_once_however_often_the_customer_confirms(stack: Stack) -> None:
    payment = await waiting(stack)
    await asyncio.gather(*(stack.act(payment, "confirm") for _ in range(3)))
    await asyncio.gather(*(stack.check(payment["id"]) for _ in range(3)))
    charged = await settled(stack, payment["id"])
    assert (charged["status"], charged["next_action"], charged["amount_captured"]) == ("succeeded", None, 4990)
    await stack.act(payment, "confirm")
    await stack.check(payment["id"])
    assert await stack.journal_operations(payment["id"]) == ["authorize", "capture"]
    assert await again(stack, payment["id"]) == (201, "succeeded")
    await stack.assert_books_agree(payment["id"])


async def test_confirmation_that_nobody_tells_us_of_is_found(stack: Stack) -> None:
    payment = await waiting(stack)
    await stack.act(payment, "confirm")
    assert (await settled(stack, payment["id"]))["status"] == "succeeded"
    await stack.assert_books_agree(payment["id"])


async def test_who_repeats_the_request_after_the_confirmation_gets_the_decided_payment(stack: Stack) -> None:
    payment = await waiting(stack)
    await stack.fault("slow", payment_id=payment["id"], operation="capture", seconds=2)
    await stack.act(payment, "confirm")
    await stack.check(payment["id"])
    assert await again(stack, payment["id"]) == (201, "succeeded")
    assert await stack.journal_operations(payment["id"]) == ["authorize", "capture"]


async def test_customer_who_gives_up_is_declined_and_their_order_is_free(stack: Stack) -> None:
    order = new_key("order")
    payment = await waiting(stack, order_id=order)
    assert (await stack.pay_persistently(new_key(), order_id=order)).json()["code"] == "order_already_paid"
    await stack.act(payment, "abandon")
    await stack.check(payment["id"])
    declined = await settled(stack, payment["id"])
    assert (declined["status"], declined["failure"]["code"]) == ("declined", "authentication_failed")
    assert (await stack.act(payment, "confirm")).status_code == 409
    assert await stack.journal(payment["id"]) == []
    assert (await stack.pay_persistently(new_key(), order_id=order)).status_code == 201


async def test_customer_who_never_comes_leaves_an_expired_payment(hasty: Stack) -> None:
    payment = await waiting(hasty)
    expired = await settled(hasty, payment["id"])
    assert (expired["status"], expired["failure"]["code"]) == ("expired", "authentication_expired")
    assert (expired["next_action"], expired["amount_authorized"]) == (None, 0)
    assert await hasty.journal(payment["id"]) == []
    assert await again(hasty, payment["id"]) == (201, "expired")


async def test_what_a_customer_confirms_too_late_is_released_and_the_payment_stays_expired(hasty: Stack) -> None:
    payment = await waiting(hasty)
    before = await settled(hasty, payment["id"])
    await closed_status(hasty, payment["id"])
    assert (await hasty.act(payment, "confirm", late=True)).status_code == 200
    assert await hasty.journal_operations(payment["id"]) == ["authorize"]
    await hasty.check(payment["id"])
    await hasty.until_journal_has(payment["id"], "void")
    await hasty.check(payment["id"])
    await closed_status(hasty, payment["id"])
    assert await hasty.get(payment["id"]) == before
    assert await hasty.journal_operations(payment["id"]) == ["authorize", "void"]
    await hasty.assert_books_agree(payment["id"])


async def test_what_a_customer_confirms_after_a_cancellation_is_released_by_a_void_of_its_own(stack: Stack) -> None:
    payment = await waiting(stack)
    assert (await stack.cancel(payment["id"])).json()["status"] == "canceled"
    assert await stack.journal(payment["id"]) == []
    assert (await stack.act(payment, "confirm", late=True)).status_code == 200
    await stack.check(payment["id"])
    await stack.until_journal_has(payment["id"], "void")
    keys = [entry["key"] for entry in await stack.journal(payment["id"])]
    assert [key.rsplit("-", 1)[0] for key in keys] == ["authorize-1", "void-2"]
    await stack.assert_books_agree(payment["id"])


async def test_late_confirmation_that_nobody_tells_us_of_is_found_while_the_payment_is_watched(hasty: Stack) -> None:
    payment = await waiting(hasty)
    assert (await settled(hasty, payment["id"]))["status"] == "expired"
    await hasty.act(payment, "confirm", late=True)
    await hasty.until_journal_has(payment["id"], "void")
    await hasty.assert_books_agree(payment["id"])


@pytest.mark.parametrize("how", ["api", "signal", "temporal"])
async def test_payment_that_waits_for_its_customer_can_be_canceled(stack: Stack, how: str) -> None:
    payment = await waiting(stack)
    match how:
        case "api":
            assert (await stack.cancel(payment["id"])).status_code == 200
        case "signal":
            await temporal(stack, "workflow", "signal", "--workflow-id", payment["id"], "--name", "cancel")
        case _:
            await (await handle_of(stack, payment["id"])).cancel()
    assert (await settled(stack, payment["id"]))["status"] == "canceled"
    assert (await stack.act(payment, "confirm")).status_code == 409
    assert await stack.journal(payment["id"]) == []


async def test_customer_who_confirms_while_the_shop_cancels_is_charged_or_released_never_both(stack: Stack) -> None:
    payments = [await waiting(stack) for _ in range(6)]
    for payment in payments:
        await asyncio.gather(
            stack.act(payment, "confirm"), stack.check(payment["id"]), stack.cancel(payment["id"], wait=20)
        )
    for payment in payments:
        end = await settled(stack, payment["id"])
        operations = await stack.journal_operations(payment["id"])
        if end["status"] == "succeeded":
            assert operations == ["authorize", "capture"]
        else:
            assert (end["status"], operations) in [("canceled", []), ("canceled", ["authorize", "void"])]
            assert end["amount_authorized"] == (4990 if operations else 0)
    await stack.assert_books_agree(*(payment["id"] for payment in payments))


async def test_terminated_payment_goes_on_waiting_when_its_request_is_repeated(stack: Stack) -> None:
    payment = await waiting(stack)
    await (await handle_of(stack, payment["id"])).terminate("by mistake")
    repeated = await stack.pay_persistently(payment["id"], payment_method=METHOD)
    assert (repeated.status_code, repeated.json()["next_action"]) == (202, payment["next_action"])
    await stack.act(payment, "confirm")
    await stack.check(payment["id"])
    assert await again(stack, payment["id"]) == (201, "succeeded")
    assert await stack.journal_operations(payment["id"]) == ["authorize", "capture"]
    await stack.assert_books_agree(payment["id"])


async def test_who_does_not_wait_is_told_what_a_woken_payment_requires(stack: Stack) -> None:
    payment = await waiting(stack)
    await (await handle_of(stack, payment["id"])).terminate("by mistake")
    await stack.check(payment["id"])
    repeated = await stack.pay_persistently(payment["id"], payment_method=METHOD, wait=0)
    assert (repeated.status_code, repeated.json().get("next_action")) == (202, payment["next_action"])
    assert (await stack.cancel(payment["id"])).status_code == 200


async def test_terminated_payment_that_is_confirmed_meanwhile_is_charged_when_it_is_checked(stack: Stack) -> None:
    payment = await waiting(stack)
    await (await handle_of(stack, payment["id"])).terminate("by mistake")
    await stack.act(payment, "confirm")
    await stack.check(payment["id"])
    assert (await settled(stack, payment["id"]))["status"] == "succeeded"
    assert await stack.journal_operations(payment["id"]) == ["authorize", "capture"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_confirmed_payment_is_charged_once_whatever_the_processor_did(stack: Stack, fault: str) -> None:
    key = new_key("action")
    await stack.fault(fault, payment_id=key, operation="authorize")
    async with asyncio.timeout(40):
        while (payment := (await stack.pay_persistently(key, payment_method=METHOD)).json())["status"] == "processing":
            await asyncio.sleep(0.1)
    assert payment["status"] == "requires_action"
    await stack.act(payment, "confirm")
    await stack.check(key)
    assert (await settled(stack, key))["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_hold_that_the_customer_confirmed_waits_for_its_capture(stack: Stack) -> None:
    payment = await waiting(stack, capture="manual")
    early = await stack.capture(payment["id"], "early")
    assert (early.status_code, early.json()["code"]) == (409, "payment_not_capturable")
    await stack.act(payment, "confirm")
    await stack.check(payment["id"])
    assert await again(stack, payment["id"], capture="manual") == (201, "authorized")
    assert (await stack.capture(payment["id"], "ship", amount=3000)).json()["amount_captured"] == 3000
    await stack.assert_books_agree(payment["id"])


async def test_payment_that_waits_for_its_customer_can_not_be_refunded(stack: Stack) -> None:
    payment = await waiting(stack)
    reply = await stack.refund(payment["id"], "early")
    assert (reply.status_code, reply.json()["code"]) == (409, "payment_not_refundable")


async def test_charge_is_sent_although_the_customer_took_longer_than_the_processor_remembers_keys(hasty: Stack) -> None:
    """Nobody can have sent the charge before they confirmed."""
    payment = await waiting(hasty)
    await asyncio.sleep(3.5)
    await hasty.act(payment, "confirm")
    await hasty.check(payment["id"])
    assert (await settled(hasty, payment["id"]))["status"] == "succeeded"
    await hasty.assert_books_agree(payment["id"])


@pytest.mark.parametrize("arguments", [[], ["--input", "1", "--input", "2"], ["--input", '{"status": "succeeded"}']])
async def test_whatever_comes_with_a_check_is_not_believed(stack: Stack, arguments: list[str]) -> None:
    payment = await waiting(stack)
    await temporal(stack, "workflow", "signal", "--workflow-id", payment["id"], "--name", "check", *arguments)
    await asyncio.sleep(0.5)
    assert (await stack.get(payment["id"]))["status"] == "requires_action"
    assert await stack.journal(payment["id"]) == []
    assert (await stack.cancel(payment["id"])).json()["status"] == "canceled"


async def test_hold_that_was_ended_at_the_processor_has_expired_once_it_is_checked(stack: Stack) -> None:
    key = new_key("hold")
    await stack.pay_persistently(key, capture="manual")
    await stack.check(key)
    await asyncio.sleep(0.5)
    assert (await stack.get(key))["status"] == "authorized"
    hold = (await stack.get(key))["processor_reference"]
    body = {"payment_id": key, "amount": 4990, "currency": "EUR", "authorization": hold}
    released = await stack.processor.post("/v1/voids", json=body, headers={"Idempotency-Key": "by-hand"})
    assert released.status_code == 200
    await stack.check(key)
    async with asyncio.timeout(20):
        while (payment := await stack.get(key))["status"] == "authorized":
            await asyncio.sleep(0.1)
    assert (payment["status"], payment["failure"]["code"]) == ("expired", "hold_expired")
    assert await stack.journal_operations(key) == ["authorize", "void"]
    await stack.assert_books_agree(key)
