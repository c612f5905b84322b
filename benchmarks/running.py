"""Runs the plan: one system at a time, each fresh on servers of its own, verified and stopped before the next."""

import asyncio
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.books import compare
from benchmarks.driving import LoadGenerator, open_load_generator
from benchmarks.figures import counted
from benchmarks.jobs import some_payments
from benchmarks.measuring import Measuring, Mismatched
from benchmarks.plan import Cell, Plan
from benchmarks.results import Figures, Round
from benchmarks.systems.base import System

_WARM_UP_PAYMENTS: Final = 20
_WARM_UP_CLIENTS: Final = 8

AnySystem = TypeVar("AnySystem", bound=System)
Tell = Callable[[str], None]
Keep = Callable[[Sequence[Round]], None]


async def run(plan: Plan, systems: Mapping[str, type[System]], tell: Tell, keep: Keep) -> list[Round]:
    """All rounds; `keep` gets all until then whenever a system is done. Raises `Mismatched` and `DevStackError`."""
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="paysaga-benchmark-", dir=plan.scratch, ignore_cleanup_errors=True) as path:
        async with open_load_generator(Path(path) / "load.log") as load:
            for number, name, cells in plan.order():
                say = prefixed(tell, f"round {number}/{plan.rounds}  {name}  ")
                begun = time.monotonic()
                async with running_system(systems[name], Path(path) / f"{name}-{number}") as system:
                    say(f"ready after {time.monotonic() - begun:.1f} s")
                    rounds += await _measure_system(system, load, number, cells, say)
                keep(rounds)
    return rounds


async def _measure_system(
    system: System, load: LoadGenerator, number: int, cells: Sequence[Cell], say: Tell
) -> list[Round]:
    """Every load in turn, then the whole database against the whole journal of the processor."""
    # Keys begin differently in each round, as they do in life.
    prefix = f"{system.name}-{number}-{secrets.token_hex(3)}"
    measured: list[Round] = []
    measuring = Measuring(system, load)
    warm_up = min(_WARM_UP_PAYMENTS, *(cell.payments_at(system.pace) for cell in cells))
    await measuring.warm_up(some_payments(f"{prefix}-warm-up", warm_up), _WARM_UP_CLIENTS)
    for cell in cells:
        payments = some_payments(f"{prefix}-{cell.clients}", cell.payments_at(system.pace))
        figures = await measuring.measure(payments, cell.clients, cell.duplicates_at(system.pace))
        measured.append(Round(system=system.name, clients=cell.clients, round=number, **figures.model_dump()))
        say(f"{counted(cell.clients, 'client')}: {in_a_line(figures)}")
    if differences := await compare(system, measuring.sent):
        raise Mismatched(differences)
    say(f"{counted(len(measuring.sent), 'payment')} verified: each held, charged and recorded once")
    return measured


def in_a_line(figures: Figures) -> str:
    """For progress."""
    return (
        f"{figures.payments_per_s:.1f}/s, p99 {figures.p99_ms:.0f} ms, "
        f"CPU {figures.cpu_ms_per_payment:.1f} ms, duplicates {figures.replay_cpu_ms:.2f} ms"
        + (f", {figures.sent_again:.0f} sent again" if figures.sent_again else "")
    )


@asynccontextmanager
async def running_system(system: type[AnySystem], data: Path) -> AsyncGenerator[AnySystem]:
    """Fresh, in a directory of its own, which goes with it."""
    await asyncio.to_thread(data.mkdir, mode=0o700)
    one = system(data)
    try:
        await one.start()
        yield one
    finally:
        await one.stop()
        shutil.rmtree(data, ignore_errors=True)


def prefixed(tell: Tell, prefix: str) -> Tell:
    """Tells with this before each line."""
    return lambda text: tell(prefix + text)
