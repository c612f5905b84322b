"""How a command ends: with its table, a line that says what is wrong, or interrupted; all it started is stopped."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Final, NoReturn

from benchmarks.measuring import Mismatched
from paysaga.dev.errors import DevStackError, ProcessFailed

_FAILED: Final = 1
_INTERRUPTED: Final = 130
_SHOWN: Final = 20


def tell(text: str) -> None:
    """Progress, and whatever is no result."""
    print(text, file=sys.stderr, flush=True)


async def carry_out(work: Coroutine[None, None, str], name: str) -> int:
    """Print what the work returns; returns the exit code. Cancelled by SIGINT and SIGTERM, it stops all it started."""
    try:
        with _cancelled_by_signals():
            result = await work
    except Mismatched as error:
        tell(f"{name}: FAILED: {error}")
        for mismatch in error.mismatches[:_SHOWN]:
            tell(f"  {mismatch}")
        if (more := len(error.mismatches) - _SHOWN) > 0:
            tell(f"  and {more} more")
        return _FAILED
    except DevStackError as error:
        tell(f"{name}: {error}")
        if isinstance(error, ProcessFailed):
            tell(error.last_lines)
        return _FAILED
    except asyncio.CancelledError:
        tell(f"{name}: interrupted; all is stopped")
        return _INTERRUPTED
    print(result)
    return 0


def run_and_leave(work: Coroutine[None, None, int]) -> NoReturn:
    """Temporal's client often aborts the interpreter while that is torn down, so it is left without being torn down."""
    code = asyncio.run(work)
    sys.stdout.flush()
    os._exit(code)


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
