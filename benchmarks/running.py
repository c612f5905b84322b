"""Runs the plan: each round all systems anew, each on servers of its own, taking turns under load; then verified."""

import asyncio
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.books import compare
from benchmarks.driving import LoadGenerator, open_load_generator
from benchmarks.figures import counted
from benchmarks.jobs import some_payments
from benchmarks.measuring import Measuring, Mismatched
from benchmarks.plan import Cell, Plan, share
from benchmarks.portions import Portion
from benchmarks.results import Figures, Round
from benchmarks.stalls import watching
from benchmarks.systems.base import System

_WARM_UP_PAYMENTS: Final = 20
_WARM_UP_CLIENTS: Final = 8
# In so many portions each system is measured, in turn with the others.
_TURNS: Final = 4
# A shared disk that stands still for seconds decides a portion's figures, whichever system's turn it is.
_STALL_SECONDS: Final = 1.0
_TRIES: Final = 4

AnySystem = TypeVar("AnySystem", bound=System)
Tell = Callable[[str], None]
Keep = Callable[[Sequence[Round]], None]


async def run(plan: Plan, systems: Mapping[str, type[System]], tell: Tell, keep: Keep) -> list[Round]:
    """All rounds; `keep` gets all until then whenever one is done. Raises `Mismatched` and `DevStackError`."""
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="paysaga-benchmark-", dir=plan.scratch, ignore_cleanup_errors=True) as path:
        async with open_load_generator(Path(path) / "load.log") as load:
            for number in range(1, plan.rounds + 1):
                say = prefixed(tell, f"round {number}/{plan.rounds}  ")
                async with AsyncExitStack() as running:
                    contenders: list[_Contender] = []
                    for name in plan.systems:
                        begun = time.monotonic()
                        opened = running_system(systems[name], Path(path) / f"{name}-{number}")
                        system = await running.enter_async_context(opened)
                        say(f"{name}: ready after {time.monotonic() - begun:.1f} s")
                        contenders.append(_Contender(system, load, number))
                    rounds += await _measure_round(plan, contenders, number, say)
                keep(rounds)
    return rounds


class _Contender:
    """A system that runs, among the others of a round."""

    def __init__(self, system: System, load: LoadGenerator, number: int) -> None:
        self.system = system
        self.measuring = Measuring(system, load)
        # Keys begin differently in each round, as they do in life.
        self._prefix = f"{system.name}-{number}-{secrets.token_hex(3)}"

    async def warm_up(self, payments: int) -> None:
        await self.measuring.warm_up(some_payments(f"{self._prefix}-warm-up", payments), _WARM_UP_CLIENTS)

    async def undisturbed(self, cell: Cell, turn: int, turns: int, say: Tell) -> Portion:
        """A portion during which the disk didn't stand still; after a few tries, one during which it did."""
        for tries_left in reversed(range(_TRIES)):
            async with watching() as stalled:
                portion = await self._portion(cell, f"{turn}-{tries_left}", turn, turns)
            if stalled.seconds < _STALL_SECONDS:
                return portion
            then = "measured again" if tries_left else "kept all the same"
            say(f"{self.system.name}: the machine's disk stood still for {stalled.seconds:.1f} s: {then}")
            if not tries_left:
                return portion
        raise AssertionError("the last try returns")

    async def _portion(self, cell: Cell, name: str, turn: int, turns: int) -> Portion:
        payments, duplicates = cell.payments_at(self.system.pace), cell.duplicates_at(self.system.pace)
        some = some_payments(f"{self._prefix}-{cell.clients}-{name}", share(payments, turn, turns))
        return await self.measuring.portion(some, cell.clients, share(duplicates, turn, turns))

    async def verify(self) -> str:
        """The whole database against the whole journal of the processor. Raises `Mismatched`."""
        if differences := await compare(self.system, self.measuring.sent):
            raise Mismatched(differences)
        return f"{counted(len(self.measuring.sent), 'payment')} verified: each held, charged and recorded once"


async def _measure_round(plan: Plan, contenders: Sequence[_Contender], number: int, say: Tell) -> list[Round]:
    """Every load in turn. Only one system has load at a time; the others idle beside it, at a hundredth of a core."""
    measured: list[Round] = []
    for contender in contenders:
        await contender.warm_up(min(_WARM_UP_PAYMENTS, *(cell.payments for cell in plan.cells)))
    for cell in plan.cells:
        turns = min(_TURNS, cell.payments)
        portions: dict[str, list[Portion]] = {contender.system.name: [] for contender in contenders}
        for turn in range(turns):
            # Back and forth: a machine that becomes slower or faster meanwhile does so for all alike.
            for contender in contenders if (turn + number) % 2 else contenders[::-1]:
                portions[contender.system.name].append(await contender.undisturbed(cell, turn, turns, say))
        for contender in contenders:
            name = contender.system.name
            figures = await contender.measuring.figures(portions[name])
            measured.append(Round(system=name, clients=cell.clients, round=number, **figures.model_dump()))
            say(f"{name}: {counted(cell.clients, 'client')}: {in_a_line(figures)}")
    for contender in contenders:
        say(f"{contender.system.name}: {await contender.verify()}")
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
