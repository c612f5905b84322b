"""`python -m benchmarks`: see `--help`."""

import asyncio
import os
import signal
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn

from benchmarks import options, report
from benchmarks.machine import describe
from benchmarks.measuring import Mismatched
from benchmarks.plan import Plan
from benchmarks.results import Round
from benchmarks.running import run
from benchmarks.systems.base import System
from benchmarks.systems.registry import SYSTEMS, with_companions
from paysaga.dev.errors import DevStackError, ProcessFailed

_FAILED: Final = 1
_INTERRUPTED: Final = 130
_SHOWN: Final = 20


async def benchmark(plan: Plan, systems: Mapping[str, type[System]]) -> int:
    """Measure and report; returns the exit code. Cancelled by SIGINT and SIGTERM, it stops all it started."""
    machine = await describe()

    def keep(rounds: Sequence[Round]) -> None:
        if plan.json_file is not None:
            report.write_json(plan.json_file, machine, rounds)

    try:
        with _cancelled_by_signals():
            rounds = await run(plan, systems, _tell, keep)
    except Mismatched as error:
        _tell(f"benchmarks: FAILED: {error}")
        for mismatch in error.mismatches[:_SHOWN]:
            _tell(f"  {mismatch}")
        if (more := len(error.mismatches) - _SHOWN) > 0:
            _tell(f"  and {more} more")
        return _FAILED
    except DevStackError as error:
        _tell(f"benchmarks: {error}")
        if isinstance(error, ProcessFailed):
            _tell(error.last_lines)
        return _FAILED
    except asyncio.CancelledError:
        _tell("benchmarks: interrupted; all is stopped")
        return _INTERRUPTED
    print(report.text(rounds, {name: system.label for name, system in systems.items()}))
    return 0


@contextmanager
def _cancelled_by_signals() -> Generator[None]:
    """SIGINT and SIGTERM cancel this task, which then stops what it started. Once: who presses Ctrl-C again must not
    interrupt the stopping."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is None:
        raise AssertionError("called by a task")
    pending = [task]

    def cancel() -> None:
        if pending:
            pending.pop().cancel()

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> NoReturn:
    """Temporal's client often aborts the interpreter while that is torn down, so it is left without being torn down."""
    plan = options.parse(None, SYSTEMS, with_companions)
    code = asyncio.run(benchmark(plan, SYSTEMS))
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
