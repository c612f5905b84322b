"""Idempotency keys: each works literally everywhere it appears, or is refused clearly and leaves no trace."""

import secrets
from urllib.parse import quote

import pytest

from tests.harness import Stack, a_request
from tests.refusals import Order, assert_nothing_of, assert_problem, is_known_to_temporal, post

LITERAL = [
    "a b",
    "'; DROP TABLE payments;--",
    '"quoted"',
    "it's",
    "a..b",
    "...",
    "~user",
    "a:b@c",
    "a&b=c+d",
    "$1",
    "{id}",
    "[0]",
    "<script>alert(1)<script>",
    "*",
    "null",
    "x" * 230,
]


@pytest.mark.parametrize("word", LITERAL)
async def test_key_is_taken_literally_in_every_place(stack: Stack, word: str) -> None:
    key = f"{word}{secrets.token_hex(6)}{word}"[:255]
    reply = await stack.pay(key)
    assert reply.status_code == 201, reply.text
    assert reply.json()["id"] == key
    assert reply.headers["Location"] == f"/v1/payments/{quote(key, safe='')}"
    found = await stack.http.get(reply.headers["Location"])
    assert (found.status_code, found.json()) == (200, reply.json())
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    assert await is_known_to_temporal(stack, key)
    async with stack.database() as db:
        assert await db.fetchval("SELECT status FROM payments WHERE id = $1", key) == "succeeded"
    assert (await stack.pay(key)).headers["Idempotent-Replayed"] == "true"


async def test_keys_that_look_alike_are_different_payments(stack: Stack) -> None:
    word = secrets.token_hex(6)
    keys = [f"{word}a b", f"{word}a+b", f"{word}a  b", f"{word}A b"]
    for amount, key in enumerate(keys, start=100):
        assert (await stack.pay(key, amount=amount)).status_code == 201
    for amount, key in enumerate(keys, start=100):
        assert (await stack.http.get(f"/v1/payments/{quote(key, safe='')}")).json()["amount"] == amount


REFUSED = {
    "empty": b"",
    "256 characters": b"k" * 256,
    "8000 characters": b"k" * 8000,
    "UTF-8": "clé".encode(),
    "Latin-1": "clé".encode("latin-1"),
    "emoji": "💳".encode(),
    "invalid UTF-8": b"\xff\xfe",
    "tab": b"a\tb",
    "slash": b"orders/1",
    "backslash": b"orders\\1",
    "percent": b"100%",
    "encoded slash": b"orders%2F1",
    "question mark": b"a?b",
    "hash": b"a#b",
    "dot": b".",
    "dot dot": b"..",
    "path": b"../../v1/payments",
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
async def test_key_is_refused_without_a_trace(stack: Stack, value: bytes) -> None:
    order = Order()
    reply = await post(stack, value, order.content)
    assert_problem(reply, 400, "idempotency_key_invalid", *([value.decode("latin-1")] if len(value) > 6 else []))
    assert "Location" not in reply.headers
    if value:
        await assert_nothing_of(stack, value.decode("latin-1"))
    await order.assert_left_no_trace(stack)


async def test_request_without_a_key_is_refused_without_a_trace(stack: Stack) -> None:
    order = Order()
    assert_problem(await post(stack, None, order.content), 400, "idempotency_key_missing")
    await order.assert_left_no_trace(stack)


@pytest.mark.parametrize("second", ["one-key", "another-key", ""])
async def test_two_key_headers_are_refused_without_a_trace(stack: Stack, second: str) -> None:
    order = Order()
    reply = await post(stack, "one-key", order.content, headers=[("Idempotency-Key", second.encode())])
    assert_problem(reply, 400, "idempotency_key_invalid", "one-key")
    await assert_nothing_of(stack, "one-key")
    await order.assert_left_no_trace(stack)


@pytest.mark.parametrize(
    "segment",
    ["%2E%2E", "%2e", "a%5Cb", "a%25b", "%00", "%FF", "%E2%82%AC", "k" * 256, "%27%20OR%201%3D1--", "%0D%0AX"],
)
async def test_id_that_no_payment_has_is_not_found(stack: Stack, segment: str) -> None:
    assert_problem(await stack.http.get(f"/v1/payments/{segment}"), 404, "payment_not_found")


async def test_encoded_slash_leads_to_no_payment(stack: Stack) -> None:
    assert_problem(await stack.http.get("/v1/payments/a%2Fb"), 404, "not_found")


async def test_key_that_looks_like_sql_drops_nothing(stack: Stack) -> None:
    reply = await stack.http.post(
        "/v1/payments",
        json=a_request(customer="'; DELETE FROM payments;--"),
        headers={"Idempotency-Key": "'); DROP TABLE payments; --" + secrets.token_hex(4)},
    )
    assert reply.json()["customer"] == "'; DELETE FROM payments;--"
    async with stack.database() as db:
        assert await db.fetchval("SELECT count(*) FROM payments WHERE id = $1", reply.json()["id"]) == 1
