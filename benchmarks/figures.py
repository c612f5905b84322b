"""Medians, percentiles and their spread. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all are not above (nearest rank)."""
    if not values:
        raise ValueError("there is no percentile of nothing")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, and the lowest and the highest."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Raises `ValueError` without any value."""
        ordered = sorted(values)
        if not ordered:
            raise ValueError("there is no median of nothing")
        return cls(median(ordered), ordered[0], ordered[-1])

    def text(self, digits: int | None = None) -> str:
        """`25.1 (24.0-27.3)`, or `25.1` when all are the same. Without `digits`, three significant ones."""
        places = _places(self.middle) if digits is None else digits
        middle, low, high = (f"{value:.{places}f}" for value in (self.middle, self.low, self.high))
        return middle if low == high else f"{middle} ({low}-{high})"


def significant(value: float) -> str:
    """With about three significant digits: `25.1`, `703`."""
    return Spread(value, value, value).text()


def counted(number: int, thing: str) -> str:
    """`1 client`, `8 clients`, `100,000 clients`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _places(value: float) -> int:
    """Decimal places that leave about three significant digits."""
    if value == 0:
        return 0
    return min(max(2 - math.floor(math.log10(abs(value))), 0), 3)
