"""`GET /v1/payments`, `/v1/transactions` and `/v1/customers/{id}/transactions`, a page at a time."""

import asyncio
import secrets
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness import Stack, a_request, new_key
from tests.refusals import assert_problem, pointers

LISTS = ["/v1/payments", "/v1/transactions"]
Json = dict[str, Any]


def a_customer() -> str:
    return f"cus_{secrets.token_hex(6)}"


async def listed(stack: Stack, path: str, **parameters: Any) -> list[Json]:
    """Every page, by the links between them; each repeats the cursor of its body."""
    reply = await stack.http.get(path, params=parameters)
    found: list[Json] = []
    while True:
        assert reply.status_code == 200, reply.text
        body = reply.json()
        assert set(body) == {"data", "next_cursor"}
        found += body["data"]
        if body["next_cursor"] is None:
            assert "Link" not in reply.headers
            return found
        assert len(body["data"]) == int(parameters.get("limit", 10))
        link = reply.headers["Link"]
        assert link.startswith(f"<{path}?")
        assert link.endswith('>; rel="next"')
        by_link = await stack.http.get(link[1 : link.index(">")])
        by_cursor = await stack.http.get(path, params=parameters | {"cursor": body["next_cursor"]})
        assert by_link.content == by_cursor.content
        reply = by_link


async def test_payments_are_listed_as_they_stand_the_newest_first(stack: Stack) -> None:
    customer = a_customer()
    keys = [new_key() for _ in range(5)]
    for key in keys:
        await stack.pay(key, customer=customer)
    await stack.refund(keys[0], "r", amount=10)
    expected = [await stack.get(key) for key in reversed(keys)]
    assert expected[-1]["refunds"][0]["id"] == "r"
    for limit in (1, 2, 5, 100):
        assert await listed(stack, "/v1/payments", customer=customer, limit=limit) == expected


async def test_transactions_tell_what_moved_and_what_came_to_nothing_with_its_reason(stack: Stack) -> None:
    customer, good, bad, undone = a_customer(), new_key(), new_key(), new_key()
    await stack.close_account("MRU")
    await stack.pay(good, customer=customer, order_id=good)
    await stack.refund(good, "r", amount=1000)
    await stack.pay(bad, customer=customer, payment_method="pm_card_chargeDeclinedInsufficientFunds")
    assert (await stack.pay(undone, customer=customer, currency="MRU", wait=20)).json()["status"] == "failed"
    lines = await listed(stack, "/v1/transactions", customer=customer, limit=2)
    assert [(t["payment_id"], t["type"], t["status"], t["amount"], t["amount_decimal"]) for t in lines] == [
        (undone, "payment", "failed", 0, "0.00"),
        (undone, "refund", "succeeded", -4990, "-49.90"),
        (undone, "capture", "succeeded", 4990, "49.90"),
        (bad, "payment", "declined", 0, "0.00"),
        (good, "refund", "succeeded", -1000, "-10.00"),
        (good, "capture", "succeeded", 4990, "49.90"),
    ]
    assert [t["failure"] and t["failure"]["code"] for t in lines] == [
        "recording_refused",
        None,
        None,
        "insufficient_funds",
        None,
        None,
    ]
    assert lines[4]["refund_id"] == "r"
    assert (await listed(stack, f"/v1/customers/{customer}/transactions", limit=4)) == lines
    for key in (good, bad, undone):
        await stack.assert_books_agree(key)
        journal = [e for e in await stack.journal(key) if e["operation"] in {"capture", "refund"}]
        moved = {(t["operation_key"], abs(t["amount"])) for t in lines if t["payment_id"] == key and t["amount"]}
        assert moved == {(entry["key"], entry["amount"]) for entry in journal}


async def test_list_can_be_read_while_payments_come(stack: Stack) -> None:
    """What was answered before the first page was read stands on exactly one page."""
    customer = a_customer()

    async def pay(count: int) -> list[str]:
        keys = [new_key() for _ in range(count)]
        for key in keys:
            await stack.pay(key, customer=customer)
        return keys

    before = set(await pay(8))
    writers = asyncio.gather(*(pay(10) for _ in range(3)))
    while not writers.done():
        for path, name in (("/v1/payments", "id"), ("/v1/transactions", "payment_id")):
            ids = [item[name] for item in await listed(stack, path, customer=customer, limit=3)]
            assert len(ids) == len(set(ids))
            assert before <= set(ids)
    await writers
    assert len(await listed(stack, "/v1/payments", customer=customer)) == 38


async def test_undecided_payment_is_listed_as_processing(stack: Stack) -> None:
    customer, key = a_customer(), new_key()
    await stack.fault("slow", payment_id=key, operation="authorize", seconds=3)
    await stack.pay(key, customer=customer, wait=0)
    async with asyncio.timeout(5):
        while not (found := await listed(stack, "/v1/payments", customer=customer, status="processing")):
            await asyncio.sleep(0.05)
    assert [payment["id"] for payment in found] == [key]
    assert await listed(stack, "/v1/transactions", customer=customer) == []


@pytest.mark.parametrize("customer", ["a b", "a/b", "%", "_", "' OR 1=1 --", "ö🎈", "a?b#c", "a%2Fb"])
async def test_customer_is_found_by_exactly_its_name(stack: Stack, customer: str) -> None:
    key = new_key()
    assert (await stack.pay(key, customer=customer)).status_code == 201
    for path, parameters in (
        ("/v1/transactions", {"customer": customer}),
        (f"/v1/customers/{quote(customer, safe='')}/transactions", {}),
    ):
        lines = await listed(stack, path, **parameters)
        assert key in [line["payment_id"] for line in lines]
        assert {line["customer"] for line in lines} == {customer}


async def test_stranger_customer_has_an_empty_history(stack: Stack) -> None:
    assert await listed(stack, "/v1/customers/nobody/transactions") == []


BAD: dict[str, tuple[str, str]] = {
    "limit zero": ("limit=0", "/query/limit"),
    "limit negative": ("limit=-1", "/query/limit"),
    "limit huge": ("limit=1000000000", "/query/limit"),
    "limit beyond a page": ("limit=101", "/query/limit"),
    "limit with a fraction": ("limit=1.5", "/query/limit"),
    "limit empty": ("limit=", "/query/limit"),
    "limit of 5,000 digits": ("limit=" + "9" * 5000, "/query/limit"),
    "unknown status": ("status=paid", "/query/status"),
    "unknown currency": ("currency=EURO", "/query/currency"),
    "small currency": ("currency=eur", "/query/currency"),
    "NUL": ("customer=%00", "/query/customer"),
    "line break": ("order_id=a%0Ab", "/query/order_id"),
    "empty customer": ("customer=", "/query/customer"),
    "endless customer": ("customer=" + "x" * 256, "/query/customer"),
    "no moment": ("created_from=yesterday", "/query/created_from"),
    "moment without an offset": ("created_to=2026-11-23T10:00:00", "/query/created_to"),
    "end of time": ("created_to=9999-12-31T23:59:59-01:00", "/query/created_to"),
    "dates reversed": ("created_from=2026-02-01&created_to=2026-01-01", "/query"),
    "misspelt": ("costumer=x", "/query/costumer"),
    "twice": ("limit=1&limit=2", "/query/limit"),
    "twice the same": ("customer=a&customer=a", "/query/customer"),
}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("name", BAD)
async def test_parameter_is_refused_by_name(stack: Stack, path: str, name: str) -> None:
    query, pointer = BAD[name]
    reply = await stack.http.get(f"{path}?{query}")
    assert pointers(assert_problem(reply, 422, "validation_failed")) == [pointer]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("query", ["customer=%FF%FE", "order_id=%ED%A0%80"])
async def test_what_is_not_utf8_finds_nothing(stack: Stack, path: str, query: str) -> None:
    reply = await stack.http.get(f"{path}?{query}")
    assert (reply.status_code, reply.json()["data"]) == (200, [])


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "query", ["created_from=0001-01-01&created_to=9999-12-31T23:59:59.999999Z", "created_from=9999-12-31"]
)
async def test_years_at_the_ends_of_the_calendar_are_no_trouble(stack: Stack, path: str, query: str) -> None:
    assert (await stack.http.get(f"{path}?{query}&limit=1")).status_code == 200


async def test_cursor_is_refused_unless_it_is_ours_for_this_list(stack: Stack) -> None:
    customer = a_customer()
    for _ in range(3):
        await stack.pay(new_key(), customer=customer)
    page = (await stack.http.get("/v1/payments", params={"customer": customer, "limit": 1})).json()
    cursor = page["next_cursor"]
    for path, parameters in (
        ("/v1/transactions", {"customer": customer}),
        (f"/v1/customers/{customer}/transactions", {}),
        ("/v1/payments", {}),
        ("/v1/payments", {"customer": customer, "status": "succeeded"}),
        ("/v1/payments", {"customer": a_customer()}),
    ):
        reply = await stack.http.get(path, params=parameters | {"cursor": cursor})
        assert_problem(reply, 400, "cursor_invalid")
    for forged in ("x", cursor[:-2], cursor.swapcase(), "A" * 5000, "\x00", "ü"):
        reply = await stack.http.get("/v1/payments", params={"customer": customer, "cursor": forged})
        assert_problem(reply, 400, "cursor_invalid")
    # Stale is not wrong: whatever came since, it goes on where it was.
    await stack.pay(new_key(), customer=customer)
    again = await stack.http.get("/v1/payments", params={"customer": customer, "limit": 2, "cursor": cursor})
    assert len(again.json()["data"]) == 2
    assert again.json()["next_cursor"] is None


@pytest.mark.parametrize("path", [*LISTS, "/v1/customers/x/transactions"])
async def test_lists_are_for_whoever_has_the_key(stack: Stack, path: str) -> None:
    reply = await stack.http.get(path, headers={"Authorization": "Bearer sk_test_wrong_key_000001"})
    assert_problem(reply, 401, "unauthenticated")


@pytest.mark.parametrize("query", ["customer=4242424242424242", "order_id=4242%204242%204242%204242"])
async def test_card_number_in_a_filter_is_refused(stack: Stack, query: str) -> None:
    assert_problem(await stack.http.get(f"/v1/payments?{query}"), 422, "card_number_refused", "4242")


async def test_customer_of_the_path_is_not_given_again(stack: Stack) -> None:
    reply = await stack.http.get("/v1/customers/a/transactions?customer=b")
    assert pointers(assert_problem(reply, 422, "validation_failed")) == ["/query/customer"]


async def test_list_of_payments_does_not_make_a_payment_called_nothing(stack: Stack) -> None:
    """`/v1/payments/` is no list and no payment."""
    assert (await stack.http.get("/v1/payments/")).status_code == 404
    assert (await stack.http.post("/v1/transactions", json=a_request())).status_code == 405
