"""Moments on a link: what is seen, and what becomes of the bytes in which it was seen."""

import asyncio
import gzip
import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from paysaga.dev.ports import HOST
from prove.links import Link
from prove.moments import Fate, Moment, NotWhole, Point, Sight, Strike, answer, armed, edit, forward, reset, swallow

# Long enough for whatever would pass to have passed.
A_WHILE = 0.1
SECONDS = 5


@dataclass
class Server:
    """Remembers everything that it is sent, and says each line in capitals."""

    link: Link
    received: bytearray = field(default_factory=bytearray)
    clients: "list[Client]" = field(default_factory=list["Client"])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(2**16):
                self.received += data
                writer.write(data.upper())
                await writer.drain()
        writer.close()


class Client:
    """One connection through the link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def say(self, *texts: bytes) -> None:
        """Each in a write of its own."""
        for text in texts:
            self._writer.write(text)
            await asyncio.sleep(0.02)

    async def hears(self, text: bytes) -> bool:
        async with asyncio.timeout(SECONDS):
            return await self._reader.readexactly(len(text)) == text

    async def all_it_hears(self) -> bytes:
        async with asyncio.timeout(SECONDS):
            return await self._reader.read()

    async def hears_nothing(self) -> bool:
        try:
            async with asyncio.timeout(A_WHILE):
                return not await self._reader.read(1)
        except TimeoutError:
            return True

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


@pytest_asyncio.fixture
async def server() -> AsyncGenerator[Server]:
    """Behind a link between `worker-1` and `shouter`."""
    shouter = Server(Link("worker-1/shouter", 0))
    listening = await asyncio.start_server(shouter.serve, HOST, 0)
    shouter.link.target_port = listening.sockets[0].getsockname()[1]
    await shouter.link.open()
    yield shouter
    for client in shouter.clients:
        await client.close()
    await shouter.link.close()
    assert shouter.link.connections == 0
    listening.close()


async def client_of(server: Server) -> Client:
    client = Client(*await asyncio.open_connection(HOST, server.link.port))
    server.clients.append(client)
    return client


def a_point(*sights: Sight, fate: Fate = reset, after: bool = False) -> Point:
    return Point("point", (), "something is seen", sights, "worker", fate=fate, after=after)


def up(pattern: bytes, *, same: bool = False) -> Sight:
    return Sight("worker", "shouter", "up", pattern, same=same)


def down(pattern: bytes, *, same: bool = True) -> Sight:
    return Sight("worker", "shouter", "down", pattern, same=same)


def watched(server: Server, point: Point, strike: Strike | None = None) -> Moment:
    moment = Moment(point, [server.link], strike)
    moment.arm()
    return moment


async def test_bytes_in_which_it_was_seen_never_arrive_and_nothing_goes_on_before_the_strike_is_over(
    server: Server,
) -> None:
    going_on = asyncio.Event()

    async def strike(link: Link) -> None:
        assert link is server.link
        await going_on.wait()

    moment, client = watched(server, a_point(up(b"secret")), strike), await client_of(server)
    await client.say(b"one ")
    assert await client.hears(b"ONE ")
    await client.say(b"a secret", b" and more")
    assert moment.reached.is_set()
    assert await client.hears_nothing()
    going_on.set()
    assert await moment.wait(SECONDS)
    with pytest.raises(ConnectionResetError):
        await client.all_it_hears()
    assert server.received == b"one "


async def test_what_is_to_happen_afterwards_happens_when_the_bytes_have_arrived(server: Server) -> None:
    arrived: list[bytes] = []

    async def strike(_: Link) -> None:
        await asyncio.sleep(A_WHILE)
        arrived.append(bytes(server.received))

    moment, client = watched(server, a_point(up(b"secret"), after=True), strike), await client_of(server)
    await client.say(b"secret")
    assert await moment.wait(SECONDS)
    assert arrived == [b"secret"]
    # Its answer was kept until the strike was over.
    assert await client.hears(b"SECRET")


@pytest.mark.parametrize("at", range(1, 6))
async def test_what_arrives_in_two_reads_is_seen(server: Server, at: int) -> None:
    moment, client = watched(server, a_point(up(b"secret"))), await client_of(server)
    await client.say(b"a " + b"secret"[:at], b"secret"[at:] + b" b")
    assert await moment.wait(SECONDS)
    assert bytes(server.received) == b"a " + b"secret"[:at]


async def test_sights_are_seen_in_their_order_and_on_the_same_connection_where_that_is_asked(server: Server) -> None:
    moment = watched(server, a_point(up(b"begin"), up(b"end", same=True), down(b"END"), fate=forward))
    first, second = await client_of(server), await client_of(server)
    await first.say(b"end ", b"begin ")
    await second.say(b"end ")
    await asyncio.sleep(A_WHILE)
    assert not moment.reached.is_set()
    await first.say(b"end ")
    assert await moment.wait(SECONDS)
    assert await first.hears(b"END BEGIN END ")


async def test_conversation_that_broke_off_is_begun_anew_elsewhere(server: Server) -> None:
    moment = watched(server, a_point(up(b"begin"), down(b"END"), fate=forward))
    first = await client_of(server)
    await first.say(b"begin")
    await first.close()
    second = await client_of(server)
    await second.say(b"begin end")
    assert await moment.wait(SECONDS)


async def test_one_read_may_hold_several_sights(server: Server) -> None:
    moment, client = watched(server, a_point(up(b"begin"), up(b"end", same=True))), await client_of(server)
    await client.say(b"begin and end")
    assert await moment.wait(SECONDS)
    assert not server.received


async def test_moment_that_does_not_come_is_disarmed_and_has_not_fired(server: Server) -> None:
    moment, client = watched(server, a_point(up(b"secret"))), await client_of(server)
    assert not await moment.wait(A_WHILE)
    await client.say(b"secret")
    assert await client.hears(b"SECRET")
    assert moment.at is None


async def test_strike_that_fails_is_told_to_who_waits(server: Server) -> None:
    async def strike(_: Link) -> None:
        raise ProcessLookupError("nobody there")

    moment, client = watched(server, a_point(up(b"secret")), strike), await client_of(server)
    await client.say(b"secret")
    with pytest.raises(ProcessLookupError):
        await moment.wait(SECONDS)


async def test_swallowed_reply_leaves_the_connection_and_the_request(server: Server) -> None:
    async with armed(a_point(down(b"SECRET", same=False), fate=swallow), [server.link]) as moment:
        client = await client_of(server)
        await client.say(b"secret")
        assert await moment.wait(SECONDS)
        assert await client.hears_nothing()
    assert server.received == b"secret"
    assert server.link.connections == 1


@pytest.mark.parametrize(("sight", "received"), [(up(b"secret"), b""), (down(b"SECRET", same=False), b"secret")])
async def test_another_answer_comes_in_place_of_the_servers(server: Server, sight: Sight, received: bytes) -> None:
    moment, client = watched(server, a_point(sight, fate=answer(b"no idea"))), await client_of(server)
    await client.say(b"secret")
    assert await moment.wait(SECONDS)
    assert await client.all_it_hears() == b"no idea"
    assert server.received == received


async def test_words_are_replaced_by_others_of_the_same_length(server: Server) -> None:
    moment, client = watched(server, a_point(up(b"euro"), fate=edit(b"euro", b"yuan"))), await client_of(server)
    await client.say(b"5 euro")
    assert await moment.wait(SECONDS)
    assert await client.hears(b"5 YUAN")
    with pytest.raises(ValueError, match="same length"):
        edit(b"euro", b"franc")


async def test_words_in_two_pieces_go_on_as_they_are_and_count_for_nothing(server: Server) -> None:
    moment, client = watched(server, a_point(up(b"euro"), fate=edit(b"euro", b"yuan"))), await client_of(server)
    await client.say(b"5 eu")
    assert await client.hears(b"5 EU")
    await client.say(b"ro")
    with pytest.raises(NotWhole):
        await moment.wait(SECONDS)
    assert await client.hears(b"RO")


async def test_what_is_compressed_is_seen(server: Server) -> None:
    moment, client = watched(server, a_point(up(b"secret"))), await client_of(server)
    await client.say(b"head" + gzip.compress(b"nothing") + b"head" + gzip.compress(b"a secret" * 9)[:-8])
    assert await moment.wait(SECONDS)


async def test_two_moments_in_the_same_bytes_are_both_reached(server: Server) -> None:
    words = re.findall(rb"\w+", b"secret euro")
    moments = [watched(server, a_point(up(word), fate=edit(word, word[::-1]))) for word in words]
    client = await client_of(server)
    await client.say(b"secret euro")
    assert await asyncio.gather(*(moment.wait(SECONDS) for moment in moments)) == [True, True]
    assert await client.hears(b"TERCES ORUE")


async def test_links_of_others_are_not_looked_at(server: Server) -> None:
    other = Link("api/shouter", server.link.target_port)
    assert Moment(a_point(up(b"secret")), [server.link, other]).links == [server.link]
