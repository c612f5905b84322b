"""A card number anywhere in a request is refused, never shown in the answer, never logged and never stored."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness import Stack, a_request, new_key
from tests.refusals import Order, assert_left_no_trace, assert_nothing_of, assert_problem, log_text, post

# Test numbers of the card networks; this file's own, so that whatever is found of them comes from here.
VISA = "4242424242424242"
AMEX = "378282246310005"
MASTERCARD = "5555555555554444"

PLACES: dict[str, dict[str, Any]] = {
    "payment method": {"payment_method": VISA},
    "payment method with words": {"payment_method": f"pm_card_{VISA}"},
    "customer": {"customer": VISA},
    "order": {"order_id": f"order-{VISA}"},
    "description": {"description": f"Please charge {VISA} today"},
    "currency": {"currency": VISA},
    "capture": {"capture": VISA},
    "metadata value": {"metadata": {"card": VISA}},
    "metadata key": {"metadata": {VISA: "card"}},
    "nested too deep": {"metadata": {"card": {"number": [[VISA]]}}},
    "integer as amount": {"amount": int(VISA)},
    "integer in metadata": {"metadata": {"card": int(VISA)}},
    "float as amount": {"amount": float(VISA)},
    "unknown field": {"card_number": VISA},
    "unknown field's name": {VISA: True},
    "unknown object": {"card": {"number": VISA, "cvc": "123"}},
    "with spaces": {"description": "4242 4242 4242 4242"},
    "with dashes": {"description": "4242-4242-4242-4242"},
    "with dots": {"description": "4242.4242.4242.4242"},
    "with no-break spaces": {"description": "4242\u00a04242\u00a04242\u00a04242"},
    "in full-width digits": {"description": "".join(chr(ord(digit) + 0xFEE0) for digit in VISA)},
    "with its expiry date": {"description": "4242 4242 4242 4242 12/27 123"},
    "American Express": {"description": "3782 822463 10005"},
    "Mastercard": {"customer": MASTERCARD},
}


@pytest.mark.parametrize("fields", PLACES.values(), ids=PLACES.keys())
async def test_card_number_in_the_body_is_refused_without_a_trace(stack: Stack, fields: dict[str, Any]) -> None:
    key = new_key("card")
    reply = await post(stack, key, json.dumps(a_request() | fields).encode())
    problem = assert_problem(reply, 422, "card_number_refused", VISA, MASTERCARD, "4242 4242", "822463")
    assert "errors" not in problem
    await assert_nothing_of(stack, key)


@pytest.mark.parametrize("key", [VISA, f"order-{VISA}-1", "4242-4242-4242-4242", "4242 4242 4242 4242", AMEX])
async def test_card_number_as_key_is_refused_without_a_trace(stack: Stack, key: str) -> None:
    order = Order()
    assert_problem(await post(stack, key, order.content), 422, "card_number_refused", key)
    await assert_nothing_of(stack, key)
    await order.assert_left_no_trace(stack)


@pytest.mark.parametrize(
    "query",
    [
        f"card={VISA}",
        VISA,
        f"{VISA}=1",
        "card=4242+4242+4242+4242",
        "card=4242%204242%204242%204242",
        "card=" + "".join(f"%{ord(digit):x}" for digit in VISA),
    ],
)
async def test_card_number_in_the_query_is_refused_without_a_trace(stack: Stack, query: str) -> None:
    order, key = Order(), new_key("query")
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    reply = await stack.http.post(f"/v1/payments?{query}", content=order.content, headers=headers)
    assert_problem(reply, 422, "card_number_refused", VISA, query)
    await assert_nothing_of(stack, key)


PATHS = {
    "as the id": f"/v1/payments/{VISA}",
    "in the id": f"/v1/payments/order-{VISA}",
    "with dashes": "/v1/payments/4242-4242-4242-4242",
    "with spaces": f"/v1/payments/{quote('4242 4242 4242 4242')}",
    "after a hash": f"/v1/payments/%23{VISA}",
    "after a question mark": f"/v1/payments/%3F{VISA}",
    "percent-encoded": "/v1/payments/" + "".join(f"%{ord(digit):x}" for digit in VISA),
    "where nothing is": f"/cards/{VISA}/charge",
    "in a query after a hash": f"/v1/payments/%23?card={VISA}",
}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
async def test_card_number_in_the_path_is_refused_and_not_shown(stack: Stack, path: str, method: str) -> None:
    reply = await stack.http.request(method, path)
    assert reply.json()["code"] == "card_number_refused"
    assert reply.status_code == 422
    assert VISA not in reply.text
    assert "4242-4242" not in reply.text
    assert "%34%32" not in reply.text
    assert reply.json()["instance"] == ("/v1/payments/%23" if "?card" in path else "/")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {VISA}"}])
async def test_card_number_of_a_stranger_is_not_shown(stack: Stack, headers: dict[str, str]) -> None:
    stranger = stack.http.build_request("POST", "/v1/payments", json=a_request(customer=VISA), headers=headers)
    if not headers:
        del stranger.headers["Authorization"]
    assert_problem(await stack.http.send(stranger), 401, "unauthenticated", VISA)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (f'{{"customer": "{VISA}"'.encode(), 400, "malformed_json"),
        (f'{{"amount": {VISA}{"0" * 5000}}}'.encode(), 400, "malformed_json"),
        (VISA.encode() * 40_000, 413, "payload_too_large"),
    ],
    ids=["cut off", "in an endless number", "in an endless body"],
)
async def test_card_number_in_what_cannot_be_read_is_not_shown(
    stack: Stack, content: bytes, status: int, code: str
) -> None:
    key = new_key("unread")
    assert_problem(await post(stack, key, content), status, code, VISA)
    await assert_nothing_of(stack, key)


@pytest.mark.parametrize(
    "text",
    ["4242424242424241", "1763712345678", "550e8400-e29b-41d4-a716-446655440000", "2026-01-31 12:34:56.789012"],
    ids=["wrong check digit", "milliseconds", "UUID", "time stamp"],
)
async def test_digits_that_are_no_card_number_pay(stack: Stack, text: str) -> None:
    reply = await stack.pay(new_key("digits"), customer=text, description=text, metadata={text: text})
    assert reply.status_code == 201, reply.text


async def test_key_is_still_free_after_every_card_number(stack: Stack) -> None:
    key = new_key("cards")
    for fields in PLACES.values():
        assert (await post(stack, key, json.dumps(a_request() | fields).encode())).status_code == 422
    await assert_left_no_trace(stack, key)


async def test_no_process_logged_or_stored_a_card_number(stack: Stack) -> None:
    """Sends one in every way once more, so that the test stands alone."""
    for fields in PLACES.values():
        await post(stack, new_key("logged"), json.dumps(a_request() | fields).encode())
    await post(stack, VISA, b"{}")
    for path in PATHS.values():
        await stack.http.get(path)
    kept = [log_text(stack)]
    for database in ("temporal.db*", "*.sqlite*"):
        kept += [file.read_bytes().decode("latin-1") for file in stack.servers.data.glob(database)]
    assert len(kept) >= 3
    for text in kept:
        for number in (VISA, AMEX, MASTERCARD, "4242 4242 4242", "4242-4242-4242", "%34%32%34%32"):
            assert number not in text
