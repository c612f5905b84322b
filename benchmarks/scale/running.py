"""The phases, one after another on one fresh paysaga, and the comparison of everything at the end."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.books import compare
from benchmarks.driving import open_load_generator
from benchmarks.figures import counted
from benchmarks.jobs import Sent, some_payments
from benchmarks.measuring import SETTLE_SECONDS, Measuring, Mismatched
from benchmarks.running import Tell, in_a_line, prefixed, running_system
from benchmarks.scale.backlog import pile_up, work_off
from benchmarks.scale.opening import WAIT_SECONDS, open_payments
from benchmarks.scale.plan import ScalePlan
from benchmarks.scale.portions import send_all
from benchmarks.scale.results import Phase, Scale, Stock, growth_kb
from benchmarks.scale.stock import take_stock
from benchmarks.systems.paysaga import Paysaga
from paysaga.dev.errors import DevStackError

_WARM_UP_PAYMENTS: Final = 100

Keep = Callable[[Scale], None]


async def run(plan: ScalePlan, paysaga: type[Paysaga], scale: Scale, tell: Tell, keep: Keep) -> None:
    """Fills `scale` in; `keep` gets it whenever a phase is done. Raises `Mismatched` and `DevStackError`."""
    with tempfile.TemporaryDirectory(prefix="paysaga-scale-", dir=plan.scratch, ignore_cleanup_errors=True) as path:
        async with open_load_generator(Path(path) / "load.log") as load:
            begun = time.monotonic()
            async with running_system(paysaga, Path(path) / "paysaga") as system:
                tell(f"ready after {time.monotonic() - begun:.1f} s")
                phases = _Phases(plan, system, Measuring(system, load), scale, tell)
                for phase in (phases.fresh, phases.after_many, phases.with_open, phases.backlog, phases.verify):
                    await phase()
                    keep(scale)


class _Phases:
    """In their order."""

    def __init__(self, plan: ScalePlan, system: Paysaga, measuring: Measuring, scale: Scale, tell: Tell) -> None:
        self._plan = plan
        self._system = system
        self._measuring = measuring
        self._scale = scale
        self._tell = tell
        self._waiting: list[Sent] = []
        self._opened = 0.0
        self._run = f"scale-{secrets.token_hex(3)}"

    async def fresh(self) -> None:
        warm_up = self._payments("warm-up", min(self._plan.sample, _WARM_UP_PAYMENTS))
        await self._measuring.warm_up(warm_up, self._plan.clients)
        await self._sample("fresh")
        await self._take_stock()

    async def after_many(self) -> None:
        plan, measuring = self._plan, self._measuring
        missing = self._payments("many", max(plan.payments - len(measuring.sent), 0))
        await send_all(missing, lambda part: measuring.pay(part, plan.clients), prefixed(self._tell, "paying: "))
        await asyncio.sleep(SETTLE_SECONDS)
        await self._sample(f"after {counted(len(measuring.sent), 'payment')}")
        before, after = self._scale.stocks[-1], await self._take_stock()
        thousands = (after.payments - before.payments) / 1000
        self._scale.kb_per_1000_payments = growth_kb(before.all_mb, after.all_mb, thousands)

    async def with_open(self) -> None:
        waiting = self._payments("open", self._plan.open)
        tell, self._opened = prefixed(self._tell, "opening: "), time.monotonic()
        await open_payments(self._system, self._measuring, waiting, self._plan.clients, tell)
        self._waiting = waiting
        before, after = self._scale.stocks[-1], await self._take_stock()
        self._scale.kb_per_open = growth_kb(before.all_mb, after.all_mb, after.open - before.open)
        await self._sample(f"with {len(waiting):,} open")

    async def backlog(self) -> None:
        payments, tell = self._payments("backlog", self._plan.backlog), prefixed(self._tell, "backlog: ")
        await pile_up(self._system, self._measuring, payments, self._plan.clients, tell)
        # More than so few clients can send meanwhile.
        new = self._payments("new", max(2 * len(payments), 1000))
        sample_rate = self._scale.phases[-1].payments_per_s
        found = await work_off(self._system, self._measuring, payments, new, sample_rate, tell)
        self._scale.backlog = found
        tell(f"decided after {found.drained_s:.1f} s, {found.payments_per_s:.1f}/s beside {found.meanwhile:,} new ones")

    async def verify(self) -> None:
        sent = self._measuring.sent
        if time.monotonic() - self._opened > WAIT_SECONDS:
            raise DevStackError("the first of the open payments is tried again by now: take fewer of them")
        if differences := await compare(self._system, sent, self._waiting):
            raise Mismatched(differences)
        self._scale.verified, self._scale.verified_open = len(sent), len(self._waiting)
        self._tell(
            f"{counted(len(sent), 'payment')} verified: each held, charged and recorded once; "
            f"{len(self._waiting):,} open: nothing held, charged or recorded"
        )

    async def _sample(self, name: str) -> None:
        books = len(self._measuring.sent) + len(self._waiting)
        payments = self._payments(f"sample-{len(self._scale.phases)}", self._plan.sample)
        figures = await self._measuring.measure(payments, self._plan.clients, self._plan.duplicates)
        phase = Phase(phase=name, in_the_books=books, open=len(self._waiting), **figures.model_dump())
        self._scale.phases.append(phase)
        self._tell(f"{name}: {in_a_line(figures)}")

    async def _take_stock(self) -> Stock:
        books = len(self._measuring.sent) + len(self._waiting)
        stock = await take_stock(self._system, books, len(self._waiting))
        self._scale.stocks.append(stock)
        return stock

    def _payments(self, what: str, number: int) -> list[Sent]:
        return some_payments(f"{self._run}-{what}", number)
