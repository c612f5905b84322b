"""What an endpoint can do to us, and what it is sent: a real server on this machine, and the library that shops use."""

import asyncio
import base64
import gzip
import socket
import time
import tracemalloc
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta, timezone

import pytest
import pytest_asyncio
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from gateways.http_sender import HttpWebhookSender
from gateways.sending import Outgoing
from payments.timeline import Actor, FeedEvent
from payments.webhooks import Reply
from tests.webhook_receiver import Received, Receiver, answer, receiving, said

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()
PATIENCE = 1.0
NOW = datetime.now(UTC)


@pytest_asyncio.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture
def sender() -> HttpWebhookSender:
    return HttpWebhookSender(private_addresses=True, timeout_seconds=PATIENCE)


def an_event(**fields: object) -> FeedEvent:
    least = {"id": "evt_7", "sequence": 3, "type": "payment.succeeded", "actor": Actor.WORKFLOW, "payment_id": "ö-1"}
    return FeedEvent.model_validate(least | {"data": {"amount": 1}, "created_at": NOW} | fields)


def outgoing(url: str, *secrets: str) -> Outgoing:
    return Outgoing(url=url, secrets=secrets or (SECRET,), event=an_event())


async def send(sender: HttpWebhookSender, url: str, now: datetime | None = None) -> Reply:
    return await sender.send(outgoing(url), now or datetime.now(UTC))


async def test_event_is_posted_as_the_feed_shows_it_and_verifies(receiver: Receiver, sender: HttpWebhookSender) -> None:
    assert said(await send(sender, receiver.url)) == (200, None)
    (got,) = receiver.received
    assert Webhook(SECRET).verify(got.body, got.headers) == got.event
    assert (got.method, got.path, got.id) == ("POST", "/hooks", "evt_7")
    assert got.event == {
        "type": "payment.succeeded",
        "timestamp": got.event["data"]["created_at"],
        "data": an_event().model_dump(mode="json"),
    }
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("paysaga-webhooks/")


async def test_signature_is_refused_for_other_bytes_and_another_secret(
    receiver: Receiver, sender: HttpWebhookSender
) -> None:
    await send(sender, receiver.url)
    (got,) = receiver.received
    for secret, body in ((SECRET, got.body + b" "), (OLD_SECRET, got.body)):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, got.headers)


async def test_every_secret_signs_the_newest_first(receiver: Receiver, sender: HttpWebhookSender) -> None:
    await sender.send(outgoing(receiver.url, SECRET, OLD_SECRET), datetime.now(UTC))
    (got,) = receiver.received
    first, _ = got.headers["webhook-signature"].split(" ")
    for secret in (SECRET, OLD_SECRET):
        Webhook(secret).verify(got.body, got.headers)
    Webhook(SECRET).verify(got.body, got.headers | {"webhook-signature": first})


async def test_signed_time_is_right_wherever_the_clock_says_it_is(
    receiver: Receiver, sender: HttpWebhookSender
) -> None:
    now = datetime.now(UTC)
    await send(sender, receiver.url, now.astimezone(timezone(timedelta(hours=9))))
    (got,) = receiver.received
    assert int(got.headers["webhook-timestamp"]) == int(now.timestamp())
    Webhook(SECRET).verify(got.body, got.headers)


async def test_body_is_the_same_each_time(receiver: Receiver, sender: HttpWebhookSender) -> None:
    await send(sender, receiver.url)
    await send(sender, receiver.url, NOW + timedelta(days=3))
    assert len({got.body for got in receiver.received}) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_is_success(receiver: Receiver, sender: HttpWebhookSender, status: int) -> None:
    receiver.behave = lambda _r, _w: answer(status)
    assert said(await send(sender, receiver.url)) == (status, None)


@pytest.mark.parametrize("status", [300, 400, 401, 404, 410, 429, 500, 503])
async def test_anything_else_is_a_failure_that_says_so(
    receiver: Receiver, sender: HttpWebhookSender, status: int
) -> None:
    receiver.behave = lambda _r, _w: answer(status, b"because")
    reply = await send(sender, receiver.url)
    assert (reply.status, reply.body, reply.gone) == (status, "because", status == 410)
    assert reply.error is not None
    assert str(status) in reply.error


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(receiver: Receiver, sender: HttpWebhookSender, status: int) -> None:
    async with receiving() as other:
        receiver.behave = lambda _r, _w: answer(status, Location=other.url)
        reply = await send(sender, receiver.url)
        assert said(reply) == (status, f"answered {status}: redirects are not followed")
        assert (len(receiver.received), other.received) == (1, [])


@pytest.mark.parametrize(
    ("value", "seconds"), [("120", 120), ("9" * 40, 999_999_999), ("soon", None), ("-5", None), ("²", None)]
)
async def test_wish_to_be_left_alone_is_read(
    receiver: Receiver, sender: HttpWebhookSender, value: str, seconds: int | None
) -> None:
    receiver.behave = lambda _r, _w: answer(503, Retry_After=value).decode().encode("latin-1", "replace")
    reply = await send(sender, receiver.url)
    assert reply.retry_after == (None if seconds is None else timedelta(seconds=seconds))


async def test_wish_may_be_a_date(receiver: Receiver, sender: HttpWebhookSender) -> None:
    at = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    receiver.behave = lambda _r, _w: answer(429, Retry_After=at)
    reply = await send(sender, receiver.url)
    assert reply.retry_after is not None
    assert timedelta(minutes=4) < reply.retry_after <= timedelta(minutes=5)


async def hang(_received: Received, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def hang_in_the_body(_received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok")
    await asyncio.sleep(60)


async def drip(_received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.05)


async def drip_headers(_received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000):
        writer.write(b"X-%d: y\r\n" % number)
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("behave", [hang, hang_in_the_body, drip, drip_headers])
async def test_endpoint_that_takes_its_time_is_cut_off(sender: HttpWebhookSender, behave: object) -> None:
    async with receiving(behave) as receiver:  # pyright: ignore[reportArgumentType]
        begun = time.monotonic()
        assert said(await send(sender, receiver.url)) == (None, "no whole answer within 1 s")
        assert time.monotonic() - begun < 3 * PATIENCE


async def endless_headers(_received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-A: " + b"y" * 1000 + b"\r\n")
        await writer.drain()


async def endless_header(_received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-A: ")
    while True:
        writer.write(b"y" * 10_000)
        await writer.drain()


async def no_http(_received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    await writer.drain()


async def torn(_received: Received, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@pytest.mark.parametrize("behave", [endless_headers, endless_header, no_http, torn])
async def test_what_is_no_answer_is_a_failure(sender: HttpWebhookSender, behave: object) -> None:
    async with receiving(behave) as receiver:  # pyright: ignore[reportArgumentType]
        reply = await send(sender, receiver.url)
    assert reply.status is None
    assert reply.error is not None
    assert "127.0.0.1" not in reply.error


async def half_a_gigabyte(_received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n")
    for _ in range(500):
        writer.write(b"x" * 1_000_000)
        await writer.drain()


async def endless_chunks(_received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize("behave", [half_a_gigabyte, endless_chunks])
async def test_endless_body_is_left_where_it_is(sender: HttpWebhookSender, behave: object) -> None:
    async with receiving(behave) as receiver:  # pyright: ignore[reportArgumentType]
        tracemalloc.start()
        try:
            reply = await send(sender, receiver.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert said(reply) == (200, None)
    assert len(reply.body or "") == 2_000
    # The server's buffers are in this process, too.
    assert peak < 20_000_000


async def test_body_that_is_compressed_is_not_unpacked(receiver: Receiver, sender: HttpWebhookSender) -> None:
    bomb = gzip.compress(b"x" * 10_000_000)
    receiver.behave = lambda _r, _w: answer(200, bomb, Content_Encoding="gzip")
    reply = await send(sender, receiver.url)
    assert "xxx" not in (reply.body or "")
    assert receiver.received[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("body", "kept"),
    [(b"a\0b", "a\ufffdb"), (b"\xff\xfe", "\ufffd\ufffd"), (b"no 4242 4242 4242 4242", "(it holds")],
)
async def test_body_is_kept_as_text_that_the_books_take(
    receiver: Receiver, sender: HttpWebhookSender, body: bytes, kept: str
) -> None:
    receiver.behave = lambda _r, _w: answer(500, body)
    reply = await send(sender, receiver.url)
    assert (reply.body or "").startswith(kept)
    assert "4242" not in (reply.body or "")


async def test_cookies_are_not_kept(receiver: Receiver, sender: HttpWebhookSender) -> None:
    receiver.behave = lambda _r, _w: answer(200, Set_Cookie="a=b; Path=/")
    for _ in range(2):
        await send(sender, receiver.url)
    assert "cookie" not in receiver.received[1].headers


async def test_proxy_of_the_environment_is_not_used(
    receiver: Receiver, sender: HttpWebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert said(await send(sender, receiver.url)) == (200, None)


async def test_name_that_leads_nowhere_and_port_that_nobody_listens_on_are_failures(
    sender: HttpWebhookSender,
) -> None:
    reply = await send(sender, "http://no-such-name.invalid/")
    assert reply.error in {"its name can't be resolved", "no whole answer within 1 s"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert said(await send(sender, f"http://127.0.0.1:{port}/")) == (None, "it can't be connected to")


async def test_no_address_inside_is_connected_to(receiver: Receiver) -> None:
    """By name, by number, however it is written."""
    careful = HttpWebhookSender(private_addresses=False, timeout_seconds=5)
    port = receiver.port
    hosts = ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]",
             "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "169.254.169.254", "[fe80::1]", "10.0.0.1",
             "192.168.1.1", "100.64.0.1", "224.0.0.1"]  # fmt: skip
    for host in hosts:
        reply = await send(careful, f"https://{host}:{port}/")
        assert reply.status is None, host
        assert reply.error in {
            "its name leads to an address that is not public",
            "its name can't be resolved",
            "the address is not one that may be sent to",
        }, (host, reply.error)
    assert receiver.received == []
    assert (await send(careful, "https://localhost:1/")).error == "its name leads to an address that is not public"
    assert (
        await send(careful, f"https://127.0.0.1:{port}/")
    ).error == "its name leads to an address that is not public"


async def test_without_the_setting_nothing_is_sent_without_tls(receiver: Receiver) -> None:
    careful = HttpWebhookSender(private_addresses=False)
    assert (await send(careful, "http://example.com/")).error == "the address is not one that may be sent to"
    assert receiver.received == []


async def test_name_that_leads_inside_at_the_moment_of_connecting_does_not_help(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no look before, after which the name could be given another address."""
    looked_up: list[str] = []

    def lookup(host: str, port: int, *_: object) -> list[object]:
        looked_up.append(host)
        addresses = ("127.0.0.1", "10.0.0.1", "169.254.169.254")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    careful = HttpWebhookSender(private_addresses=False)
    monkeypatch.setattr("gateways.http_sender.socket.getaddrinfo", lookup)
    reply = await send(careful, f"https://rebinding.example:{receiver.port}/")
    assert reply.error == "its name leads to an address that is not public"
    assert (looked_up, receiver.received) == (["rebinding.example"], [])


async def test_one_that_hangs_keeps_no_other_waiting(receiver: Receiver, sender: HttpWebhookSender) -> None:
    async with receiving(hang) as hanging:
        waiting = [asyncio.create_task(send(sender, hanging.url)) for _ in range(20)]
        begun = time.monotonic()
        assert said(await send(sender, receiver.url)) == (200, None)
        assert time.monotonic() - begun < PATIENCE
        await asyncio.gather(*waiting)
