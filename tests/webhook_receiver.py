"""A shop's server on this machine, which takes webhooks as a test tells it to."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from payments.webhooks import Reply

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole HTTP answer."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *lines, "", ""]).encode() + body


@dataclass
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    answered: int = 0

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def payment(self) -> str:
        return self.event["data"]["payment_id"]


Behaviour = Callable[[Received, asyncio.StreamWriter], Awaitable[None] | bytes]


@dataclass
class Receiver:
    """`behave` gives the answer to a request, or writes what it likes."""

    port: int = 0
    received: list[Received] = field(default_factory=list[Received])
    behave: Behaviour = lambda _received, _writer: OK

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def of(self, payment: str) -> list[Received]:
        return [each for each in self.received if each.payment == payment]

    def taken(self, payment: str) -> list[str]:
        """Types of this payment's events that were answered with 2xx, in order."""
        return [each.event["type"] for each in self.of(payment) if 200 <= each.answered < 300]

    async def until(self, holds: Callable[[], bool], seconds: float = 40) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.02)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._answer(await _read(reader), writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _answer(self, received: Received, writer: asyncio.StreamWriter) -> None:
        self.received.append(received)
        said = self.behave(received, writer)
        if not isinstance(said, bytes):
            await said
            return
        received.answered = int(said.split(b" ")[1])
        writer.write(said)
        await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Received(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


@asynccontextmanager
async def receiving(behave: Behaviour | None = None, host: str = "127.0.0.1") -> AsyncGenerator[Receiver]:
    """A receiver, as long as the context lasts."""
    receiver = Receiver()
    if behave is not None:
        receiver.behave = behave
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(receiver.serve(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(accept, host, 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def said(reply: Reply) -> tuple[int | None, str | None]:
    """What a test looks at first."""
    return reply.status, reply.error
