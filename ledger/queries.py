"""Reads named statements from .sql files."""

import re
from importlib.resources import files
from typing import Final

_NAME: Final = re.compile(r"^-- name: ([\w ]+)\n", re.MULTILINE)


def load_queries(file: str) -> dict[str, str]:
    """Statement by name. Raises ValueError when a name stands twice."""
    _, *parts = _NAME.split(files("ledger").joinpath(file).read_text())
    names, statements = parts[::2], [statement.strip() for statement in parts[1::2]]
    if len(set(names)) != len(names):
        raise ValueError(f"a name stands twice in {file}")
    return dict(zip(names, statements, strict=True))


QUERIES: Final = load_queries("queries.sql") | load_queries("webhooks.sql")
