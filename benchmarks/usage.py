"""CPU time and memory of process trees."""

import sys
from collections.abc import Mapping
from typing import Final

import psutil

# The proportional share counts a page once however many processes share it, as PostgreSQL's do. Only Linux has it.
MEMORY_KIND: Final = "PSS" if sys.platform == "linux" else "RSS"


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """User and system time until now of each process with all its descendants, by name.

    What a process adds up of children that have ended and been waited for counts, too (PostgreSQL's backends come
    and go), so that each is counted once. macOS doesn't tell: there only those that live count.
    """
    return {name: sum(_cpu_seconds(process) for process in _tree(pid)) for name, pid in pids.items()}


def memory_mb(pids: Mapping[str, int]) -> dict[str, float]:
    """Memory (see `MEMORY_KIND`) of each process with its descendants, in MB of 1,000,000 bytes."""
    return {name: sum(_memory_bytes(process) for process in _tree(pid)) / 1e6 for name, pid in pids.items()}


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0  # it ended this moment: its parent counts it from now on
    return times.user + times.system + times.children_user + times.children_system


def _memory_bytes(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss if MEMORY_KIND == "PSS" else process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
