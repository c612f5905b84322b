"""Processes of a supervisor that was killed. On Linux they end with it; elsewhere, and while they are ending, the next
start finds them by the notes it left."""

import signal
from contextlib import suppress
from typing import NamedTuple

import psutil

from paysaga.dev.process import Child

_GRACE_SECONDS = 10
# The system's notion of when it booted, and with it of when a process started, moves a little with its clock.
_CLOCK_SECONDS = 2.0


class ProcessRecord(NamedTuple):
    """Enough to know a process again: a PID alone may be anybody's by now."""

    pid: int
    started_at: float
    command: list[str]
    stop_signal: str


def record(child: Child, stop_signal: signal.Signals) -> ProcessRecord | None:
    """None if it has ended already."""
    try:
        started_at = psutil.Process(child.pid).create_time()
    except psutil.NoSuchProcess:
        return None
    return ProcessRecord(child.pid, started_at, child.command, stop_signal.name)


def stop_leftovers(records: list[ProcessRecord]) -> int:
    """Stop those that still run and return how many there were."""
    found: list[psutil.Process] = []
    for entry in records:
        process = _find(entry)
        if process is not None:
            found.append(process)
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.Signals[entry.stop_signal])
    _, stubborn = psutil.wait_procs(found, timeout=_GRACE_SECONDS)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=_GRACE_SECONDS)
    return len(found)


def _find(entry: ProcessRecord) -> psutil.Process | None:
    try:
        process = psutil.Process(entry.pid)
        # The program's own name may differ (an interpreter that starts itself again), its arguments don't.
        arguments = entry.command[1:]
        same = process.cmdline()[-len(arguments) :] == arguments
        same = same and abs(process.create_time() - entry.started_at) < _CLOCK_SECONDS
    except (psutil.Error, OSError):
        return None
    return process if same and process.status() != psutil.STATUS_ZOMBIE else None
