"""Measures one system under one load."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from itertools import cycle, islice
from typing import Final

from benchmarks.driving import LoadGenerator
from benchmarks.histories import HistoryCounts, fetch_counts
from benchmarks.jobs import Job, Mismatch, Outcome, Sent
from benchmarks.portions import Portion, combined
from benchmarks.results import Figures
from benchmarks.systems.base import System
from benchmarks.usage import cpu_seconds, memory_mb
from benchmarks.yardstick import yardstick_ms
from paysaga.dev.errors import ProcessFailed

# What a payment costs after its answer (closing the workflow, indexing it, writing back) counts, too: CPU is read so
# long after the last reply. The servers' own idling in this time is in the figures of all systems.
SETTLE_SECONDS: Final = 1.0
_HISTORIES: Final = 10
# Where payments may have to wait for others, how long they do is a result and no failure.
_LONG_PATIENCE_SECONDS: Final = 1800
_RESPOND_ASYNC: Final = {"Prefer": "respond-async"}


class Mismatched(Exception):
    """Payments that were not answered, charged or recorded as they should have been."""

    def __init__(self, mismatches: Sequence[Mismatch]) -> None:
        super().__init__(f"{len(mismatches)} mismatches")
        self.mismatches = mismatches


class Measuring:
    """One system that runs."""

    def __init__(self, system: System, load: LoadGenerator) -> None:
        self._system = system
        self._load = load
        self.sent: list[Sent] = []
        """Every payment until now that must succeed."""
        self.paused: set[str] = set()
        """Processes that are stopped on purpose; any other that has ended fails the run."""

    async def warm_up(self, payments: list[Sent], clients: int) -> None:
        """Connections, caches and lazily imported code are there when the measuring begins."""
        await self.pay(payments, clients)
        await asyncio.sleep(SETTLE_SECONDS)

    async def pay(self, payments: list[Sent], clients: int) -> Outcome:
        """Without reading CPU and memory. Raises `Mismatched` when an answer is wrong."""
        self.sent += payments
        return await self._send(Job(self._url, dict(self._system.headers), clients, payments))

    async def pay_until(self, end: Awaitable[object], payments: list[Sent], clients: int) -> Outcome:
        """As many of them as can be begun before `end`, but at least one of each client. Raises what that raises, or
        `Mismatched`."""
        headers = dict(self._system.headers)
        job = Job(self._url, headers, clients, payments, until_told=True, patience_seconds=_LONG_PATIENCE_SECONDS)
        outcome = await self._send(job, end)
        self.sent += payments[: len(outcome.latencies_ms)]
        return outcome

    async def submit(self, payments: list[Sent], clients: int) -> Outcome:
        """Without waiting for their outcomes, which are the caller's to know. Raises `Mismatched`."""
        headers = dict(self._system.headers) | _RESPOND_ASYNC
        return await self._send(Job(self._url, headers, clients, payments, asynchronous=True))

    async def measure(self, payments: list[Sent], clients: int, duplicates: int) -> Figures:
        """Payments, then so many repetitions of them. Raises `Mismatched` when an answer is wrong."""
        return await self.figures([await self.portion(payments, clients, duplicates)])

    async def portion(self, payments: list[Sent], clients: int, duplicates: int) -> Portion:
        """A part of a measurement. Raises `Mismatched` when an answer is wrong."""
        pids, yardstick = self._system.pids, yardstick_ms()
        before = cpu_seconds(pids)
        first = await self.pay(payments, clients)
        await asyncio.sleep(SETTLE_SECONDS)
        between = cpu_seconds(pids)
        memory = memory_mb(pids)
        repetitions = list(islice(cycle(payments), duplicates))
        again = await self._send(Job(self._url, dict(self._system.headers), clients, repetitions, repeated=True))
        await asyncio.sleep(SETTLE_SECONDS)
        after = cpu_seconds(pids)
        return Portion(
            payments=payments,
            first=first,
            cpu_ms=_milliseconds(before, between),
            replays=duplicates,
            again=again,
            replay_cpu_ms=sum(_milliseconds(between, after).values()),
            memory_mb=memory,
            yardstick_ms=(yardstick + yardstick_ms()) / 2,
        )

    async def figures(self, portions: Sequence[Portion]) -> Figures:
        """What the parts of one measurement say together."""
        payments = [payment for portion in portions for payment in portion.payments]
        return combined(portions, await self._history_counts(payments))

    @property
    def _url(self) -> str:
        return f"{self._system.url}/v1/payments"

    async def _send(self, job: Job, until: Awaitable[object] | None = None) -> Outcome:
        outcome = await self._load.run(job, until)
        for name, server in self._system.measured.items():
            if not server.running and name not in self.paused:
                raise ProcessFailed(f"{server.name} ended", log=server.child.log, last_lines=server.child.output())
        if outcome.mismatches:
            raise Mismatched(outcome.mismatches)
        return outcome

    async def _history_counts(self, payments: Sequence[Sent]) -> HistoryCounts:
        if self._system.temporal is None:
            return HistoryCounts()
        sample = payments[:: max(len(payments) // _HISTORIES, 1)]
        return await fetch_counts(self._system.temporal.address, [payment.payment_id for payment in sample])


def _milliseconds(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: (after[name] - before[name]) * 1000 for name in after}
