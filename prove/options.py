"""What a campaign is asked to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

# A load that leaves this service room to recover on two cores, while all traffic goes through our links.
PAYMENTS_PER_SECOND: Final = 4.0


@dataclass(frozen=True)
class Options:
    """The command's arguments."""

    seed: int
    payments: int
    minutes: float
    faults: tuple[str, ...]
    """Names of faults or ids of the matrix; all when empty."""
    report: Path
    """Where the page and the JSON go."""
    data_dir: Path | None
    """Where the servers keep their data; a temporary folder when None."""
    workers: int = 3
    apis: int = 2

    @property
    def seconds(self) -> float:
        """For so long faults are injected, and over so long the payments are spread."""
        return self.minutes * 60
