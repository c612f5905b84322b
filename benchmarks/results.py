"""What was measured, as it stands in the JSON file. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from pydantic import BaseModel


class Figures(BaseModel):
    """One system under one load. CPU in ms per payment or duplicate, memory in MB, latencies in ms.

    `yardstick_ms`: CPU of a fixed piece of work at the time; more means that the machine was slower.
    `sent_again`: replies that asked to send a payment or duplicate again later (503, 202); latencies hold that waiting.
    """

    payments: int
    payments_per_s: float
    p50_ms: float
    p99_ms: float
    sent_again: float
    cpu_ms_per_payment: float
    cpu_ms_by_process: dict[str, float]
    events: float
    workflow_tasks: float
    actions: float
    replays: int
    replay_cpu_ms: float
    replays_per_s: float
    memory_mb: dict[str, float]
    yardstick_ms: float


class Round(Figures):
    """The figures of one round."""

    system: str
    clients: int
    round: int


class Row(Figures):
    """The medians of all rounds."""

    system: str
    clients: int


def by_cell(rounds: Iterable[Round]) -> list[list[Round]]:
    """The rounds of each system with each number of clients, by number of clients, systems in their first order."""
    cells: dict[tuple[int, str], list[Round]] = {}
    for each in sorted(rounds, key=lambda each: (each.clients, each.round)):
        cells.setdefault((each.clients, each.system), []).append(each)
    return list(cells.values())


def middle(cell: Sequence[Round]) -> Row:
    """The median of each figure over the rounds of one cell."""
    each = [one.model_dump(include=set(Figures.model_fields)) for one in cell]
    figures = {name: _median([one[name] for one in each]) for name in Figures.model_fields}
    return Row.model_validate(figures | {"system": cell[0].system, "clients": cell[0].clients})


def _median(values: Sequence[float | Mapping[str, float]]) -> float | dict[str, float]:
    numbers = [value for value in values if not isinstance(value, Mapping)]
    if numbers:
        return median(numbers)
    tables = [value for value in values if isinstance(value, Mapping)]
    return {name: median(table[name] for table in tables) for name in tables[0]}
