"""What all pictures share: a frame with axes, and an SVG with a title and a description."""

from dataclasses import dataclass
from html import escape
from typing import Final

from prove.report.figures import clock, times
from prove.report.markup import Html

TEXT_BASELINE: Final = 4
"""From a line's middle to the foot of the figures that name it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where data lie within a picture."""

    left: float
    top: float
    width: float
    height: float
    seconds: float
    """What the whole width stands for."""
    highest: float
    """What the whole height stands for."""

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def x(self, at: float) -> float:
        part = at / self.seconds if self.seconds else 0.0
        return self.left + min(max(part, 0.0), 1.0) * self.width

    def y(self, value: float) -> float:
        part = value / self.highest if self.highest else 0.0
        return self.bottom - min(max(part, 0.0), 1.0) * self.height


def picture(name: str, title: str, description: str, size: tuple[float, float], parts: list[Html]) -> Html:
    """An SVG that scales with the page; `name` is its id, which nothing else on the page may have."""
    width, height = size
    return Html(
        f'<svg class="picture" id="{name}" role="img" aria-labelledby="{name}-title {name}-text"'
        f' viewBox="0 0 {width:g} {height:g}">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-text">{escape(description)}</desc>\n'
        + "\n".join(parts)
        + "</svg>"
    )


def text(x: float, y: float, content: str, klass: str = "", anchor: str = "start") -> Html:
    named = f' class="{klass}"' if klass else ""
    return Html(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(content)}</text>')


def line(x1: float, y1: float, x2: float, y2: float, klass: str) -> Html:
    return Html(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{klass}"/>')


def rectangle(x: float, y: float, size: tuple[float, float], klass: str, says: str = "") -> Html:
    """With what a pointer resting on it is told."""
    inner = f"><title>{escape(says)}</title></rect>" if says else "/>"
    return Html(f'<rect x="{x:.1f}" y="{y:.1f}" width="{size[0]:.1f}" height="{size[1]:.1f}" class="{klass}"{inner}')


def value_axis(frame: Frame, values: list[float], unit: str = "") -> list[Html]:
    """A line across for each value, and its figures on the left."""
    parts: list[Html] = []
    for value in values:
        y = frame.y(value)
        parts.append(line(frame.left, y, frame.right, y, "base" if value == 0 else "grid"))
        parts.append(text(frame.left - 6, y + TEXT_BASELINE, f"{value:,.10g}{unit}", "tick", "end"))
    return parts


def time_axis(frame: Frame, most: int, foot: float) -> list[Html]:
    """A line down to `foot` for each round time, and the time below it."""
    parts: list[Html] = []
    for at in times(frame.seconds, most):
        x = frame.x(at)
        # The first one would run into the figures on the left, the last one out of the picture.
        anchor = "start" if at == 0 else "end" if x > frame.right - 12 else "middle"
        parts.append(line(x, frame.top, x, foot, "grid"))
        parts.append(text(x, foot + 15, clock(at), "tick", anchor))
    return parts
