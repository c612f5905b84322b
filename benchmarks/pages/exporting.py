"""Takes the whole history as a file from a real API, and watches how much memory that takes."""

import asyncio
import time
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.pages.results import Export
from benchmarks.usage import memory_mb
from paysaga.dev.ports import HOST, free_ports
from paysaga.dev.process import clean_environment
from paysaga.dev.services import ApiProcess
from paysaga.dev.temporal import TemporalServer

_API_KEY: Final = "sk_test_benchmark_of_pages"
_LOOK_EVERY_SECONDS: Final = 0.5
_CHUNK_BYTES: Final = 65_536
_HOUR: Final = aiohttp.ClientTimeout(total=3600)


async def export(dsn: str, data: Path) -> Export:
    """Every line as NDJSON, counted and thrown away."""
    api_port, nobody, temporal_port = free_ports(3)
    temporal = TemporalServer(data, temporal_port)
    env = clean_environment(
        PAYSAGA_DATABASE_URL=dsn,
        PAYSAGA_PROCESSOR_URL=f"http://{HOST}:{nobody}",
        PAYSAGA_API_KEY=_API_KEY,
        TEMPORAL_ADDRESS=temporal.address,
    )
    api = ApiProcess(env, api_port, log=data / "api.log")
    try:
        await temporal.start()
        await api.start()
        pids = {"api": api.child.pid}
        before = memory_mb(pids)["api"]
        most, begun = before, time.monotonic()
        reading = asyncio.create_task(_read(api.url))
        while not reading.done():
            await asyncio.wait({reading}, timeout=_LOOK_EVERY_SECONDS)
            most = max(most, memory_mb(pids)["api"])
        seconds = time.monotonic() - begun
        return Export(lines=reading.result(), seconds=seconds, memory_before_mb=before, memory_most_mb=most)
    finally:
        await api.stop()
        await temporal.stop()


async def _read(url: str) -> int:
    headers = {"Authorization": f"Bearer {_API_KEY}", "Accept": "application/x-ndjson"}
    lines = 0
    async with (
        aiohttp.ClientSession(url, headers=headers, timeout=_HOUR, raise_for_status=True) as session,
        session.get("/v1/transactions") as reply,
    ):
        async for chunk in reply.content.iter_chunked(_CHUNK_BYTES):
            lines += chunk.count(b"\n")
    return lines
