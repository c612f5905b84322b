"""Notices when the machine's disk stands still: nothing that is measured meanwhile says anything of a system."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# How long, in microseconds since the start, no process of the machine could go on for waiting for a disk
# (https://docs.kernel.org/accounting/psi.html).
_PRESSURE: Final = Path("/proc/pressure/io")
_INTERVAL_SECONDS: Final = 0.25
# Ordinary commits wait for milliseconds at a time. Where a shared disk stands still, it does for seconds.
_STANDSTILL: Final = 0.9


@dataclass
class Stalled:
    """Seconds for which the disk stood still; zero also where the kernel doesn't tell."""

    seconds: float = 0.0


@asynccontextmanager
async def watching() -> AsyncGenerator[Stalled]:
    """Counts until it is left."""
    stalled = Stalled()
    watch = asyncio.create_task(_watch(stalled))
    try:
        yield stalled
    finally:
        watch.cancel()
        await asyncio.wait({watch})


async def _watch(stalled: Stalled) -> None:
    waited, at = _waited_seconds(), time.monotonic()
    while waited is not None:
        await asyncio.sleep(_INTERVAL_SECONDS)
        waited_before, before = waited, at
        waited, at = _waited_seconds(), time.monotonic()
        if waited is not None and waited - waited_before > _STANDSTILL * (at - before):
            stalled.seconds += at - before


def _waited_seconds() -> float | None:
    try:
        full = next(line for line in _PRESSURE.read_text().splitlines() if line.startswith("full"))
    except (OSError, StopIteration):
        return None
    return int(full.rpartition("total=")[2]) / 1e6
