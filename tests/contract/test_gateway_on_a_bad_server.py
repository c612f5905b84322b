"""What every `PaymentGateway` must do when it isn't the processor that answers, or not well. See the other file."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateways.port import GatewayError, NotExecuted, OutcomeUnknown
from payments.operations import Authorize
from tests.contract.test_gateway_contract import ADAPTERS, DEADLINE, MONEY, OpenGateway
from tests.harness import new_key

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(params=ADAPTERS)
def open_gateway(request: pytest.FixtureRequest) -> OpenGateway:
    return ADAPTERS[request.param]


@asynccontextmanager
async def bad_server(answer: Handler) -> AsyncGenerator[tuple[str, list[str]]]:
    """Answers everything with `answer`. Yields its URL and the requests that it got."""
    got: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        got.append(f"{request.method} {request.headers.get('Idempotency-Key', '')}")
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server:
        yield str(server.make_url("")), got


def says(status: int, text: str = "<html>Bad Gateway</html>", **headers: str) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


def an_operation() -> Authorize:
    return Authorize(payment_id=new_key("bad"), money=MONEY, payment_method="pm_card_visa")


async def drips(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"Content-Type": "application/json"})
    await reply.prepare(request)
    for _ in range(100):
        await reply.write(b" ")
        await asyncio.sleep(0.05)
    return reply


async def drips_and_ends_early(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"Content-Length": "500"})
    await reply.prepare(request)
    await reply.write(b'{"id": "auth_1", "status": "succeeded"')
    assert request.transport is not None
    request.transport.close()
    return reply


async def floods(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse()
    await reply.prepare(request)
    for _ in range(10_000):
        await reply.write(b"x" * 64 * 1024)
    return reply


async def hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def garbage(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"220 mail.example.com ESMTP\r\n\r\n")  # pyright: ignore[reportAttributeAccessIssue]
    request.transport.close()
    return web.Response()


UNREADABLE: dict[str, Handler] = {
    "drips": drips,
    "ends early": drips_and_ends_early,
    "floods": floods,
    "hangs up": hangs_up,
    "another protocol": garbage,
    "html": says(200),
    "not what it is encoded as": says(200, "not gzip at all", Content_Encoding="gzip"),
    "unknown charset": says(200, "{}", Content_Type="application/json; charset=klingon"),
    "500": says(500),
    "503": says(503),
    "409": says(409),
    "404 of a proxy": says(404),
}


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_outcome_is_unknown_when_the_server_misbehaves(open_gateway: OpenGateway, answer: Handler) -> None:
    async with bad_server(answer) as (url, _), open_gateway(url) as gateway:
        with pytest.raises(OutcomeUnknown):
            await gateway.submit(an_operation())
        with pytest.raises(OutcomeUnknown):
            await gateway.find(an_operation())


@pytest.mark.parametrize("status", [503, 429, 500, 408, 401])
async def test_adapter_never_tries_again_by_itself(open_gateway: OpenGateway, status: int) -> None:
    async with bad_server(says(status, Retry_After="0")) as (url, got), open_gateway(url) as gateway:
        with pytest.raises(GatewayError):
            await gateway.submit(an_operation())
        assert len(got) == 1


async def test_adapter_never_tries_again_by_itself_when_the_connection_breaks(open_gateway: OpenGateway) -> None:
    answers = [says(503), hangs_up]  # the second one breaks a connection that was good before

    async def answer(request: web.Request) -> web.StreamResponse:
        return await answers.pop(0)(request)

    async with bad_server(answer) as (url, got), open_gateway(url) as gateway:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                await gateway.submit(an_operation())
        assert len(got) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(open_gateway: OpenGateway, status: int) -> None:
    async with bad_server(says(200, "{}")) as (other_url, other_got):
        async with bad_server(says(status, Location=other_url)) as (url, _), open_gateway(url) as gateway:
            with pytest.raises(OutcomeUnknown):
                await gateway.submit(an_operation())
            with pytest.raises(OutcomeUnknown):
                await gateway.find(an_operation())
        assert other_got == []


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", timedelta(seconds=7)),
        ("120", timedelta(minutes=2)),
        ("0", timedelta(0)),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
@pytest.mark.parametrize(("status", "error"), [(503, OutcomeUnknown), (429, NotExecuted)])
async def test_wish_for_when_to_come_back_is_passed_on(
    open_gateway: OpenGateway, header: str, expected: timedelta | None, status: int, error: type[GatewayError]
) -> None:
    async with bad_server(says(status, Retry_After=header)) as (url, _), open_gateway(url) as gateway:
        with pytest.raises(error) as raised:
            await gateway.submit(an_operation())
    assert raised.value.retry_after == expected


@pytest.mark.parametrize("header", ["999999999", "9" * 30, "9" * 5000])
async def test_wish_to_come_back_in_years_is_cut_to_an_hour(open_gateway: OpenGateway, header: str) -> None:
    async with bad_server(says(503, Retry_After=header)) as (url, _), open_gateway(url) as gateway:
        with pytest.raises(OutcomeUnknown) as raised:
            await gateway.submit(an_operation())
    assert raised.value.retry_after == timedelta(hours=1)


async def test_deadline_holds_for_the_whole_exchange_when_bytes_drip(open_gateway: OpenGateway) -> None:
    async with bad_server(drips) as (url, _), open_gateway(url) as gateway:
        begin = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            await gateway.submit(an_operation())
        # It drips for five seconds, and each pause is far below any read timeout.
        assert DEADLINE - 0.1 < time.monotonic() - begin < 3
