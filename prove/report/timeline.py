"""What was decided each second, and below it when something was killed, cut or otherwise disturbed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from prove.report.figures import by_role, clock, counted, role, short, span, ticks
from prove.report.markup import Html, joined
from prove.report.plots import Frame, line, picture, rectangle, text, time_axis, value_axis
from prove.result import Injection, Kind, Result

_KINDS: Final[dict[Kind, str]] = {
    "kill": "Processes killed or stopped",
    "cut": "Connections cut, stalled or refused",
    "other": "Other faults",
}
# A row for each connection of a large stack would be higher than a screen.
_ROWS_OF_A_KIND = 9
_REST = "all others"
_BARS_AT_MOST = 200
_BARS: Final = (1, 2, 5, 10, 15, 20, 30, 60)
"""Seconds that a bar may stand for, where one a second would be too many."""
# Characters that fit on the left of a wide picture, with the number of hits beside them.
_LABEL = 24
_TOP = 14
_MARK = 2.0
_GROUP_HEIGHT = 24


@dataclass(frozen=True, slots=True)
class Rug:
    """One row of marks: what was hit, and each time that it was."""

    kind: Kind
    label: str
    hits: tuple[Injection, ...]


@dataclass(frozen=True, slots=True)
class _Shape:
    """The picture for a screen or paper, and the one for a phone, where labels stand above their rows."""

    name: str
    width: int
    left: int
    plot: int
    row: int
    times: int
    label_above: bool


_WIDE: Final = _Shape("wide", 1040, 210, 190, 20, 12, label_above=False)
_NARROW: Final = _Shape("narrow", 380, 34, 150, 31, 5, label_above=True)


def timeline(result: Result) -> Html:
    """Twice, for wide and narrow pages; the style sheet shows one."""
    return joined(Html(f'<div class="{shape.name}">{_drawn(result, shape)}</div>') for shape in (_WIDE, _NARROW))


def bar_seconds(result: Result) -> int:
    """How many seconds each bar stands for."""
    needed = len(result.decided_each_second) / _BARS_AT_MOST
    return next((each for each in _BARS if each >= needed), math.ceil(needed))


def rugs(injections: Sequence[Injection]) -> list[Rug]:
    """A row for each target of each kind, of those that have really happened."""
    found: list[Rug] = []
    for kind in _KINDS:
        hits: dict[str, list[Injection]] = {}
        for each in injections:
            if each.fired and each.kind == kind:
                hits.setdefault(role(each.target or each.name), []).append(each)
        labels = sorted(hits, key=by_role)
        if len(labels) > _ROWS_OF_A_KIND:
            often = sorted(labels, key=lambda label: -len(hits[label]))[: _ROWS_OF_A_KIND - 1]
            rest = [each for label in labels if label not in often for each in hits[label]]
            labels = [*(label for label in labels if label in often), _REST]
            hits[_REST] = rest
        found += [Rug(kind, label, tuple(hits[label])) for label in labels]
    return found


def _drawn(result: Result, shape: _Shape) -> Html:
    rows = rugs(result.injections)
    end = max([result.seconds, len(result.decided_each_second), *(each.at for each in result.injections)])
    each = bar_seconds(result)
    bars = _means(result.decided_each_second, each)
    values = ticks(max(bars, default=0.0), 5)
    frame = Frame(shape.left, _TOP, shape.width - shape.left - 12, shape.plot, end, values[-1])
    marks, foot = _rows(rows, frame, shape)
    hit = ", ".join(f"{counted(len(row.hits), 'time')} {row.label}" for row in rows) or "nothing"
    description = (
        f"Over {span(end)}, up to {max(result.decided_each_second, default=0)} payments were decided in a second,"
        f" {sum(result.decided_each_second):,} in all. Hit were: {hit}."
    )
    parts = [
        *time_axis(frame, shape.times, foot),
        *value_axis(frame, values),
        _area(bars, each, frame),
        *marks,
    ]
    if not shape.label_above:
        parts.append(text(0, _TOP + 4, "Payments decided", "group"))
        parts.append(text(0, _TOP + 20, "per second", "tick"))
    title = "Payments decided per second, and the faults below"
    return picture(f"timeline-{shape.name}", title, description, (shape.width, foot + 22), parts)


def _means(counts: Sequence[int], each: int) -> list[float]:
    """The last part may be shorter than the others."""
    parts = [counts[start : start + each] for start in range(0, len(counts), each)]
    return [sum(part) / len(part) for part in parts]


def _area(bars: Sequence[float], each: int, frame: Frame) -> Html:
    """Bars without a gap, as one shape."""
    edges = [frame.x(number * each) for number in range(len(bars) + 1)]
    steps = [
        f"L{left:.1f} {frame.y(bar):.1f}H{right:.1f}" for (left, right), bar in zip(pairwise(edges), bars, strict=True)
    ]
    if not steps:
        return Html("")
    return Html(f'<path class="area" d="M{frame.left:.1f} {frame.bottom:.1f}{"".join(steps)}V{frame.bottom:.1f}Z"/>')


def _rows(rows: Sequence[Rug], frame: Frame, shape: _Shape) -> tuple[list[Html], float]:
    """The marks with their labels, and where the lowest row ends."""
    parts: list[Html] = []
    y = frame.bottom + (8 if rows else 0)
    kind: Kind | None = None
    for row in rows:
        if row.kind != kind:
            kind = row.kind
            y += _GROUP_HEIGHT
            parts.append(text(0, y - 6, _KINDS[kind], "group over"))
        parts += _row(row, y, frame, shape)
        y += shape.row
    return parts, y + (4 if rows else 0)


def _row(row: Rug, y: float, frame: Frame, shape: _Shape) -> list[Html]:
    """A thin line, and a mark on it for each hit, as long as it lasted."""
    tall = 12.0
    top = y + shape.row - tall - 4
    label_y = top - 4 if shape.label_above else top + 10
    parts = [line(frame.left, top + tall / 2, frame.right, top + tall / 2, "grid")]
    if shape.label_above:
        parts.append(text(0, label_y, f"{short(row.label, _LABEL)}: {len(row.hits):,}", "label over"))
    else:
        parts.append(text(0, label_y, short(row.label, _LABEL), "label"))
        parts.append(text(frame.left - 10, label_y, f"{len(row.hits):,}", "label", "end"))
    for hit in row.hits:
        x = min(frame.x(hit.at), frame.right - _MARK)
        # A process that was killed is gone at once: how long the campaign left it so is not the fault.
        lasted = _MARK if hit.kind == "kill" else max(frame.x(hit.until) - x, _MARK)
        says = f"{clock(hit.at)} {hit.note or hit.name}"
        parts.append(rectangle(x, top, (lasted, tall), hit.kind, says))
    return parts
