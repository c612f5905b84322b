"""Clients of the service: every request is logged with what came of it."""

import asyncio
import io
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import aiohttp
from multidict import CIMultiDict

from paysaga.dev.ports import HOST
from prove.stack import API_KEY, CLIENTS, Stack
from prove.told import Json, Told

# Longer than the longest `Prefer: wait`.
PATIENCE_SECONDS: Final = 30.0
# What is no answer: not decided yet, not available.
NO_ANSWER: Final = frozenset({None, 202, 503})
# aiohttp wants to be given more than this as a file, so that nobody else waits meanwhile.
LARGE_BYTES: Final = 1024 * 1024
LONGEST_PAUSE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Reply:
    """What came of a request; no status when nothing came."""

    status: int | None
    text: str = ""
    retry_after: float = 0.2

    @property
    def is_answer(self) -> bool:
        return self.status not in NO_ANSWER

    @property
    def json(self) -> Json:
        """Empty when there is none."""
        try:
            said = json.loads(self.text)
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}  # pyright: ignore[reportUnknownVariableType]


Ask = Callable[[], Awaitable[Reply]]


class Shop:
    """Sends requests to any of the APIs, as a load balancer does."""

    def __init__(self, stack: Stack, told: Told, session: aiohttp.ClientSession, random: Random) -> None:
        self.stack = stack
        self.told = told
        self.waiting: dict[object, Ask] = {}
        """What clients have asked for who want to know in the end, and have no answer yet."""
        self.paid_for: set[str] = set()
        """Every payment that anybody has ever asked for."""
        self._session = session
        self._random = random

    async def pay(self, key: str, body: Json, *, wait: int | None = None, **more: Any) -> Reply:
        self.paid_for.add(key)
        return await self.send("pay", "/v1/payments", payment=key, id_=key, body=body, wait=wait, **more)

    async def capture(self, payment: str, key: str, amount: int | None = None, **more: Any) -> Reply:
        body = {} if amount is None else {"amount": amount}
        return await self.send(
            "capture", f"/v1/payments/{payment}/capture", payment=payment, id_=key, body=body, **more
        )

    async def cancel(self, payment: str, key: str = "cancel", **more: Any) -> Reply:
        return await self.send("cancel", f"/v1/payments/{payment}/cancel", payment=payment, id_=key, body={}, **more)

    async def refund(self, payment: str, refund: str, amount: int | None = None, **more: Any) -> Reply:
        body = {} if amount is None else {"amount": amount}
        path = f"/v1/payments/{payment}/refunds"
        return await self.send("refund", path, payment=payment, id_=refund, body=body, **more)

    async def get(self, payment: str) -> Reply:
        return await self.send("get", f"/v1/payments/{payment}", method="GET", payment=payment)

    async def send(
        self,
        call: str,
        path: str,
        *,
        method: str = "POST",
        payment: str | None = None,
        id_: str | None = None,
        body: Any = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        wait: int | None = None,
        patience: float = PATIENCE_SECONDS,
        api: str | None = None,
        expected: list[int] | None = None,
    ) -> Reply:
        """One request to one of the APIs, or to `api`. `headers` instead of the usual ones; `raw` instead of `body`;
        `expected` are the statuses that a bad request may be answered with."""
        if headers is None:
            headers = {"Authorization": f"Bearer {API_KEY}"} | ({"Idempotency-Key": id_} if id_ is not None else {})
        if wait is not None:
            headers = {**headers, "Prefer": f"wait={wait}"}
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        node = self._random.choice(self.stack.apis) if api is None else self.stack.nodes[api]
        url = f"http://{HOST}:{node.links[CLIENTS].port}{path}"
        line: Json = {"client": "campaign", "sent_at": time.time(), "call": call, "method": method, "path": path}
        line |= {"payment": payment, "id": id_, "body": body} | ({} if expected is None else {"expected": expected})
        reply = Reply(None)
        try:
            reply = await self._request(url, method, headers, content, patience)
        finally:
            # Also of who is sent away while it waits: the service may have done what it was asked for.
            self.told.answer(line | {"status": reply.status, "text": reply.text if reply.status else None})
        return reply

    async def _request(
        self, url: str, method: str, headers: Mapping[str, str], content: bytes | None, patience: float
    ) -> Reply:
        # A copy that keeps a header that stands twice.
        headers = CIMultiDict(headers)
        if content is not None:
            headers.setdefault("Content-Type", "application/json")
        try:
            async with asyncio.timeout(patience):
                data = io.BytesIO(content) if content is not None and len(content) > LARGE_BYTES else content
                async with self._session.request(
                    method, url, headers=headers, data=data, allow_redirects=False
                ) as reply:
                    text = await reply.text(errors="replace")
                    return Reply(reply.status, text, float(reply.headers.get("Retry-After", "0.2")))
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Reply(None)

    async def pay_until_answered(self, key: str, body: Json, **more: Any) -> Reply:
        """As clients should: the same request with the same key until somebody says what came of it."""
        began = time.time()
        reply = await until_answered(lambda: self.pay(key, body, **more))
        if reply.status == 201:
            self.told.decided.append((began, time.time()))
        return reply

    async def refund_until_answered(self, payment: str, refund: str, amount: int | None = None, **more: Any) -> Reply:
        """The same for a refund."""
        return await self._want(lambda: self.refund(payment, refund, amount, **more))

    async def capture_until_answered(self, payment: str, key: str, amount: int | None = None, **more: Any) -> Reply:
        """And for a capture."""
        return await self._want(lambda: self.capture(payment, key, amount, **more))

    async def cancel_until_answered(self, payment: str, key: str = "cancel", **more: Any) -> Reply:
        """And for a cancellation."""
        return await self._want(lambda: self.cancel(payment, key, **more))

    async def get_until_answered(self, payment: str) -> Reply:
        """And for how a payment stands."""
        return await self._want(lambda: self.get(payment))

    async def answer_who_waits(self) -> None:
        """Whoever was cut off while they waited asks again, each until it has an answer."""

        async def again(who: object, ask: Ask) -> None:
            await until_answered(ask)
            self.waiting.pop(who, None)

        await asyncio.gather(*(again(who, ask) for who, ask in list(self.waiting.items())))

    async def _want(self, ask: Ask) -> Reply:
        self.waiting[who := object()] = ask
        reply = await until_answered(ask)
        self.waiting.pop(who, None)
        return reply


async def until_answered(ask: Ask) -> Reply:
    """Ask again and again, as slowly as the service wants it."""
    while not (reply := await ask()).is_answer:
        await asyncio.sleep(min(reply.retry_after, LONGEST_PAUSE_SECONDS))
    return reply


@asynccontextmanager
async def open_shop(stack: Stack, told: Told, seed: int) -> AsyncGenerator[Shop]:
    """Clients without a limit of connections, cookies or redirects."""
    connector = aiohttp.TCPConnector(limit=0)
    # Whoever has waited in vain on a connection doesn't keep it.
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Shop(stack, told, session, Random(f"{seed}-shop"))
