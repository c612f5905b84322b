"""`python -m benchmarks`: see `--help`."""

from collections.abc import Mapping, Sequence
from typing import NoReturn

from benchmarks import options, report
from benchmarks.command import carry_out, run_and_leave, tell
from benchmarks.machine import describe
from benchmarks.plan import Plan
from benchmarks.results import Round
from benchmarks.running import run
from benchmarks.systems.base import System
from benchmarks.systems.registry import SYSTEMS, with_companions


async def benchmark(plan: Plan, systems: Mapping[str, type[System]]) -> int:
    """Measure and report; returns the exit code. Interrupted, it stops all it started."""
    return await carry_out(_tables(plan, systems), "benchmarks")


async def _tables(plan: Plan, systems: Mapping[str, type[System]]) -> str:
    machine = await describe()

    def keep(rounds: Sequence[Round]) -> None:
        if plan.json_file is not None:
            report.write_json(plan.json_file, machine, rounds)

    rounds = await run(plan, systems, tell, keep)
    return report.text(rounds, {name: system.label for name, system in systems.items()})


def main() -> NoReturn:
    run_and_leave(benchmark(options.parse(None, SYSTEMS, with_companions), SYSTEMS))


if __name__ == "__main__":
    main()
