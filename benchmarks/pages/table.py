"""The figures as people read them, and a picture of them. Pure."""

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from benchmarks.figures import significant
from benchmarks.pages.results import Latency, Pages
from benchmarks.table import aligned

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 860, 420, 60, 30, 330, 50
_LOWEST_MS, _HIGHEST_MS = 0.1, 100.0
_LIMIT_MS: Final = 20
_COLORS: Final = ("#1b6ac9", "#c9571b", "#2a9d54", "#8a3fb8", "#b8933f", "#333333", "#d23f6f", "#3fb3b8")


def text(pages: Pages) -> str:
    """Books, latencies and the export."""
    books = [("payments", "transactions", "all MB", "history MB", "migration s")]
    books += [
        (f"{b.payments:,}", f"{b.transactions:,}", f"{b.disk_mb:,.0f}", f"{b.history_mb:,.0f}", f"{b.migration_s:.1f}")
        for b in pages.books
    ]
    sizes = [book.transactions for book in pages.books]
    head = ("list", "filter", "place", *(f"{size:,}" for size in sizes))
    rows = [
        (listed, chosen_by, place, *(_cell(pages.latencies, listed, chosen_by, place, size) for size in sizes))
        for listed, chosen_by, place in dict.fromkeys((x.listed, x.chosen_by, x.place) for x in pages.latencies)
    ]
    lines = [aligned(books, left=0), "", aligned([head, *rows], left=3), ""]
    lines.append(
        f"p50 / p99 (and p99 of the first look) in ms of {pages.page} rows in PostgreSQL, planning included, by"
        " transactions in the books."
    )
    if pages.export is not None:
        export = pages.export
        lines.append(
            f"Export of {export.lines:,} lines: {export.seconds:.0f} s ({export.lines / export.seconds:,.0f}/s), API"
            f" {export.memory_before_mb:.0f} MB before, {export.memory_most_mb:.0f} MB at most."
        )
    return "\n".join(lines)


def _cell(latencies: Sequence[Latency], listed: str, chosen_by: str, place: str, size: int) -> str:
    for each in latencies:
        if (each.listed, each.chosen_by, each.place, each.transactions) == (listed, chosen_by, place, size):
            return f"{significant(each.p50_ms)} / {significant(each.p99_ms)} ({significant(each.first_p99_ms)})"
    return "-"


def plot(pages: Pages) -> str:
    """p99 of pages of transactions anywhere, one line for each filter, as SVG."""
    sizes = [book.transactions for book in pages.books]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif"'
        ' font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="18">p99 of a page of {pages.page} transactions, ms, by'
        " transactions in the books (dashed: the first look at it)</text>",
    ]
    for ms in (0.1, 1.0, 10.0, 100.0):
        parts += [_rule(ms, "#dddddd"), f'<text x="10" y="{_y(ms) + 4:.0f}">{ms:g}</text>']
    parts += [
        _rule(_LIMIT_MS, "#cc0000"),
        f'<text x="10" y="{_y(_LIMIT_MS) + 4:.0f}" fill="#cc0000">{_LIMIT_MS}</text>',
    ]
    for size in sizes:
        parts.append(f'<text x="{_x(size, sizes):.0f}" y="{_HEIGHT - 25}" text-anchor="middle">{size:,}</text>')
    chosen = [each for each in pages.latencies if (each.listed, each.place) == ("transactions", "anywhere")]
    for number, chosen_by in enumerate(dict.fromkeys(each.chosen_by for each in chosen)):
        color, y = _COLORS[number % len(_COLORS)], _TOP + 20 + 22 * number
        line = [each for each in chosen if each.chosen_by == chosen_by]
        again = " ".join(f"{_x(each.transactions, sizes):.1f},{_y(each.p99_ms):.1f}" for each in line)
        first = " ".join(f"{_x(each.transactions, sizes):.1f},{_y(each.first_p99_ms):.1f}" for each in line)
        parts.append(f'<polyline points="{again}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<polyline points="{first}" fill="none" stroke="{color}" stroke-dasharray="3"/>')
        parts.append(f'<rect x="{_WIDTH - _RIGHT + 25}" y="{y - 9}" width="14" height="4" fill="{color}"/>')
        parts.append(f'<text x="{_WIDTH - _RIGHT + 45}" y="{y}">filter: {escape(chosen_by)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _rule(ms: float, color: str) -> str:
    y = f"{_y(ms):.1f}"
    return f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}" stroke="{color}"/>'


def _x(size: int, sizes: Sequence[int]) -> float:
    low, high = math.log10(min(sizes)), math.log10(max(sizes))
    part = (math.log10(size) - low) / (high - low) if high > low else 0.5
    return _LEFT + 30 + part * (_WIDTH - _LEFT - _RIGHT - 60)


def _y(ms: float) -> float:
    low, high = math.log10(_LOWEST_MS), math.log10(_HIGHEST_MS)
    part = (math.log10(min(max(ms, _LOWEST_MS), _HIGHEST_MS)) - low) / (high - low)
    return _HEIGHT - _BOTTOM - part * (_HEIGHT - _TOP - _BOTTOM)
