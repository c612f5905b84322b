"""Sends events to whoever listens, signed, until they are taken or three days are over."""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp

from sandbox.outbox import Message
from sandbox.store import Store

AT_ONCE = 8
TIMEOUT_SECONDS = 5.0
# How long an event may lie before it is noticed.
TICK_SECONDS = 0.1
logger = logging.getLogger("sandbox")


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom to tell, and what shows them that it is us."""

    url: str
    secret: bytes = field(repr=False)

    def signature(self, body: bytes, now: int) -> str:
        digest = hmac.new(self.secret, f"{now}.".encode() + body, hashlib.sha256).hexdigest()
        return f"t={now},v1={digest}"


class Webhooks:
    """What is to be sent is in the store; here is only what is being sent right now."""

    def __init__(self, store: Store, listener: Listener | None) -> None:
        self._store = store
        self._listener = listener
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        if self._listener is None:
            yield
            return
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            loop = asyncio.create_task(self._run(session, self._listener))
            try:
                yield
            finally:
                tasks = [loop, *self._sending.values()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def resend(self, id_: str) -> None:
        # What is being sent now was not asked for by this.
        copies = 2 if id_ in self._sending else 1
        with self._store.transaction():
            self._store.outbox.resend(id_, copies, time.time())

    async def _run(self, session: aiohttp.ClientSession, listener: Listener) -> None:
        while True:
            try:
                self._start_due(session, listener)
            except Exception:
                logger.exception("events can't be read")
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._wake.wait()
            self._wake.clear()

    def _start_due(self, session: aiohttp.ClientSession, listener: Listener) -> None:
        now, outbox = time.time(), self._store.outbox
        # What is being sent is still due: here it keeps the next one waiting, below it takes no other's place.
        for message in outbox.next_in_turn(now):
            self._start(session, listener, message)
        for message in outbox.due(now, limit=2 * AT_ONCE):
            self._start(session, listener, message)

    def _start(self, session: aiohttp.ClientSession, listener: Listener, message: Message) -> None:
        if message.id not in self._sending and len(self._sending) < AT_ONCE:
            self._sending[message.id] = asyncio.create_task(self._send(session, listener, message))

    async def _send(self, session: aiohttp.ClientSession, listener: Listener, message: Message) -> None:
        try:
            taken = await _post(session, listener, message.body.encode())
            with self._store.transaction():
                if taken:
                    self._store.outbox.sent(message, time.time())
                else:
                    self._store.outbox.failed(message, time.time())
            self._wake.set()
        except Exception:
            logger.exception("event %s can't be sent", message.id)
        finally:
            del self._sending[message.id]


async def _post(session: aiohttp.ClientSession, listener: Listener, body: bytes) -> bool:
    headers = {
        "Content-Type": "application/json",
        "Sandbox-Signature": listener.signature(body, int(time.time())),
    }
    try:
        # A redirect would carry the event to somebody whom nobody has named.
        async with session.post(listener.url, data=body, headers=headers, allow_redirects=False) as reply:
            return reply.status // 100 == 2
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
