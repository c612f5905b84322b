"""What a campaign is asked to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Options:
    """The command's arguments."""

    seed: int
    payments: int
    minutes: float
    """For so long faults are injected, and over so long the payments are spread."""
    faults: tuple[str, ...]
    """Names of faults or ids of the matrix; all when empty."""
    report: Path
    """The folder for the page and the JSON."""
    keep: Path | None
    """Where the servers keep their data; a temporary folder, which is deleted, when None."""
    workers: int = 3
    apis: int = 2
    hurry: bool = False
    """Of a copy with a planted bug: what doesn't come to its end soon never will."""

    @property
    def seconds(self) -> float:
        return self.minutes * 60

    def as_json(self) -> dict[str, Any]:
        """What another run needs to be the same."""
        return {"seed": self.seed, "payments": self.payments, "minutes": self.minutes, "faults": ",".join(self.faults)}
