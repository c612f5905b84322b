"""One TCP connection through a link: two ends, each handing what it receives to the other."""

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, cast

from paysaga.dev.ports import HOST

Direction = Literal["up", "down"]
"""Up: from the one who connects. Down: back to them."""

# What is kept of one direction while it is held up; the rest waits at the sender, as with a network that stands still.
KEPT_MAX: Final = 256 * 1024
# Closing then sends a reset at once, whatever wasn't sent or read.
_LINGER_NOT: Final = struct.pack("ii", 1, 0)


@dataclass
class Touched:
    """What a fault has really met while it lasted: armed is not fired."""

    connections: int = 0
    bytes: int = 0
    who: "set[Connection]" = field(default_factory=set["Connection"], repr=False)

    @property
    def fired(self) -> bool:
        return self.connections > 0

    def count(self, connection: "Connection", size: int = 0) -> None:
        self.who.add(connection)
        self.connections = len(self.who)
        self.bytes += size


Lets: TypeAlias = "Callable[[Connection, Direction, bytes], bool]"
"""Whether these bytes go on now."""


class End(asyncio.Protocol):
    """One side of a connection. `other` is the side that gets what this one receives."""

    other: "End"

    def __init__(self, connection: "Connection", direction: Direction) -> None:
        self.connection = connection
        self.direction: Direction = direction
        self.transport: asyncio.Transport | None = None
        # Why what it receives is kept and not passed on, each with what counts it.
        self.holds: dict[str, Touched | None] = {}
        self.kept: deque[bytes] = deque()
        self.kept_bytes = 0
        self.lost = self._over = self._broken = self._ended = self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.connection.is_reset:
            self.abort()

    def data_received(self, data: bytes) -> None:
        self.connection.used_at = time.monotonic()
        if self.connection.plain:
            self.other.write(data)
        else:
            self.connection.take(self, data)

    def eof_received(self) -> bool:
        self._over = True
        self.flush()
        return True  # the other direction goes on

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self._over = True
        self._broken = exc is not None
        self.flush()
        self.connection.ended()

    def pause_writing(self) -> None:
        self._full = True
        self.other.pace()

    def resume_writing(self) -> None:
        self._full = False
        self.other.pace()

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self._ended and not self.transport.is_closing():
            self.transport.write(data)

    def keep(self, data: bytes) -> None:
        self.kept.append(data)
        self.kept_bytes += len(data)
        for touched in self.holds.values():
            if touched is not None:
                touched.count(self.connection, len(data))
        self.pace()

    def take_back(self, most: int | None = None) -> bytes:
        """The first piece that is kept, or so many bytes of it."""
        data = self.kept.popleft()
        if most is not None and len(data) > most:
            self.kept.appendleft(data[most:])
            data = data[:most]
        self.kept_bytes -= len(data)
        return data

    def flush(self) -> None:
        """Pass on what is kept and may go, and then that nothing more comes."""
        while self.kept and not self.holds:
            self.connection.take(self, self.take_back())
        self.pace()
        if self._over and not self.kept and not self.holds:
            if self._broken:
                self.other.abort()
            elif self.lost:
                self.other.close()
            else:
                self.other.end()

    def pace(self) -> None:
        """Read no faster than the other side takes it."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.other._full or self.kept_bytes > KEPT_MAX:
            self.transport.pause_reading()
        elif not self._over:
            self.transport.resume_reading()

    def end(self) -> None:
        """Nothing more is written to it; closed when nothing more comes from it either."""
        if self.transport is None or self._ended or self.transport.is_closing():
            return
        self._ended = True
        if self._over and not self.kept:
            self.transport.close()
            self.other.close()
        else:
            self.transport.write_eof()

    def close(self) -> None:
        """After what is written has been sent."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Reset it."""
        if self.transport is None:
            self.lost = True
            return
        if not self.transport.is_closing():
            sock = cast("socket.socket", self.transport.get_extra_info("socket"))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.transport.abort()


class Connection:
    """Both ends. `plain` while it needs no second look, which is nearly always."""

    def __init__(self, lets: "Lets", gone: "Callable[[Connection], None]") -> None:
        self.client, self.server = End(self, "up"), End(self, "down")
        self.client.other, self.server.other = self.server, self.client
        self.ends: Final = {"up": self.client, "down": self.server}
        self.plain = self.is_reset = False
        self.used_at = 0.0
        """When bytes came last, by the monotonic clock."""
        self._watched = False
        self._swallowed: set[Direction] = set()
        self._lets = lets
        self._gone = gone
        self._connecting: asyncio.Task[None] | None = None

    def connect(self, port: int) -> None:
        """What the client sends is kept until the server has taken the connection."""
        self.hold("connecting")
        self._connecting = asyncio.create_task(self._connect(port))

    async def _connect(self, port: int) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.server, HOST, port)
        except OSError:
            self.reset()
        else:
            self.release("connecting")

    def take(self, end: End, data: bytes) -> None:
        if end.direction in self._swallowed:
            return
        if end.holds:
            end.keep(data)
        elif self._lets(self, end.direction, data):
            end.other.write(data)

    def watch(self, watched: bool) -> None:
        """Whether the link wants to see what goes through."""
        self._watched = watched
        self._look()

    def hold(self, why: str, *directions: Direction, touched: Touched | None = None) -> None:
        """Keep what comes, in both directions unless said otherwise."""
        for direction in directions or ("up", "down"):
            self.ends[direction].holds[why] = touched
        self._look()

    def release(self, why: str) -> None:
        """Pass on what was kept for this reason, in its order."""
        for end in self.ends.values():
            if why in end.holds:
                del end.holds[why]
                end.flush()
        self._look()

    def forward(self, direction: Direction, data: bytes) -> None:
        """Ahead of what is kept."""
        self.ends[direction].other.write(data)

    def swallow(self, direction: Direction) -> None:
        """From now on nothing arrives in this direction."""
        self._swallowed.add(direction)
        self._look()

    def answer(self, data: bytes) -> None:
        """Say this to the client in the server's place, and close."""
        self.client.write(data)
        self.is_reset = True
        self.client.close()
        self.server.abort()

    def reset(self) -> None:
        """Both ends, at once."""
        self.is_reset = True
        if self._connecting is not None and self.server.transport is None:
            self._connecting.cancel()
        for end in self.ends.values():
            end.holds.clear()
            end.kept.clear()
            end.kept_bytes = 0
            end.abort()
        self.ended()

    def ended(self) -> None:
        if self.client.lost and self.server.lost:
            self._gone(self)

    def _look(self) -> None:
        held = self.client.holds or self.server.holds
        self.plain = not (held or self._watched or self._swallowed)
