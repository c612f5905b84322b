"""How long after a death the next new payment was decided, by what had died."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prove.report.figures import by_role, percentile, role, short, ticks
from prove.report.markup import Column, Html, Row, joined, table
from prove.report.plots import TEXT_BASELINE, Frame, line, picture, text
from prove.result import Recovery

_ROW: Final = 30
_RADIUS: Final = 4


@dataclass(frozen=True, slots=True)
class Recovered:
    """One target's, in seconds."""

    target: str
    seconds: tuple[float, ...]

    @property
    def p50(self) -> float:
        return percentile(self.seconds, 50)

    @property
    def p99(self) -> float:
        return percentile(self.seconds, 99)


def recovered(recoveries: Sequence[Recovery]) -> list[Recovered]:
    """By target, in the order of roles."""
    found: dict[str, list[float]] = {}
    for each in recoveries:
        found.setdefault(role(each.target), []).append(each.seconds)
    return [Recovered(target, tuple(found[target])) for target in sorted(found, key=by_role)]


def recovery_table(found: Sequence[Recovered]) -> Html:
    columns = [Column("What had died"), Column("Deaths", number=True)]
    columns += [Column(heading, number=True) for heading in ("p50, s", "p99, s", "max, s")]
    rows = [
        Row((each.target, len(each.seconds), *(f"{value:.2f}" for value in (each.p50, each.p99, max(each.seconds)))))
        for each in found
    ]
    return table("Seconds until the next new payment was decided", columns, rows)


def recovery_pictures(found: Sequence[Recovered]) -> Html:
    """Twice, for wide and narrow pages; the style sheet shows one."""
    shapes = (("wide", 1040, 180, 12), ("narrow", 380, 105, 5))
    return joined(
        Html(f'<div class="{name}">{_drawn(found, name, width, left, most)}</div>')
        for name, width, left, most in shapes
    )


def _drawn(found: Sequence[Recovered], name: str, width: int, left: int, most: int) -> Html:
    """A point for each death, so that the spread is seen; half-transparent, so that many in one place are darker."""
    values = ticks(max(max(each.seconds) for each in found), most)
    height = _ROW * len(found)
    frame = Frame(left, 4, width - left - 24, height, values[-1], 1)
    parts: list[Html] = []
    for value in values:
        x = frame.x(value)
        parts.append(line(x, frame.top, x, frame.bottom, "grid"))
        parts.append(text(x, frame.bottom + 15, f"{value:g} s", "tick", "middle"))
    for number, each in enumerate(found):
        y = frame.top + _ROW * (number + 0.5)
        parts.append(text(0, y + TEXT_BASELINE, short(each.target, left // 8), "label"))
        parts.append(line(frame.left, y, frame.right, y, "grid"))
        points = "".join(f'<circle cx="{frame.x(value):.1f}" cy="{y:.1f}" r="{_RADIUS}"/>' for value in each.seconds)
        parts.append(Html(f'<g class="point">{points}</g>'))
        x = frame.x(each.p50)
        parts.append(line(x, y - 9, x, y + 9, "middle"))
    description = " ".join(
        f"{each.target}: half within {each.p50:.2f} s, all within {max(each.seconds):.2f} s." for each in found
    )
    title = "Seconds from each death to the next new payment that was decided"
    return picture(f"recovery-{name}", title, description, (width, height + 26), parts)
