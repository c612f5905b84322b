"""How much of everything. Pure."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.plan import Cell


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """The whole run; numbers of payments, but for `clients`."""

    payments: int
    open: int
    backlog: int
    clients: int
    sample: int
    json_file: Path | None = None
    scratch: Path | None = None

    @property
    def duplicates(self) -> int:
        """How many times the payments of a sample are repeated in all."""
        return Cell(self.clients, self.sample, exact=True).duplicates_at(pace=1)
