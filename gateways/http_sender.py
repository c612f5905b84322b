"""Sends webhooks over HTTP, signed by Standard Webhooks (https://www.standardwebhooks.com), to whoever it may be.

Whatever is at the other end: it gets 15 seconds, 64 kB of its reply are read, none of its redirects is followed, and
nothing inside our own network is connected to.
"""

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook

from gateways.addresses import is_public
from gateways.sending import TIMEOUT_SECONDS, Outgoing
from payments.cards import holds_card_number
from payments.webhooks import Reply, url_problem

USER_AGENT: Final = "paysaga-webhooks/1"
REPLY_BYTES_MAX: Final = 64 * 1024
# What is kept of a reply, for people who look for the mistake.
BODY_KEPT: Final = 2_000
# Nine digits are 31 years: enough to be capped.
_DIGITS_MAX: Final = 9
# Names are looked up in threads of their own: those of the process are few, and a name server that hangs would keep
# them from those who connect to PostgreSQL.
_LOOKING_UP: Final = 8


class _AddressRefused(OSError):
    """It isn't public."""


# The first that fits.
_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (_AddressRefused, "its name leads to an address that is not public"),
    (aiohttp.ClientConnectorDNSError, "its name can't be resolved"),
    (aiohttp.ClientSSLError, "no TLS connection with it: is its certificate valid?"),
    (aiohttp.ClientConnectorError, "it can't be connected to"),
    (aiohttp.ClientResponseError, "its answer is not HTTP that can be read"),
    (aiohttp.InvalidURL, "the address is not one that may be sent to"),
)


class HttpWebhookSender:
    """Implements `gateways.sending.WebhookSender`."""

    def __init__(self, *, private_addresses: bool, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._private = private_addresses
        self._timeout_seconds = timeout_seconds
        self._threads = ThreadPoolExecutor(_LOOKING_UP, thread_name_prefix="webhook-names")

    def close(self) -> None:
        """Without waiting for name servers."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, outgoing: Outgoing, now: datetime) -> Reply:
        """See `WebhookSender.send`."""
        begun = time.monotonic()

        def reply(**fields: Any) -> Reply:
            return Reply(duration=timedelta(seconds=time.monotonic() - begun), **fields)

        if url_problem(outgoing.url, http=self._private):
            return reply(error="the address is not one that may be sent to")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return reply(**await self._post(outgoing, now))
        except TimeoutError:
            return reply(error=f"no whole answer within {self._timeout_seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return reply(error=_words(error))

    async def _post(self, outgoing: Outgoing, now: datetime) -> dict[str, Any]:
        body = body_of(outgoing)
        # A connection for each: none is kept that an endpoint could let hang, and each one's address is looked at.
        connector = aiohttp.TCPConnector(
            socket_factory=_any_socket if self._private else _public_socket,
            resolver=_Resolver(self._threads),
            use_dns_cache=False,
            force_close=True,
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as session,
            session.post(
                outgoing.url, data=body, headers=headers_of(outgoing, body, now), allow_redirects=False
            ) as answer,
        ):
            text = await _read(answer)
            return {
                "status": answer.status,
                "body": text,
                "error": _refusal(answer.status),
                "retry_after": _retry_after(answer.headers.get("Retry-After", ""), now),
            }


def body_of(outgoing: Outgoing) -> bytes:
    """The same bytes each time the event is sent."""
    event = outgoing.event
    data = event.model_dump(mode="json")
    body = {"type": event.type, "timestamp": data["created_at"], "data": data}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def headers_of(outgoing: Outgoing, body: bytes, now: datetime) -> dict[str, str]:
    """Standard Webhooks' own, by each secret that signs."""
    event_id = outgoing.event.id
    # The library takes the time for one in UTC, whatever it says of itself.
    at = now.astimezone(UTC)
    signatures = [Webhook(secret).sign(event_id, at, body.decode()) for secret in outgoing.secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


class _Resolver(AbstractResolver):
    """The system's own, in threads of its own."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        )
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """The threads are the sender's."""


def _any_socket(info: Any) -> socket.socket:
    family, kind, proto, _, _ = info
    return socket.socket(family, kind, proto)


def _public_socket(info: Any) -> socket.socket:
    """Asked for the very address that is connected to, so that no name can be given another one in between."""
    if not is_public(str(info[4][0])):
        raise _AddressRefused("not public")
    return _any_socket(info)


async def _read(answer: aiohttp.ClientResponse) -> str:
    """The beginning of the body. What comes after what we read is left where it is."""
    content = bytearray()
    while len(content) < REPLY_BYTES_MAX and (part := await answer.content.read(REPLY_BYTES_MAX - len(content))):
        content += part
    # PostgreSQL takes no NUL.
    text = bytes(content).decode("utf-8", "replace").replace("\0", "\ufffd")[:BODY_KEPT]
    return "(it holds what looks like a card number, and is not kept)" if holds_card_number(text) else text


def _refusal(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    return f"answered {status}: redirects are not followed" if 300 <= status < 400 else f"answered {status}"


def _retry_after(value: str, now: datetime) -> timedelta | None:
    if value.isascii() and value.isdigit():
        return timedelta(seconds=int(value[:_DIGITS_MAX]))
    try:
        at = datetime.strptime(value, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(at - now, timedelta(0))


def _words(error: Exception) -> str:
    """In words of our own: those of libraries name addresses inside networks."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    for kind, words in _WORDS:
        if isinstance(cause, kind) or isinstance(error, kind):
            return words
    return "the connection was lost"
