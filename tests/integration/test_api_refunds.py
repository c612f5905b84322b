"""Refunds over HTTP: full and partial, once each, never more than was charged, of payments that sleep or are open."""

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from tests.harness import Servers, Stack, new_key, running


@pytest_asyncio.fixture(params=["sleeping", "open"], scope="module")
async def shop(request: pytest.FixtureRequest, stack: Stack, servers: Servers) -> AsyncGenerator[Stack]:
    """The same with payments that sleep as soon as they are charged, and with ones that stay open."""
    if request.param == "sleeping":
        yield stack
        return
    api = stack.another_api("open-api", PAYSAGA_QUIET_PERIOD_SECONDS="3600")
    async with running(api):
        opened = Stack(servers, stack.worker, api)
        yield opened
        await opened.close()


async def paid(shop: Stack, **fields: Any) -> str:
    key = new_key()
    reply = await shop.pay(key, **fields)
    assert (reply.status_code, reply.json()["status"]) == (201, "succeeded")
    return key


async def amounts(shop: Stack, key: str) -> tuple[str, int, int]:
    payment = await shop.get(key)
    return payment["status"], payment["amount_refunded"], payment["amount_refundable"]


async def test_refund_without_an_amount_gives_back_everything(shop: Stack) -> None:
    key = await paid(shop)
    reply = await shop.refund(key, "all", reason="came back")
    refund = reply.json()
    assert reply.status_code == 201
    assert (refund["id"], refund["payment_id"], refund["amount"], refund["currency"], refund["status"]) == (
        "all",
        key,
        4990,
        "EUR",
        "succeeded",
    )
    assert refund["processor_reference"].startswith("re_")
    assert (refund["reason"], refund["failure"], refund["outcome_unknown"]) == ("came back", None, None)
    assert "Idempotent-Replayed" not in reply.headers
    assert await amounts(shop, key) == ("refunded", 4990, 0)
    await shop.assert_books_agree(key)


async def test_partial_refunds_add_up_to_the_charge_and_no_further(shop: Stack) -> None:
    key = await paid(shop)
    for n, left in ((1, 2990), (2, 990)):
        assert (await shop.refund(key, f"part-{n}", amount=2000)).status_code == 201
        assert await amounts(shop, key) == ("partially_refunded", 4990 - left, left)
    refused = await shop.refund(key, "part-3", amount=991)
    assert (refused.status_code, refused.json()["code"]) == (409, "refund_exceeds_refundable")
    assert "EUR 9.90" in refused.json()["detail"]
    rest = await shop.refund(key, "rest")
    assert (rest.status_code, rest.json()["amount"]) == (201, 990)
    assert await amounts(shop, key) == ("refunded", 4990, 0)
    again = await shop.refund(key, "one-more", amount=1)
    assert (again.status_code, again.json()["code"]) == (409, "refund_exceeds_refundable")
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund", "refund", "refund"]
    await shop.assert_books_agree(key)


async def test_the_same_refund_again_is_answered_and_not_made_again(shop: Stack) -> None:
    key = await paid(shop)
    first = await shop.refund(key, "once", amount=500)
    replies = [await shop.refund(key, "once", amount=500) for _ in range(3)]
    assert {reply.status_code for reply in replies} == {201}
    assert [reply.json() for reply in replies] == [first.json()] * 3
    assert {reply.headers.get("Idempotent-Replayed") for reply in replies} == {"true"}
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund"]


async def test_thirty_equal_refunds_at_once_are_one(shop: Stack) -> None:
    key = await paid(shop)
    replies = await asyncio.gather(*(shop.refund_persistently(key, "once", amount=500) for _ in range(30)))
    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.text for reply in replies}) == 1
    assert sum("Idempotent-Replayed" not in reply.headers for reply in replies) <= 1
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund"]
    await shop.assert_books_agree(key)


@pytest.mark.parametrize(("second", "differs"), [({"amount": 501}, "/amount"), ({}, "/amount")])
async def test_the_same_refund_id_with_another_amount_is_refused(
    shop: Stack, second: dict[str, Any], differs: str
) -> None:
    key = await paid(shop)
    await shop.refund(key, "mine", amount=500)
    reply = await shop.refund(key, "mine", **second)
    assert (reply.status_code, reply.json()["code"]) == (422, "idempotency_key_reused")
    assert [error["pointer"] for error in reply.json()["errors"]] == [differs]
    assert await amounts(shop, key) == ("partially_refunded", 500, 4490)


async def test_two_bodies_under_one_refund_id_at_once_refund_one_of_them(shop: Stack) -> None:
    key = await paid(shop)
    bodies = [{"amount": 100}, {"amount": 200}] * 5
    replies = await asyncio.gather(*(shop.refund_persistently(key, "mine", **body) for body in bodies))
    assert sorted({reply.status_code for reply in replies}) == [201, 422]
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund"]
    made = {reply.json()["amount"] for reply in replies if reply.status_code == 201}
    assert made == {(await shop.journal(key))[2]["amount"]}
    await shop.assert_books_agree(key)


async def test_one_refund_id_is_good_for_every_payment(shop: Stack) -> None:
    keys = [await paid(shop), await paid(shop)]
    for key in keys:
        assert (await shop.refund(key, "return-1", amount=100)).status_code == 201
    await shop.assert_books_agree(*keys)
    assert [len(await shop.journal(key)) for key in keys] == [3, 3]


async def test_of_fifty_refunds_at_once_exactly_as_many_succeed_as_fit(shop: Stack) -> None:
    key = await paid(shop, amount=2000)
    replies = await asyncio.gather(*(shop.refund_persistently(key, f"r{n}", amount=100) for n in range(50)))
    codes = [reply.status_code for reply in replies]
    assert (codes.count(201), codes.count(409)) == (20, 30)
    assert {reply.json()["code"] for reply in replies if reply.status_code == 409} == {"refund_exceeds_refundable"}
    assert await amounts(shop, key) == ("refunded", 2000, 0)
    await shop.assert_books_agree(key)


async def test_refunds_of_random_amounts_at_once_never_exceed_the_charge(shop: Stack) -> None:
    dice = random.Random(new_key())
    key = await paid(shop, amount=10_000)
    wanted = [dice.randint(1, 1500) for _ in range(30)]
    replies = await asyncio.gather(
        *(shop.refund_persistently(key, f"r{n}", amount=amount) for n, amount in enumerate(wanted))
    )
    made = sum(amount for amount, reply in zip(wanted, replies, strict=True) if reply.status_code == 201)
    _, refunded, left = await amounts(shop, key)
    assert (refunded, left) == (made, 10_000 - made)
    # Whoever was refused asked for more than was left then, and so for more than is left now.
    assert all(amount > left for amount, r in zip(wanted, replies, strict=True) if r.status_code == 409)
    await shop.assert_books_agree(key)


async def test_refused_refund_is_refused_for_ever_and_shown(shop: Stack) -> None:
    key = await paid(shop)
    first = await shop.refund(key, "too-much", amount=5000)
    again = await shop.refund(key, "too-much", amount=5000)
    assert (first.status_code, first.json()["code"]) == (409, "refund_exceeds_refundable")
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    listed = (await shop.http.get(f"/v1/payments/{key}/refunds")).json()["data"]
    assert [(r["id"], r["status"], r["failure"]["code"]) for r in listed] == [
        ("too-much", "failed", "refund_exceeds_refundable")
    ]
    assert (await shop.get(key))["refunds"] == listed
    assert await amounts(shop, key) == ("succeeded", 0, 4990)


@pytest.mark.parametrize("method", ["pm_card_chargeDeclined", "pm_sandbox_captureDeclined"])
async def test_payment_that_was_not_charged_is_not_refundable(shop: Stack, method: str) -> None:
    key = new_key()
    await shop.pay(key, payment_method=method)
    reply = await shop.refund(key, "r")
    assert (reply.status_code, reply.json()["code"]) == (409, "payment_not_refundable")
    assert "declined" in reply.json()["detail"]
    assert "refund" not in await shop.journal_operations(key)


@pytest.mark.parametrize("key", ["nobody-paid-this", "%2F", "x" * 300])
async def test_refund_of_a_missing_payment_is_not_found(shop: Stack, key: str) -> None:
    reply = await shop.refund(key, "r")
    assert reply.status_code == 404
    if not key.startswith("%"):
        assert reply.json()["code"] == "payment_not_found"


BAD_BODIES: list[tuple[dict[str, Any], str]] = [
    ({"amount": 0}, "/amount"),
    ({"amount": -1}, "/amount"),
    ({"amount": "100"}, "/amount"),
    ({"amount": 1.5}, "/amount"),
    ({"amount": True}, "/amount"),
    ({"amount": 10**12}, "/amount"),
    ({"ammount": 100}, "/ammount"),
    ({"currency": "USD"}, "/currency"),
    ({"reason": 1}, "/reason"),
    ({"reason": "x" * 1001}, "/reason"),
    ({"reason": "a\u0000b"}, "/reason"),
]


@pytest.mark.parametrize(("body", "pointer"), BAD_BODIES)
async def test_bad_refund_is_refused_and_leaves_the_payment_and_the_key_alone(
    shop: Stack, body: dict[str, Any], pointer: str
) -> None:
    key = await paid(shop)
    reply = await shop.refund(key, "r", **body)
    assert (reply.status_code, reply.json()["code"]) == (422, "validation_failed")
    assert [error["pointer"] for error in reply.json()["errors"]] == [pointer]
    assert await amounts(shop, key) == ("succeeded", 0, 4990)
    assert (await shop.refund(key, "r", amount=1)).status_code == 201


async def test_card_number_in_a_refund_is_refused(shop: Stack) -> None:
    key = await paid(shop)
    for refund, reason in (("4242424242424242", "x"), ("r", "to 4242 4242 4242 4242")):
        reply = await shop.refund(key, refund, reason=reason)
        assert (reply.status_code, reply.json()["code"]) == (422, "card_number_refused")
    assert await shop.journal_operations(key) == ["authorize", "capture"]


async def test_repeated_payment_gets_its_first_answer_before_and_after_a_refund(shop: Stack) -> None:
    key = new_key()
    first = (await shop.pay(key)).json()
    assert (await shop.refund(key, "r", amount=1000)).status_code == 201
    again = await shop.pay(key)
    assert (again.status_code, again.json()) == (201, first)
    other = await shop.pay(key, amount=5000)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund"]


async def test_fully_refunded_payment_frees_its_order(shop: Stack) -> None:
    order = new_key("order")
    key = await paid(shop, order_id=order)
    await shop.refund(key, "part", amount=4989)
    assert (await shop.pay(new_key(), order_id=order)).json()["code"] == "order_already_paid"
    await shop.refund(key, "rest")
    assert (await shop.pay(new_key(), order_id=order)).json()["status"] == "succeeded"


async def test_refund_that_the_processor_declines_has_failed_and_frees_what_it_reserved(shop: Stack) -> None:
    key = await paid(shop)
    await shop.fault("decline", payment_id=key, operation="refund")
    reply = await shop.refund(key, "no", amount=4990)
    assert (reply.status_code, reply.json()["status"]) == (201, "failed")
    assert reply.json()["failure"]["code"] == "card_declined"
    assert await amounts(shop, key) == ("succeeded", 0, 4990)
    assert (await shop.refund(key, "yes", amount=4990)).json()["status"] == "succeeded"
    await shop.assert_books_agree(key)


async def test_refund_before_the_outcome_waits_for_it(shop: Stack) -> None:
    key = new_key()
    await shop.fault("slow", payment_id=key, operation="capture", seconds=3)
    paying = asyncio.create_task(shop.pay(key, wait=30))
    await shop.until_journal_has(key, "authorize")
    refund = await shop.refund(key, "early", amount=90)
    assert (refund.status_code, refund.json()["status"]) == (201, "succeeded")
    assert (await paying).json()["status"] == "succeeded"
    assert (await paying).json()["amount_refunded"] == 0
    assert await amounts(shop, key) == ("partially_refunded", 90, 4900)
    await shop.assert_books_agree(key)
