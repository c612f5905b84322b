"""A TCP proxy between one process and one server, whose connections can be cut, stalled, refused and starved.

Each fault tells what it has met (`Touched`). What is looked for in the bytes is the business of `prove.moments`.
A server that isn't there shows as a connection that is taken and reset at once, not as one that is refused: the
client's side is accepted before the server's can be asked for. Use `refuse` for the latter.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from paysaga.dev.ports import HOST, free_port
from prove.connection import Connection, Direction, Touched

_BACKLOG: Final = 512
_DRIPS_PER_SECOND: Final = 20


class Watch(Protocol):
    """Looks at all bytes of a link while it is among the link's watches."""

    def sees(self, link: "Link", connection: Connection, direction: Direction, data: bytes) -> bool:
        """Whether this is what it has waited for. If so the connection is held until `act` has returned."""
        ...

    async def act(self, connection: Connection, direction: Direction, data: bytes) -> bytes | None:
        """What is to be passed on in place of the data; None for nothing."""
        ...


class Link:
    """Listens on a free port of the loopback and passes everything on to `target_port`.

    Its name says whose it is and where it leads: `worker-1/postgres`."""

    def __init__(self, name: str, target_port: int) -> None:
        self.name = name
        self.target_port = target_port
        self.port = 0
        self.accepted = 0
        """Connections since it was opened."""
        self._connections: set[Connection] = set()
        self._watches: list[Watch] = []
        self._acting: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        # Keeps the port ours while nobody listens on it.
        self._bound: socket.socket | None = None
        self._stall: Touched | None = None
        self._drop: Touched | None = None
        self._drip: Touched | None = None

    @property
    def connections(self) -> int:
        return len(self._connections)

    @property
    def used_at(self) -> float:
        """When one of its connections had bytes last, by the monotonic clock; 0 without connections."""
        return max((connection.used_at for connection in self._connections), default=0.0)

    async def open(self) -> None:
        self.port = free_port()
        self._bound = _bind(self.port)
        await self.admit()

    async def close(self) -> None:
        """Every connection is reset; returns when nothing of them is left."""
        self._close_listener()
        if self._bound is not None:
            self._bound.close()
            self._bound = None
        for task in self._acting:
            task.cancel()
        while self._connections or self._acting:
            self.cut()
            await asyncio.sleep(0)

    # Faults.

    def cut(self) -> int:
        """Reset every connection there is; new ones work at once. Returns how many there were."""
        cut = list(self._connections)
        for connection in cut:
            connection.reset()
        return len(cut)

    def refuse(self) -> int:
        """Cut all connections and let the system refuse new ones. Returns how many were cut; those that are refused
        never come here, so they can't be counted."""
        self._close_listener()
        if self._bound is None:
            self._bound = _bind(self.port)
        return self.cut()

    async def admit(self) -> None:
        """Take connections again, on the same port."""
        bound, self._bound = self._bound, None
        if bound is not None:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self._accept, sock=bound, backlog=_BACKLOG)

    def stall(self) -> Touched:
        """Take bytes of both directions and keep them; connections stay, and new ones are taken."""
        self._stall = self._stall or Touched()
        for connection in self._connections:
            connection.hold("stall", touched=self._stall)
        return self._stall

    def resume(self) -> None:
        """Pass on what was stalled, in its order."""
        self._stall = None
        for connection in list(self._connections):
            connection.release("stall")

    def drop_replies(self) -> Touched:
        """Pass requests on and swallow what comes back."""
        self._drop = self._drop or Touched()
        self._look_closer()
        return self._drop

    def end_dropping(self) -> None:
        """Let replies pass again. Connections which miss some are reset."""
        dropped, self._drop = self._drop, None
        self._look_closer()
        for connection in self._connections & (dropped.who if dropped else set()):
            connection.reset()

    @asynccontextmanager
    async def refused(self) -> AsyncGenerator[Touched]:
        """`refuse` for as long as the block takes."""
        touched = Touched()
        for connection in self._connections:
            touched.count(connection)
        self.refuse()
        try:
            yield touched
        finally:
            await self.admit()

    @asynccontextmanager
    async def stalled(self) -> AsyncGenerator[Touched]:
        """`stall` for as long as the block takes."""
        try:
            yield self.stall()
        finally:
            self.resume()

    @asynccontextmanager
    async def dropping_replies(self) -> AsyncGenerator[Touched]:
        """`drop_replies` for as long as the block takes."""
        try:
            yield self.drop_replies()
        finally:
            self.end_dropping()

    @asynccontextmanager
    async def dripping(self, bytes_per_second: int) -> AsyncGenerator[Touched]:
        """Replies come in at this rate on each connection for as long as the block takes, the rest at its end."""
        touched = self._drip = Touched()
        for connection in self._connections:
            connection.hold("drip", "down", touched=touched)
        drops = asyncio.create_task(self._let_drip(max(1, bytes_per_second // _DRIPS_PER_SECOND)))
        try:
            yield touched
        finally:
            self._drip = None
            drops.cancel()
            for connection in list(self._connections):
                connection.release("drip")

    async def _let_drip(self, size: int) -> None:
        while True:
            await asyncio.sleep(1 / _DRIPS_PER_SECOND)
            for connection in self._connections:
                replies = connection.server
                if replies.kept and len(replies.holds) == 1:
                    connection.forward("down", replies.take_back(size))
                    replies.pace()

    # What looks at the bytes.

    def add_watch(self, watch: Watch) -> None:
        self._watches.append(watch)
        self._look_closer()

    def remove_watch(self, watch: Watch) -> None:
        if watch in self._watches:
            self._watches.remove(watch)
            self._look_closer()

    def _look_closer(self) -> None:
        for connection in self._connections:
            connection.watch(self._is_watched)

    @property
    def _is_watched(self) -> bool:
        return bool(self._watches) or self._drop is not None

    def _lets(self, connection: Connection, direction: Direction, data: bytes) -> bool:
        """Whether these bytes go on now."""
        if direction == "down" and self._drop is not None:
            self._drop.count(connection, len(data))
            return False
        met = [watch for watch in list(self._watches) if watch.sees(self, connection, direction, data)]
        if met:
            connection.hold("moment")
            task = asyncio.create_task(_meet(met, connection, direction, data))
            self._acting.add(task)
            task.add_done_callback(self._acting.discard)
        return not met

    # Connections.

    def _accept(self) -> asyncio.Protocol:
        connection = Connection(self._lets, self._connections.discard)
        self._connections.add(connection)
        self.accepted += 1
        connection.watch(self._is_watched)
        if self._stall is not None:
            connection.hold("stall", touched=self._stall)
        if self._drip is not None:
            connection.hold("drip", "down", touched=self._drip)
        connection.connect(self.target_port)
        return connection.client

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


async def _meet(met: list[Watch], connection: Connection, direction: Direction, data: bytes) -> None:
    """Nothing else of this connection goes on meanwhile."""
    try:
        passed: bytes | None = data
        for watch in met:
            if passed is not None:
                passed = await watch.act(connection, direction, passed)
        if passed is not None:
            connection.forward(direction, passed)
    finally:
        connection.release("moment")


def _bind(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    bound.setblocking(False)
    return bound
