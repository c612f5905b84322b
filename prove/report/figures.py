"""Numbers as people read them. Pure."""

import math
import re
from collections.abc import Sequence
from typing import Final

_ROLES: Final = {
    "worker": "worker",
    "api": "API",
    "temporal": "Temporal",
    "postgres": "PostgreSQL",
    "postgresql": "PostgreSQL",
    "processor": "processor",
    "sandbox": "processor",
    "prove": "prove itself",
}
_ORDER: Final = tuple(dict.fromkeys(_ROLES.values()))
_NUMBER = re.compile(r"-\d+$")
_STEPS: Final = (1, 2, 5, 10)
_TIME_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all are not above (nearest rank)."""
    if not values:
        raise ValueError("there is no percentile of nothing")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


def role(process: str) -> str:
    """What a process is there for: `worker` for `worker-2`, `PostgreSQL` for `postgres`."""
    name = _NUMBER.sub("", process)
    return _ROLES.get(name.casefold(), name)


def by_role(name: str) -> tuple[int, str]:
    """To sort roles: what pays first, the others by name."""
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def by_number(identifier: str) -> tuple[str, int, str]:
    """To sort `I2` before `I10`, and `F09` before `F10`."""
    digits = re.search(r"\d+", identifier)
    return (identifier[:1], int(digits.group()) if digits else 0, identifier)


def counted(number: int, thing: str, things: str | None = None) -> str:
    """`1 kill`, `2,000 kills`."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def short(text: str, most: int) -> str:
    """At most so many characters: a label that is longer would run into what stands beside it."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def span(seconds: float) -> str:
    """How long: `45 s`, `3 min 2 s`, `1 h 5 min`."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{rest} s"


def clock(seconds: float) -> str:
    """A time since the beginning: `0:07`, `12:30`, `1:02:03`."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def megabytes(count: float) -> str:
    """A million bytes each; with one decimal below ten of them."""
    return f"{count / 1e6:,.0f}" if count >= 9.95e6 else f"{count / 1e6:.1f}"


def ticks(highest: float, most: int) -> list[float]:
    """Round values from 0 to the first that is not below `highest`, at most `most` steps."""
    if highest <= 0:
        return [0.0, 1.0]
    scale = 10.0 ** math.floor(math.log10(highest / most))
    step = next(each * scale for each in _STEPS if each * scale * most >= highest * (1 - 1e-9))
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


def times(seconds: float, most: int) -> list[int]:
    """Round times from 0 up to `seconds`, at most `most` steps."""
    step = next((each for each in _TIME_STEPS if each * most >= seconds), math.ceil(seconds / most))
    return list(range(0, int(seconds) + 1, step))
