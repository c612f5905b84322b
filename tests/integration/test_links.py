"""The proxy of the campaign: it changes nothing while it is left alone, and each fault tells what it has met."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from ledger.connections import STATEMENT_TIMEOUT_SECONDS
from paysaga.dev.ports import HOST
from prove.links import Link
from tests.harness import Servers

# More than all the buffers between two ends take.
MUCH = b"0123456789abcdef" * 2**20
# Long enough for whatever would pass to have passed.
MOMENT = 0.1


class Echo:
    """Answers each connection with its own bytes, and remembers how many came."""

    def __init__(self) -> None:
        self.received = 0
        self.open = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while data := await reader.read(2**16):
                self.received += len(data)
                writer.write(data)
                await writer.drain()
            # What was left when the other side said that it has no more.
            writer.write(b".")
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest_asyncio.fixture
async def echo() -> AsyncGenerator[tuple[Link, Echo]]:
    echo = Echo()
    server = await asyncio.start_server(echo, HOST, 0)
    link = Link("echo", server.sockets[0].getsockname()[1])
    await link.open()
    yield link, echo
    await link.close()
    assert link.connections == 0
    server.close()


@asynccontextmanager
async def connected(link: Link) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, link.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> bytes:
    writer.write(text)
    async with asyncio.timeout(5):
        return await reader.readexactly(len(text))


async def assert_silent(reader: asyncio.StreamReader) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(MOMENT):
            await reader.read(1)


async def until_none_is_left(link: Link) -> None:
    async with asyncio.timeout(5):
        while link.connections:
            await asyncio.sleep(0.01)


async def test_bytes_pass_both_ways_and_an_end_of_one_direction_leaves_the_other(echo: tuple[Link, Echo]) -> None:
    link, _ = echo
    async with connected(link) as (reader, writer):
        assert await said(reader, writer, b"hello") == b"hello"
        writer.write_eof()
        assert await reader.read() == b"."
    await until_none_is_left(link)


async def test_who_reads_nothing_is_not_read_for_and_loses_nothing(echo: tuple[Link, Echo]) -> None:
    link, server = echo
    async with connected(link) as (reader, writer):
        writing = asyncio.create_task(_write(writer, MUCH))
        before = -1
        while before < server.received < len(MUCH):
            before = server.received
            await asyncio.sleep(MOMENT)
        assert server.received < len(MUCH), "somebody keeps what nobody reads"
        assert await reader.readexactly(len(MUCH)) == MUCH
        await writing


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    for at in range(0, len(data), 2**16):
        writer.write(data[at : at + 2**16])
        await writer.drain()


async def test_server_that_is_not_there_is_a_reset_and_leaves_nothing_behind() -> None:
    link = Link("nobody", 1)
    await link.open()
    async with connected(link) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read()
    await until_none_is_left(link)
    await link.close()


async def test_cut_resets_every_connection_and_new_ones_work_at_once(echo: tuple[Link, Echo]) -> None:
    link, server = echo
    async with connected(link) as first, connected(link) as second:
        for reader, writer in (first, second):
            await said(reader, writer, b"hello")
        assert link.cut() == 2
        for reader, _ in (first, second):
            with pytest.raises(ConnectionResetError):
                await reader.read()
        async with connected(link) as third:
            assert await said(*third, b"hello") == b"hello"
            assert (link.connections, server.open) == (1, 1)


async def test_link_knows_when_it_was_used_last(echo: tuple[Link, Echo]) -> None:
    link, _ = echo
    async with connected(link) as idle:
        assert link.used_at == 0
        before = time.monotonic()
        async with connected(link) as (reader, writer):
            await said(reader, writer, b"hello")
            assert before <= link.used_at <= time.monotonic()
        assert await said(*idle, b"hello") == b"hello"


async def test_refused_is_refused_by_the_system_and_admitted_on_the_same_port(echo: tuple[Link, Echo]) -> None:
    link, _ = echo
    async with connected(link) as (reader, writer):
        await said(reader, writer, b"hello")
        async with link.refused() as touched:
            assert touched.connections == 1
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(HOST, link.port)
            with pytest.raises(ConnectionResetError):
                await reader.read()
    async with connected(link) as again:
        assert await said(*again, b"hello") == b"hello"


async def test_stalled_bytes_come_later_and_in_their_order(echo: tuple[Link, Echo]) -> None:
    link, server = echo
    async with connected(link) as first, connected(link) as idle:
        await said(*first, b"hello")
        await said(*idle, b"hello")
        received = server.received
        async with link.stalled() as touched:
            assert not touched.fired
            async with connected(link) as (reader, writer):
                for text in (b"one ", b"two ", b"three"):
                    first[1].write(text)
                    await asyncio.sleep(0.01)
                writer.write(b"new")
                await asyncio.gather(assert_silent(first[0]), assert_silent(reader))
                assert server.received == received
                assert (touched.connections, touched.bytes) == (2, len(b"one two three" + b"new"))
                link.resume()
                assert await reader.readexactly(3) == b"new"
        assert await first[0].readexactly(13) == b"one two three"


async def test_stalled_connection_of_one_who_has_gone_ends_when_the_stall_does(echo: tuple[Link, Echo]) -> None:
    link, server = echo
    async with link.stalled():
        async with connected(link) as (_, writer):
            writer.write(b"last words")
        await asyncio.sleep(MOMENT)
        assert link.connections == 1
    await until_none_is_left(link)
    assert server.received == len(b"last words")


async def test_much_that_is_stalled_waits_where_it_comes_from(echo: tuple[Link, Echo]) -> None:
    link, _ = echo
    async with connected(link) as (reader, writer):
        await said(reader, writer, b"hello")
        async with link.stalled() as touched:
            writing = asyncio.create_task(_write(writer, MUCH))
            await asyncio.sleep(MOMENT)
            assert 0 < touched.bytes < 2**20
        assert await reader.readexactly(len(MUCH)) == MUCH
        await writing


async def test_dropped_replies_are_counted_and_their_connections_reset_at_the_end(echo: tuple[Link, Echo]) -> None:
    link, server = echo
    async with connected(link) as asking, connected(link) as idle:
        await said(*idle, b"hello")
        received = server.received
        async with link.dropping_replies() as touched:
            asking[1].write(b"hello")
            await assert_silent(asking[0])
            assert (touched.connections, touched.bytes) == (1, 5)
            assert server.received == received + 5
        with pytest.raises(ConnectionResetError):
            await asking[0].read()
        assert await said(*idle, b"hello") == b"hello"


async def test_dripping_replies_come_slowly_and_the_rest_when_it_ends(echo: tuple[Link, Echo]) -> None:
    link, _ = echo
    async with connected(link) as (reader, writer):
        await said(reader, writer, b"hello")
        async with link.dripping(100) as touched:
            writer.write(b"x" * 1000)
            began = asyncio.get_running_loop().time()
            await reader.readexactly(20)
            assert asyncio.get_running_loop().time() - began > 0.1
            assert (touched.connections, touched.bytes) == (1, 1000)
        await reader.readexactly(980)


async def test_postgres_and_http_work_through_links_and_see_their_faults_as_such(servers: Servers) -> None:
    assert servers.postgres.port is not None
    assert servers.sandbox.port is not None
    database, processor = Link("database", servers.postgres.port), Link("processor", servers.sandbox.port)
    await database.open()
    await processor.open()
    dsn = servers.postgres.dsn.replace(str(servers.postgres.port), str(database.port))
    connection = await asyncpg.connect(dsn, command_timeout=STATEMENT_TIMEOUT_SECONDS)
    assert await connection.fetchval("SELECT length($1::text)", "x" * 2**20) == 2**20
    async with httpx2.AsyncClient(base_url=f"http://{HOST}:{processor.port}") as http:
        assert (await http.get("/livez")).status_code == 200
        async with processor.dropping_replies() as touched:
            with pytest.raises(httpx2.ReadTimeout):
                await http.get("/livez", timeout=MOMENT)
        assert touched.fired
        async with processor.refused():
            with pytest.raises(httpx2.ConnectError):
                await http.get("/livez")
        assert (await http.get("/livez")).status_code == 200
    assert database.cut() == 1
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await connection.fetchval("SELECT 1")
    await database.close()
    await processor.close()
