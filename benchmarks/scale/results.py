"""What was measured, as it stands in the JSON file, and what follows from it. Pure."""

from collections.abc import Mapping

from pydantic import BaseModel, Field

from benchmarks.machine import Machine
from benchmarks.results import Figures


class Phase(Figures):
    """A sample of new payments. `in_the_books`: payments that were there before it; `open`: how many of them wait."""

    phase: str
    in_the_books: int
    open: int


class Stock(BaseModel):
    """What has piled up at one moment, in MB of 1,000,000 bytes: memory by process, and sizes on disk."""

    payments: int
    open: int
    memory_mb: dict[str, float]
    disk_mb: dict[str, float]

    @property
    def all_mb(self) -> dict[str, float]:
        return self.memory_mb | self.disk_mb


class Backlog(BaseModel):
    """How payments that piled up without a worker were worked off, while others kept coming.

    `ready_s`: from the worker's start until it was ready; `drained_s`: from then until the last one was decided. Rates
    are payments per second of that time; latencies, in ms, are those of the payments that came meanwhile.
    """

    payments: int
    ready_s: float
    drained_s: float
    payments_per_s: float
    clients: int
    meanwhile: int
    all_per_s: float
    of_sample_rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float


class Scale(BaseModel):
    """The whole run, as far as it has got."""

    machine: Machine
    clients: int
    phases: list[Phase] = Field(default_factory=list[Phase])
    stocks: list[Stock] = Field(default_factory=list[Stock])
    backlog: Backlog | None = None
    kb_per_1000_payments: dict[str, float] = Field(default_factory=dict[str, float])
    kb_per_open: dict[str, float] = Field(default_factory=dict[str, float])
    verified: int = 0
    verified_open: int = 0


def growth_kb(before: Mapping[str, float], after: Mapping[str, float], count: float) -> dict[str, float]:
    """By how many kB of 1,000 bytes each of `count` made it grow; nothing when there was none."""
    return {name: (after[name] - before[name]) * 1000 / count for name in before} if count > 0 else {}
