"""Resident memory over time: a small picture for each role, a line for each life of a process."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from prove.report.figures import by_role, counted, megabytes, role, ticks
from prove.report.markup import Column, Html, Row, element, joined, table
from prove.report.plots import Frame, line, picture, text, time_axis, value_axis
from prove.result import Result, Sample

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 340, 170, 56, 22, 24
# More points than this can't be told apart in a picture of this width.
_POINTS: Final = 140
_MB: Final = 1e6


@dataclass(frozen=True, slots=True)
class Memory:
    """What a role's processes held. A third without any sample has no highest."""

    role: str
    lives: tuple[tuple[Sample, ...], ...]
    first: int | None
    last: int | None

    @property
    def most(self) -> int:
        return max(sample.bytes for life in self.lives for sample in life)


def memories(result: Result) -> list[Memory]:
    """By role; a life is a process from its start to its end, so a restarted process has several."""
    lives: dict[str, dict[tuple[str, int], list[Sample]]] = {}
    for sample in sorted(result.memory, key=lambda sample: sample.at):
        of_role = lives.setdefault(role(sample.process), {})
        of_role.setdefault((sample.process, sample.pid), []).append(sample)
    end = _end(result)
    found: list[Memory] = []
    for name in sorted(lives, key=by_role):
        samples = [sample for life in lives[name].values() for sample in life]
        first = _highest(sample for sample in samples if sample.at < end / 3)
        last = _highest(sample for sample in samples if sample.at >= end * 2 / 3)
        found.append(Memory(name, tuple(tuple(life) for life in lives[name].values()), first, last))
    return found


def memory_table(found: Sequence[Memory]) -> Html:
    columns = [
        Column("Role"),
        Column("Process lives", number=True),
        Column("First third, MB", number=True),
        Column("Last third, MB", number=True),
        Column("Change", number=True),
    ]
    rows = [
        Row((each.role, len(each.lives), _mb(each.first), _mb(each.last), _change(each.first, each.last)))
        for each in found
    ]
    return table("Highest memory of one process, by role", columns, rows)


def memory_pictures(found: Sequence[Memory], result: Result) -> Html:
    """Each with a scale of its own."""
    pictures = (_drawn(each, number, _end(result)) for number, each in enumerate(found))
    return element("div", joined(pictures), klass="multiples")


def _end(result: Result) -> float:
    return max([result.seconds, *(sample.at for sample in result.memory)])


def _highest(samples: Iterable[Sample]) -> int | None:
    return max((sample.bytes for sample in samples), default=None)


def _mb(count: int | None) -> str:
    return "no sample" if count is None else megabytes(count)


def _change(first: int | None, last: int | None) -> str:
    if not first or last is None:
        return ""
    percent = round(100 * (last - first) / first)
    return f"{percent:+}%" if percent else "0%"


def _drawn(memory: Memory, number: int, end: float) -> Html:
    values = ticks(memory.most / _MB, 4)
    frame = Frame(_LEFT, _TOP, _WIDTH - _LEFT - 12, _HEIGHT - _TOP - _BOTTOM, end, values[-1])
    parts = [*time_axis(frame, 4, frame.bottom), *value_axis(frame, values, " MB")]
    parts.append(text(0, 11, f"{memory.role} ({counted(len(memory.lives), 'life', 'lives')})", "group"))
    for third in (1, 2):
        x = frame.x(end * third / 3)
        parts.append(line(x, frame.top, x, frame.bottom, "third"))
    parts += [_life(life, frame) for life in memory.lives]
    description = (
        f"{counted(len(memory.lives), 'process life', 'process lives')} of the role {memory.role}: at most"
        f" {_mb(memory.first)} MB in the first third, {_mb(memory.last)} MB in the last."
    )
    return picture(f"memory-{number}", f"Memory of {memory.role} over time", description, (_WIDTH, _HEIGHT), parts)


def _life(life: Sequence[Sample], frame: Frame) -> Html:
    """The highest sample of each part of the width. A single one is drawn as a point, which its round ends make."""
    highest: dict[int, Sample] = {}
    for sample in life:
        part = int(sample.at / frame.seconds * _POINTS) if frame.seconds else 0
        if part not in highest or sample.bytes > highest[part].bytes:
            highest[part] = sample
    points = [f"{frame.x(each.at):.1f},{frame.y(each.bytes / _MB):.1f}" for each in highest.values()]
    return Html(f'<polyline class="life" points="{" ".join(points if len(points) > 1 else points * 2)}"/>')
