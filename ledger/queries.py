"""Reads the named statements of queries.sql."""

import re
from importlib.resources import files
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load_queries() -> dict[str, str]:
    """Statement by name. Raises ValueError when a name stands twice."""
    _, *parts = _NAME.split(files("ledger").joinpath("queries.sql").read_text())
    names, statements = parts[::2], [statement.strip() for statement in parts[1::2]]
    if len(set(names)) != len(names):
        raise ValueError("a name stands twice in queries.sql")
    return dict(zip(names, statements, strict=True))


QUERIES: Final = load_queries()
