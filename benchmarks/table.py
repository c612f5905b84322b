"""The figures as people read them. Pure."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from benchmarks.figures import Spread
from benchmarks.ratios import Ratio
from benchmarks.results import Round
from benchmarks.usage import MEMORY_KIND

_NOTHING = "-"
_COLUMNS: Mapping[str, Callable[[Sequence[Round]], str]] = {
    "clients": lambda cell: str(cell[0].clients),
    "system": lambda cell: cell[0].system,
    "payments/s": lambda cell: _spread([each.payments_per_s for each in cell]),
    "p50 ms": lambda cell: _spread([each.p50_ms for each in cell]),
    "p99 ms": lambda cell: _spread([each.p99_ms for each in cell]),
    "sent again": lambda cell: _whole([each.sent_again for each in cell]),
    "CPU ms": lambda cell: _spread([each.cpu_ms_per_payment for each in cell]),
    "of it Temporal": lambda cell: _middle_of([each.cpu_ms_by_process for each in cell], "temporal"),
    "events": lambda cell: _whole([each.events for each in cell]),
    "tasks": lambda cell: _whole([each.workflow_tasks for each in cell]),
    "actions": lambda cell: _whole([each.actions for each in cell]),
    "duplicate CPU ms": lambda cell: _spread([each.replay_cpu_ms for each in cell]),
    "duplicates/s": lambda cell: _spread([each.replays_per_s for each in cell]),
    "yardstick ms": lambda cell: _spread([each.yardstick_ms for each in cell]),
    "API MB": lambda cell: _middle_of([each.memory_mb for each in cell], "api"),
    "worker MB": lambda cell: _middle_of([each.memory_mb for each in cell], "worker"),
    "Temporal MB": lambda cell: _middle_of([each.memory_mb for each in cell], "temporal"),
}
_LEGEND = f"""\
Medians over the rounds (lowest-highest). CPU: user and system ms per payment of API, worker, Temporal and PostgreSQL
together, from the first request until 1 s after the last reply; load generator and sandbox processor not counted.
sent again: requests that the service answered with "later" (503, 202); latencies hold the waiting. events, tasks,
actions: of one payment's workflow. duplicate: a finished payment sent once more. yardstick: CPU of a fixed piece of
work meanwhile, more is a slower machine. MB: {MEMORY_KIND}."""


def table(cells: Sequence[Sequence[Round]], labels: Mapping[str, str]) -> str:
    """One line for each system and number of clients, and what the columns mean."""
    lines = [list(_COLUMNS), *([write(cell) for write in _COLUMNS.values()] for cell in cells)]
    others = [f"{name}: {label}." for name, label in labels.items() if name != label]
    return "\n".join([aligned(lines, left=2), "", _LEGEND, *others])


def ratio_table(ratios: Sequence[Ratio]) -> str:
    """One line for each ratio and number of clients: every round, then their median."""
    numbers = sorted({number for ratio in ratios for number in ratio.by_round})
    head = ["ratio", "clients", *(f"round {number}" for number in numbers), "median"]
    lines = [
        [
            ratio.what,
            str(ratio.clients),
            *(f"{ratio.by_round[number]:.2f}" if number in ratio.by_round else _NOTHING for number in numbers),
            f"{median(ratio.by_round.values()):.2f}",
        ]
        for ratio in ratios
    ]
    return aligned([head, *lines], left=1)


def _spread(values: Sequence[float]) -> str:
    return Spread.of(values).text()


def _whole(values: Sequence[float]) -> str:
    return Spread.of(values).text(0)


def _middle_of(values: Sequence[Mapping[str, float]], process: str) -> str:
    """The median alone, for a process that the system has: the ranges would make the lines too long."""
    middle = [median(value[process] for value in values)] if all(process in value for value in values) else []
    return _spread(middle) if middle else _NOTHING


def aligned(lines: Sequence[Sequence[str]], *, left: int) -> str:
    """Columns of equal width; the first `left` ones begin at the left, numbers end at the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if position < left else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
