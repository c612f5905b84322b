"""`python -m benchmarks.scale`: see `--help`."""

from typing import NoReturn

from benchmarks.command import carry_out, run_and_leave, tell
from benchmarks.machine import describe
from benchmarks.report import replace_json
from benchmarks.scale import options, table
from benchmarks.scale.plan import ScalePlan
from benchmarks.scale.results import Scale
from benchmarks.scale.running import run
from benchmarks.systems.paysaga import Paysaga


async def measure_scale(plan: ScalePlan, paysaga: type[Paysaga] = Paysaga) -> int:
    """Measure and report; returns the exit code. Interrupted, it stops all it started."""
    return await carry_out(_tables(plan, paysaga), "benchmarks.scale")


async def _tables(plan: ScalePlan, paysaga: type[Paysaga]) -> str:
    def keep(scale: Scale) -> None:
        if plan.json_file is not None:
            replace_json(plan.json_file, scale.model_dump())

    scale = Scale(machine=await describe(), clients=plan.clients)
    await run(plan, paysaga, scale, tell, keep)
    return table.text(scale)


def main() -> NoReturn:
    run_and_leave(measure_scale(options.parse(None)))


if __name__ == "__main__":
    main()
