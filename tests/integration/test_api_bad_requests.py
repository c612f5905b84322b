"""Requests that are wrong before their body is read: who sends it, its type, its size, its address."""

import asyncio
from collections.abc import AsyncGenerator

import httpx2
import pytest

from tests.harness import API_KEY, Stack, new_key
from tests.refusals import assert_left_no_trace, assert_nothing_of, assert_problem, json_with, log_text, post

STRANGERS: dict[str, list[bytes]] = {
    "missing": [],
    "empty": [b""],
    "no scheme": [API_KEY.encode()],
    "scheme only": [b"Bearer"],
    "wrong key": [b"Bearer sk_test_wrong"],
    "beginning of the key": [f"Bearer {API_KEY[:-1]}".encode()],
    "key and more": [f"Bearer {API_KEY}x".encode()],
    "other letters": [f"Bearer {API_KEY.upper()}".encode()],
    "Basic": [f"Basic {API_KEY}".encode()],
    "Token": [f"Token {API_KEY}".encode()],
    "UTF-8": ["Bearer clé💳".encode()],
    "Latin-1": ["Bearer clé".encode("latin-1")],
    "invalid UTF-8": [b"Bearer \xff\xfe"],
    "first of two is wrong": [b"Bearer sk_test_wrong", f"Bearer {API_KEY}".encode()],
}


@pytest.mark.parametrize("values", STRANGERS.values(), ids=STRANGERS.keys())
async def test_stranger_is_refused_without_a_trace(stack: Stack, values: list[bytes]) -> None:
    key = new_key("stranger")
    headers = [(b"Idempotency-Key", key.encode()), (b"Content-Type", b"application/json")]
    async with httpx2.AsyncClient(base_url=stack.api.url) as http:
        given = headers + [(b"Authorization", value) for value in values]
        reply = await http.post("/v1/payments", content=json_with(), headers=given)
        assert_problem(reply, 401, "unauthenticated", "sk_test")
        assert reply.headers["WWW-Authenticate"] == "Bearer"
        seen = await http.get(f"/v1/payments/{key}", headers=given[2:])
        assert_problem(seen, 401, "unauthenticated", "sk_test")
    await assert_nothing_of(stack, key)


async def test_stranger_learns_nothing_of_a_payment_that_exists(stack: Stack) -> None:
    key = new_key("known")
    await stack.pay(key)
    async with httpx2.AsyncClient(base_url=stack.api.url) as http:
        known, unknown = await http.get(f"/v1/payments/{key}"), await http.get(f"/v1/payments/{new_key('known')}")
    assert known.status_code == unknown.status_code == 401
    assert {**known.json(), "instance": ""} == {**unknown.json(), "instance": ""}


async def test_stranger_is_refused_before_anything_else_is_told(stack: Stack) -> None:
    async with httpx2.AsyncClient(base_url=stack.api.url) as http:
        reply = await http.post("/v1/payments", content=b"{")
    assert_problem(reply, 401, "unauthenticated")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
async def test_scheme_may_be_written_in_any_letters(stack: Stack, scheme: str) -> None:
    reply = await stack.pay(new_key("scheme"), headers={"Authorization": f"{scheme} {API_KEY}"})
    assert reply.status_code == 201


async def test_api_key_is_in_no_log(stack: Stack) -> None:
    await stack.pay(new_key("logged"), headers={"Authorization": f"Basic {API_KEY}"})
    assert API_KEY not in log_text(stack)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json-patch+json",
        "application/jsonp",
        "application/vnd.api+json",
        "application/json, text/plain",
        "*/*",
    ],
)
async def test_content_type_is_refused_without_a_trace(stack: Stack, content_type: str | None) -> None:
    key = new_key("type")
    reply = await post(stack, key, json_with(), content_type=content_type)
    assert_problem(reply, 415, "unsupported_media_type", *([content_type] if content_type else []))
    await assert_nothing_of(stack, key)


async def test_key_is_still_free_after_strangers_and_wrong_types(stack: Stack) -> None:
    key = new_key("still-free")
    async with httpx2.AsyncClient(base_url=stack.api.url) as http:
        await http.post("/v1/payments", content=json_with(), headers={"Idempotency-Key": key})
    await post(stack, key, json_with(), content_type="text/plain")
    await assert_left_no_trace(stack, key)


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", 'application/json;charset="UTF-8"', "Application/JSON"],
)
async def test_content_type_of_json_in_utf_8_pays(stack: Stack, content_type: str) -> None:
    reply = await post(stack, new_key("type"), json_with(), content_type=content_type)
    assert reply.status_code == 201, reply.text


TOO_LARGE = json_with(description=f'"{"d" * 10_000_000}"')


async def test_body_of_10_mb_is_refused_without_a_trace(stack: Stack) -> None:
    key = new_key("large")
    assert_problem(await post(stack, key, TOO_LARGE), 413, "payload_too_large", "dddd")
    await assert_left_no_trace(stack, key)


async def test_body_of_10_mb_in_chunks_is_refused_without_a_trace(stack: Stack) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        for start in range(0, len(TOO_LARGE), 65_536):
            yield TOO_LARGE[start : start + 65_536]

    key = new_key("chunked")
    reply = await post(stack, key, chunks())
    assert "Content-Length" not in reply.request.headers
    assert_problem(reply, 413, "payload_too_large", "dddd")
    await assert_left_no_trace(stack, key)


async def test_body_just_over_the_limit_is_refused_without_a_trace(stack: Stack) -> None:
    key = new_key("over")
    body = json_with()
    reply = await post(stack, key, body + b" " * (512 * 1024 + 1 - len(body)))
    assert_problem(reply, 413, "payload_too_large")
    await assert_left_no_trace(stack, key)


async def test_body_of_just_the_limit_pays(stack: Stack) -> None:
    body = json_with()
    reply = await post(stack, new_key("limit"), body + b" " * (512 * 1024 - len(body)))
    assert reply.status_code == 201, reply.text


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/v1/payments", "GET, POST"),
        ("DELETE", "/v1/transactions", "GET"),
        ("DELETE", "/v1/payments/some-payment", "GET"),
        ("POST", "/v1/payments/some-payment", "GET"),
        ("PATCH", "/v1/payments/some-payment", "GET"),
        ("POST", "/livez", "GET"),
    ],
)
async def test_method_that_is_not_possible_is_refused_with_those_that_are(
    stack: Stack, method: str, path: str, allow: str
) -> None:
    reply = await stack.http.request(method, path)
    assert_problem(reply, 405, "method_not_allowed")
    assert reply.headers["Allow"] == allow


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/payment", "/v2/payments", "/v1/payments/a/b", "/%00", "/v1/payments%20"]
)
async def test_address_where_nothing_is_is_not_found(stack: Stack, path: str) -> None:
    assert_problem(await stack.http.get(path), 404, "not_found")


async def test_payment_sent_to_an_address_with_a_slash_too_many_leaves_no_trace(stack: Stack) -> None:
    key = new_key("slash")
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    reply = await stack.http.post("/v1/payments/", content=json_with(), headers=headers)
    assert_problem(reply, 404, "not_found")
    await assert_left_no_trace(stack, key)


async def test_client_that_leaves_in_the_middle_of_its_request_is_no_bug_and_pays_nothing(stack: Stack) -> None:
    key, before = new_key("left"), len(stack.api.log.read_text())
    _, writer = await asyncio.open_connection("127.0.0.1", stack.api.port)
    head = f"POST /v1/payments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {API_KEY}\r\nIdempotency-Key: {key}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
    await writer.drain()
    await asyncio.sleep(0.3)
    writer.close()
    async with asyncio.timeout(10):
        while key not in (said := stack.api.log.read_text()[before:]) and "client_left" not in said:
            await asyncio.sleep(0.1)
    assert "internal_error" not in said
    assert (await stack.http.get(f"/v1/payments/{key}")).status_code == 404
