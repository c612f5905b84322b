"""What is measured, in which order, with how many payments. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# In each of four portions some for each client: where load only begins and ends, a slow system looks better than it is.
_PAYMENTS_AT_LEAST, _PAYMENTS_PER_CLIENT = 100, 10
_DUPLICATES_PER_PAYMENT, _DUPLICATES_AT_MOST = 4, 600


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement of a system; `payments` are for a system of pace 1 unless `exact`."""

    clients: int
    payments: int
    exact: bool = False

    def payments_at(self, pace: int) -> int:
        """How many payments a system of this pace gets."""
        return self.payments if self.exact else self.payments * pace

    def duplicates_at(self, pace: int) -> int:
        """How many times they are repeated in all."""
        return min(self.payments_at(pace) * _DUPLICATES_PER_PAYMENT, _DUPLICATES_AT_MOST * pace)


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole run."""

    systems: Sequence[str]
    cells: Sequence[Cell]
    rounds: int
    json_file: Path | None = None
    scratch: Path | None = None


def share(total: int, turn: int, turns: int) -> int:
    """How many of `total` are this turn's: all turns together make all of them."""
    return total * (turn + 1) // turns - total * turn // turns


def cells_for(clients: Sequence[int], payments: Sequence[int]) -> list[Cell]:
    """A cell for each number of clients. `payments`: nothing for the default, one for all, or one for each.

    Raises `ValueError` when they don't fit together.
    """
    if not payments:
        return [Cell(count, _PAYMENTS_AT_LEAST + _PAYMENTS_PER_CLIENT * count) for count in clients]
    if len(payments) not in {1, len(clients)}:
        raise ValueError(
            f"--payments has {len(payments)} numbers for {len(clients)} of --clients: give one, or one each"
        )
    each = payments if len(payments) == len(clients) else [payments[0]] * len(clients)
    return [Cell(count, number, exact=True) for count, number in zip(clients, each, strict=True)]
