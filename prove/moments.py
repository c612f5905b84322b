"""Strikes at an exact moment of a conversation, seen from outside: when certain bytes pass a link, and not before.

What can be seen, as found by looking (`prove.points` builds on it; a point that nobody reaches fails the campaign):

PostgreSQL: every statement is prepared once for a connection; later uses send its name and its parameters, each as
four bytes of length and, for text, the text itself. A whole Bind, Execute and Sync is one write. A claim and the
recording of a payment are one statement each, without BEGIN and COMMIT: they are committed when ReadyForQuery comes
back. Refunds are transactions, with BEGIN; and COMMIT; as simple queries.

The processor: HTTP/1.1, head and body of a request in one segment, the operation's key in `Idempotency-Key`; the reply
repeats key and payment, in one segment too.

Temporal: HTTP/2 with many calls on one connection. Each message that is not tiny is compressed with gzip by itself, so
it is opened here. Then ids and payloads (JSON) are in plain sight: a start in what the API sends; in what a worker
gets, the tasks; in what it sends, the results of activities. A task's completion names its workflow in its token. A
message that arrives in several reads is seen only as far as the first goes, which is enough for some kilobytes.
"""

import asyncio
import time
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from prove.connection import Connection, Direction
from prove.links import Link

_GZIP: Final = b"\x1f\x8b\x08"
_ANY_HEADER: Final = 31
"""zlib's word for gzip."""

Target = Literal["worker", "api", "postgres"]
Fate: TypeAlias = Callable[[Connection, Direction, bytes], bytes | None]
"""What becomes of the bytes in which the last thing was seen: what goes on in their place, None for nothing."""
Strike: TypeAlias = Callable[[Link], Awaitable[None]]
"""What is done at the moment, told where it was. Nothing of the connection goes on until it returns."""


def forward(_connection: Connection, _direction: Direction, data: bytes) -> bytes | None:
    """They go on."""
    return data


def reset(connection: Connection, _direction: Direction, _data: bytes) -> bytes | None:
    """They never arrive: the connection is reset at both ends."""
    connection.reset()


def swallow(connection: Connection, direction: Direction, _data: bytes) -> bytes | None:
    """They never arrive, nor does anything after them in this direction. The connection stays."""
    connection.swallow(direction)


def answer(reply: bytes) -> Fate:
    """They never arrive: the client gets this instead, and the end of the connection."""

    def answered(connection: Connection, _direction: Direction, _data: bytes) -> bytes | None:
        connection.answer(reply)

    return answered


class NotWhole(Exception):
    """The message can't be changed any more; it goes on as it was."""


def edit(old: bytes, new: bytes) -> Fate:
    """They go on with other words of the same length."""
    if len(old) != len(new):
        raise ValueError("other words of the same length, or the message is not whole any more")

    def edited(_connection: Connection, _direction: Direction, data: bytes) -> bytes | None:
        if old not in data:
            raise NotWhole("the words came in two pieces, one of which has gone on")
        return data.replace(old, new)

    return edited


@dataclass(frozen=True)
class Sight:
    """Something to be seen on the links between `who` and `server`, all of them (`worker-1/postgres`, ...)."""

    who: str
    server: str
    direction: Direction
    pattern: bytes
    same: bool = False
    """On the connection where the last thing was seen."""

    def may_be_on(self, link: Link) -> bool:
        who, _, server = link.name.partition("/")
        return server == self.server and (who == self.who or who.startswith(f"{self.who}-"))


@dataclass(frozen=True)
class Point:
    """A moment by name, as data: what is seen one after the other, and what happens at the last of it."""

    name: str
    covers: tuple[str, ...]
    """Ids of the fault matrix."""
    what: str
    sights: tuple[Sight, ...]
    target: Target | None = None
    """Whom the caller's strike is meant for."""
    gently: bool = False
    """It is told to stop and not killed. The strike must not wait for its end, which may need this connection."""
    fate: Fate = reset
    after: bool = False
    """The bytes have gone on when the strike comes; `fate` is not used then."""


class Moment:
    """A point that is waited for. Costs something only while it is armed, and then only on links of its sights."""

    def __init__(self, point: Point, links: Iterable[Link], strike: Strike | None = None) -> None:
        self.point = point
        self.links = [link for link in links if any(sight.may_be_on(link) for sight in point.sights)]
        self.reached = asyncio.Event()
        self.at: float | None = None
        """When it was reached, in Unix time."""
        self.seen_on: Link | None = None
        self._strike = strike
        self._over = asyncio.Event()
        self._error: Exception | None = None
        self._next = 0
        self._last: Connection | None = None
        self._tails: dict[tuple[Connection, Direction], bytes] = {}
        self._tail_length = max(len(sight.pattern) for sight in point.sights) - 1

    def arm(self) -> None:
        for link in self.links:
            link.add_watch(self)

    def disarm(self) -> None:
        """If it has not been reached, it never will be."""
        for link in self.links:
            link.remove_watch(self)
        self._tails.clear()
        self._last = None

    async def wait(self, seconds: float) -> bool:
        """Whether it is reached within this time, and then its strike done; disarmed in any case."""
        try:
            async with asyncio.timeout(seconds):
                await self.reached.wait()
        except TimeoutError:
            pass
        finally:
            self.disarm()
        if not self.reached.is_set():
            return False
        await self._over.wait()
        if self._error is not None:
            raise self._error
        return True

    # What the links ask and tell.

    def sees(self, link: Link, connection: Connection, direction: Direction, data: bytes) -> bool:
        """See `Watch.sees`."""
        if self.reached.is_set():
            return False
        here = (connection, direction)
        raw = self._tails.get(here, b"") + data
        text, start, steps = raw + opened(data), 0, self.point.sights
        # From where it stands, or from its beginning: what was begun on a connection may have died with it.
        while (found := self._find(link, connection, direction, text, start)) is not None:
            start, self._next, self._last = found[0], found[1] + 1, connection
            if self._next == len(steps):
                self.seen_on, self.at = link, time.time()
                self.reached.set()
                self.disarm()
                return True
        self._tails[here] = raw[max(start, len(raw) - self._tail_length) :]
        return False

    async def act(self, connection: Connection, direction: Direction, data: bytes) -> bytes | None:
        """See `Watch.act`."""
        passed: bytes | None = data
        try:
            if self.point.after:
                connection.forward(direction, data)
                passed = None
            if self._strike is not None and self.seen_on is not None:
                await self._strike(self.seen_on)
            if not self.point.after:
                passed = self.point.fate(connection, direction, data)
        except Exception as error:  # for whoever waits for the moment
            self._error = error
        finally:
            self._over.set()
        return passed

    def _find(
        self, link: Link, connection: Connection, direction: Direction, text: bytes, start: int
    ) -> tuple[int, int] | None:
        """Where a sight that is due ends, and which it is."""
        for step in sorted({self._next, 0}, reverse=True):
            sight = self.point.sights[step]
            if sight.direction != direction or (sight.same and connection is not self._last):
                continue
            if sight.may_be_on(link) and (at := text.find(sight.pattern, start)) >= 0:
                return at + len(sight.pattern), step
        return None


@asynccontextmanager
async def armed(point: Point, links: Iterable[Link], strike: Strike | None = None) -> AsyncGenerator[Moment]:
    """Armed for as long as the block takes, or until it is reached."""
    moment = Moment(point, links, strike)
    moment.arm()
    try:
        yield moment
    finally:
        moment.disarm()


@lru_cache(maxsize=8)
def opened(data: bytes) -> bytes:
    """What is compressed in these bytes, as far as it goes, one after the other."""
    texts: list[bytes] = []
    at = -1
    while (at := data.find(_GZIP, at + 1)) >= 0:
        try:
            texts.append(zlib.decompressobj(_ANY_HEADER).decompress(data[at:]))
        except zlib.error:
            continue
    return b"".join(texts)
