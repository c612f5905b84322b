"""What is measured while the campaign goes on: memory of every process; afterwards: throughput and recovery."""

import asyncio
import os
from bisect import bisect_right
from collections import Counter
from typing import Final

import psutil

from prove.result import Recovery, Sample
from prove.stack import Stack
from prove.tally import Tally

SAMPLE_SECONDS: Final = 2.0


async def sample_memory(stack: Stack, tally: Tally, samples: list[Sample]) -> None:
    """Until cancelled: the resident memory of every process of the stack and of ourselves, in bytes."""
    while True:
        for name, node in list(stack.nodes.items()):
            if node.server.running:
                pid = node.server.pid
                samples.append(Sample(name, pid, tally.now(), await asyncio.to_thread(_resident, pid)))
        samples.append(Sample("prove", os.getpid(), tally.now(), _resident(os.getpid())))
        await asyncio.sleep(SAMPLE_SECONDS)


def _resident(pid: int) -> int:
    """Of PostgreSQL also its backends, what they share counted once."""
    try:
        process = psutil.Process(pid)
        family = process.children(recursive=True) if pid != os.getpid() else []
        shared = [member.memory_info().rss - getattr(member.memory_info(), "shared", 0) for member in family]
        return process.memory_info().rss + sum(shared)
    except psutil.Error:
        return 0


def decided_each_second(decided: list[tuple[float, float]], began: float) -> tuple[int, ...]:
    """How many payments were decided in each second of the campaign."""
    counts = Counter(int(at - began) for _, at in decided)
    return tuple(counts[second] for second in range(max(counts, default=-1) + 1))


def recoveries(deaths: list[tuple[float, str]], decided: list[tuple[float, float]], began: float) -> list[Recovery]:
    """From each death to the first payment that was asked for after it and decided."""
    by_asked = sorted(decided)
    found: list[Recovery] = []
    # The earliest end of those that were asked for at this place or later.
    earliest: list[float] = []
    for _, at in reversed(by_asked):
        earliest.append(min(at, earliest[-1]) if earliest else at)
    earliest.reverse()
    for died_at, name in deaths:
        place = bisect_right(by_asked, (died_at, float("inf")))
        if place < len(by_asked):
            found.append(Recovery(name.partition("-")[0], died_at - began, earliest[place] - died_at))
    return found
