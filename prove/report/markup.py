"""HTML from text: whatever is not marked as HTML is escaped, and a table has its headings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


class Html(str):
    """Markup, which is not escaped again."""

    __slots__ = ()


Cell = str | int


def html(value: Cell) -> Html:
    """Markup as it is; text escaped; whole numbers with separators."""
    if isinstance(value, Html):
        return value
    return Html(escape(f"{value:,}" if isinstance(value, int) else value))


def joined(parts: Iterable[Cell], between: str = "\n") -> Html:
    return Html(between.join(html(part) for part in parts))


def element(name: str, content: Cell, **attributes: str) -> Html:
    """`klass` and `labelled_by` stand for the attributes that Python has no names for."""
    named = {"klass": "class", "labelled_by": "aria-labelledby"}
    text = "".join(f' {named.get(key, key)}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{text}>{html(content)}</{name}>")


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and whether numbers stand below it."""

    heading: str
    number: bool = False
    klass: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Its first cell is the row's heading."""

    cells: tuple[Cell, ...]
    klass: str = ""


def table(caption: str, columns: Sequence[Column], rows: Sequence[Row]) -> Html:
    """One body, without groups."""
    return grouped(caption, columns, [joined(_row(columns, row) for row in rows)])


def grouped(caption: str, columns: Sequence[Column], bodies: Iterable[Html]) -> Html:
    """With one `tbody` for each group of rows, made by `group`. It scrolls by itself where it is too wide."""
    head = joined((_cell("th", column, column.heading, scope="col") for column in columns), "")
    parts = [element("caption", caption), element("thead", element("tr", head))]
    parts += [element("tbody", body) for body in bodies]
    whole = element("table", joined(parts))
    return Html(f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">{whole}</div>')


def group(heading: Cell, columns: Sequence[Column], rows: Sequence[Row]) -> Html:
    """Rows that share their first cell, which spans them."""
    first = _cell("th", columns[0], heading, scope="rowgroup", rowspan=str(len(rows)))
    return joined(
        element("tr", joined([first if number == 0 else "", *_cells(columns[1:], row.cells[1:])], ""), **_class(row))
        for number, row in enumerate(rows)
    )


def _row(columns: Sequence[Column], row: Row) -> Html:
    first = _cell("th", columns[0], row.cells[0], scope="row")
    return element("tr", joined([first, *_cells(columns[1:], row.cells[1:])], ""), **_class(row))


def _cells(columns: Sequence[Column], cells: Sequence[Cell]) -> list[Html]:
    return [_cell("td", column, cell) for column, cell in zip(columns, cells, strict=True)]


def _cell(name: str, column: Column, content: Cell, **attributes: str) -> Html:
    klass = " ".join(filter(None, ["number" if column.number else "", column.klass]))
    return element(name, content, **attributes, **({"klass": klass} if klass else {}))


def _class(row: Row) -> dict[str, str]:
    return {"klass": row.klass} if row.klass else {}
