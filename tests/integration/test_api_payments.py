"""What a client of the HTTP API is promised: its answers, its repetitions, its orders."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from tests.harness import Stack, new_key
from tests.refusals import assert_problem, pointers

REQUEST: dict[str, Any] = {
    "amount": 4990,
    "currency": "EUR",
    "payment_method": "pm_card_visa",
    "customer": "cus_42",
    "description": "Two books",
    "metadata": {"zeta": "1", "b": "2", "longer name": "3"},
}


async def test_answer_has_every_field_of_the_contract(stack: Stack) -> None:
    key = new_key()
    order = new_key("order")
    reply = await stack.pay(key, **REQUEST, order_id=order, capture="automatic")
    assert reply.status_code == 201
    assert reply.headers["Content-Type"] == "application/json"
    payment = reply.json()
    reference, created, updated = (payment.pop(name) for name in ("processor_reference", "created_at", "updated_at"))
    assert payment == REQUEST | {
        "id": key,
        "order_id": order,
        "status": "succeeded",
        "amount_authorized": 4990,
        "amount_captured": 4990,
        "amount_refunded": 0,
        "amount_refundable": 4990,
        "capture": "automatic",
        "processor": "sandbox",
        "capture_before": None,
        "next_action": None,
        "failure": None,
        "outcome_unknown": None,
        "conflicted": False,
        "refunds": [],
    }
    assert isinstance(reference, str)
    assert reference
    assert datetime.fromisoformat(created) <= datetime.fromisoformat(updated)
    assert datetime.fromisoformat(created).utcoffset() is not None


async def test_payment_is_found_at_its_location(stack: Stack) -> None:
    key = new_key()
    reply = await stack.pay(key, **REQUEST)
    assert reply.headers["Location"] == f"/v1/payments/{key}"
    found = await stack.http.get(reply.headers["Location"])
    assert (found.status_code, found.content) == (200, reply.content)


async def test_smallest_request_has_nulls_for_what_was_not_said(stack: Stack) -> None:
    payment = (await stack.pay(new_key(), amount=1)).json()
    assert (payment["customer"], payment["order_id"], payment["description"]) == (None, None, None)
    assert payment["metadata"] == {}


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("pm_card_chargeDeclined", "card_declined"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_sandbox_captureDeclined", None),
    ],
)
async def test_declined_payment_is_an_answer_and_not_an_error(stack: Stack, method: str, code: str | None) -> None:
    key = new_key("declined")
    reply = await stack.pay(key, payment_method=method)
    assert reply.status_code == 201
    payment = reply.json()
    assert (payment["status"], payment["amount_captured"], payment["amount_refundable"]) == ("declined", 0, 0)
    assert set(payment["failure"]) == {"code", "message"}
    assert code in {None, payment["failure"]["code"]}
    assert "capture" not in await stack.journal_operations(key)
    again = await stack.pay(key, payment_method=method)
    assert (again.status_code, again.content) == (201, reply.content)


async def test_duplicate_gets_the_same_bytes_and_is_told_so(stack: Stack) -> None:
    key = new_key()
    first = await stack.pay(key, **REQUEST)
    # The same request in other words: order of fields, and null for absent.
    other = dict(reversed(REQUEST.items())) | {"order_id": None}
    for body in (REQUEST, other):
        again = await stack.pay(key, **body)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["Location"] == first.headers["Location"]
        assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert await stack.journal_operations(key) == ["authorize", "capture"]


CHANGES: list[dict[str, Any]] = [
    {"amount": 4991},
    {"currency": "USD"},
    {"payment_method": "pm_paypal"},
    {"customer": "cus_43"},
    {"customer": None},
    {"order_id": "order-of-another"},
    {"description": "Three books"},
    {"description": ""},
    {"metadata": {"zeta": "2"}},
    {"metadata": {}},
    {"amount": 4991, "currency": "USD", "description": None},
]


@pytest.fixture(scope="module")
async def paid(stack: Stack) -> str:
    """The key of a payment that was made with `REQUEST`."""
    key = new_key("paid")
    assert (await stack.pay(key, **REQUEST)).status_code == 201
    return key


@pytest.mark.parametrize("change", CHANGES, ids=str)
async def test_key_of_another_request_is_refused_naming_what_differs(
    stack: Stack, paid: str, change: dict[str, Any]
) -> None:
    before = await stack.get(paid)
    reply = await stack.pay(paid, **(REQUEST | change))
    problem = assert_problem(reply, 422, "idempotency_key_reused", "499", "Two books", "cus_4", "paypal")
    assert sorted(pointers(problem)) == sorted(f"/{name}" for name in change)
    for name in change:
        assert name in problem["detail"]
    assert await stack.get(paid) == before
    assert await stack.journal_operations(paid) == ["authorize", "capture"]


async def test_empty_description_is_another_request_than_none(stack: Stack) -> None:
    key = new_key("empty")
    assert (await stack.pay(key)).status_code == 201
    problem = assert_problem(await stack.pay(key, description=""), 422, "idempotency_key_reused")
    assert pointers(problem) == ["/description"]


async def test_empty_metadata_is_the_same_request_as_none(stack: Stack) -> None:
    key = new_key("empty")
    first = await stack.pay(key)
    assert (await stack.pay(key, metadata={})).content == first.content


async def test_twenty_concurrent_duplicates_are_one_charge(stack: Stack) -> None:
    key = new_key("twenty")
    replies = await asyncio.gather(*(stack.pay(key, **REQUEST) for _ in range(20)))
    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.content for reply in replies}) == 1
    replayed = [reply.headers.get("Idempotent-Replayed") for reply in replies]
    assert (replayed.count(None), replayed.count("true")) == (1, 19)
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_of_concurrent_requests_under_one_key_one_wins_and_the_others_are_refused(stack: Stack) -> None:
    key = new_key("mixed")
    amounts = [1000 + n % 5 for n in range(20)]
    replies = await asyncio.gather(*(stack.pay(key, amount=amount) for amount in amounts))
    won = (await stack.get(key))["amount"]
    for amount, reply in zip(amounts, replies, strict=True):
        if amount == won:
            assert (reply.status_code, reply.json()["amount_captured"]) == (201, won)
        else:
            problem = assert_problem(reply, 422, "idempotency_key_reused", str(won), str(amount))
            assert pointers(problem) == ["/amount"]
    mine = [reply for reply in replies if reply.status_code == 201 and "Idempotent-Replayed" not in reply.headers]
    assert len(mine) == 1
    assert [entry["amount"] for entry in await stack.journal(key)] == [won, won]


async def test_payment_that_nobody_made_is_not_found(stack: Stack) -> None:
    assert_problem(await stack.http.get(f"/v1/payments/{new_key('nobody')}"), 404, "payment_not_found")


async def test_second_payment_of_an_order_is_refused_for_ever(stack: Stack) -> None:
    first, second, order = new_key("first"), new_key("second"), new_key("order")
    paid = await stack.pay(first, order_id=order)
    assert paid.json()["status"] == "succeeded"
    refused = await stack.pay(second, order_id=order)
    assert_problem(refused, 409, "order_already_paid", first, order)
    assert "Idempotent-Replayed" not in refused.headers
    again = await stack.pay(second, order_id=order)
    assert (again.status_code, again.content) == (409, refused.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    payment = await stack.get(second)
    assert (payment["status"], payment["failure"]["code"]) == ("failed", "order_already_paid")
    assert await stack.journal(second) == []
    assert (await stack.pay(first, order_id=order)).content == paid.content


async def test_second_payment_is_refused_while_the_first_is_open_and_after_it_failed(stack: Stack) -> None:
    first, second, third, order = new_key("first"), new_key("second"), new_key("third"), new_key("order")
    await stack.fault("slow", payment_id=first, operation="authorize", seconds=1.5)
    method = "pm_card_chargeDeclined"
    assert (await stack.pay(first, wait=0, order_id=order, payment_method=method)).status_code == 202
    await asyncio.sleep(0.3)
    assert_problem(await stack.pay(second, order_id=order), 409, "order_already_paid")
    assert (await stack.until_decided(first))["status"] == "declined"
    assert_problem(await stack.pay(second, order_id=order), 409, "order_already_paid")
    assert (await stack.pay(third, order_id=order)).json()["status"] == "succeeded"
    assert await stack.journal(second) == []


async def test_declined_payment_frees_its_order(stack: Stack) -> None:
    order = new_key("order")
    declined = await stack.pay(new_key(), order_id=order, payment_method="pm_card_chargeDeclined")
    assert declined.json()["status"] == "declined"
    assert (await stack.pay(new_key(), order_id=order)).json()["status"] == "succeeded"


async def test_concurrent_payments_of_one_order_are_one_charge(stack: Stack) -> None:
    order, keys = new_key("order"), [new_key("rival") for _ in range(8)]
    replies = await asyncio.gather(*(stack.pay(key, order_id=order) for key in keys))
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 7
    journals = [await stack.journal_operations(key) for key in keys]
    assert sorted(journals) == [[]] * 7 + [["authorize", "capture"]]
