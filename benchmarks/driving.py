"""The supervisor's side of the load generator."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from benchmarks.jobs import JOB, OUTCOME, Job, Outcome
from paysaga.dev.errors import ProcessFailed
from paysaga.dev.process import clean_environment

_ROOT: Final = Path(__file__).parents[1]
# An outcome is one line with a figure for each payment.
_LINE_BYTES: Final = 64_000_000
_STOP_SECONDS: Final = 5


class LoadGenerator:
    """A process that sends payments; it ends when we do, since its standard input ends then."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def run(self, job: Job, until: Awaitable[object] | None = None) -> Outcome:
        """Returns when every payment of the job has been answered or given up; of a job that goes on until it is told,
        those that were begun before `until` (one of each client at least). Raises `ProcessFailed`, and what `until`
        raises."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("started with pipes")
        self._process.stdin.write(JOB.dump_json(job) + b"\n")
        await self._process.stdin.drain()
        if until is not None:
            await until
            self._process.stdin.write(b"\n")
        line = await self._process.stdout.readline()
        if not line:
            last_lines = self._log.read_text(encoding="utf-8", errors="replace")
            raise ProcessFailed("the load generator ended", log=self._log, last_lines=last_lines)
        return OUTCOME.validate_json(line)

    async def stop(self) -> None:
        """It has nothing to lose."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)


@asynccontextmanager
async def open_load_generator(log: Path) -> AsyncGenerator[LoadGenerator]:
    """A generator that remembers the first answers."""
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.load"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=clean_environment(),
            cwd=_ROOT,
            limit=_LINE_BYTES,
            start_new_session=True,  # Ctrl-C is for the supervisor
        )
    generator = LoadGenerator(process, log)
    try:
        yield generator
    finally:
        await generator.stop()
