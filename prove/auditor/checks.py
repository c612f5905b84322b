"""The checks: statements in `sql/`, each run by itself in one snapshot of the books."""

import json
import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

import asyncpg

from prove.auditor.loading import CannotAudit, Connection

_SQL: Final = Path(__file__).parent / "sql"
# An invariant, a name, what it says as comment lines, and a SELECT of (payment_id, ok, evidence): a row for each thing
# that it has looked at.
_CHECK: Final = re.compile(r"^-- check: (I\d+) (.+)\n((?:-- .*\n)+)", re.MULTILINE)
# Each row that is wrong, or one for the count alone. Whatever is not surely right is wrong.
_JUDGE: Final = """
WITH looked AS MATERIALIZED ({statement})
SELECT looked_at, payment_id, evidence
FROM (SELECT count(*) AS looked_at FROM looked) AS counted LEFT JOIN looked ON ok IS NOT TRUE
ORDER BY payment_id, evidence::text
"""


class Statement(NamedTuple):
    """One check as it stands in its file."""

    invariant: str
    name: str
    what: str
    sql: str


@dataclass(frozen=True)
class Check:
    """One check's result."""

    invariant: str
    name: str
    what: str
    looked_at: int
    violations: int
    seconds: float


@dataclass(frozen=True)
class Violation:
    """One row that breaks an invariant."""

    invariant: str
    check: str
    payment_id: str | None
    evidence: dict[str, Any]


def script(name: str) -> str:
    """A file of statements, whole."""
    return (_SQL / f"{name}.sql").read_text("utf-8")


def statements() -> list[Statement]:
    """Every check, in the order of the invariants' numbers."""
    found = (statement for path in sorted(_SQL.glob("I*.sql")) for statement in _read(path.read_text("utf-8")))
    return sorted(found, key=lambda statement: int(statement.invariant[1:]))


def _read(text: str) -> Generator[Statement]:
    found = list(_CHECK.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    for match, end in zip(found, ends, strict=True):
        what = " ".join(line.removeprefix("-- ") for line in match[3].splitlines())
        yield Statement(match[1], match[2], what, text[match.end() : end].strip())


async def run(connection: Connection, statement: Statement) -> tuple[Check, list[Violation]]:
    """What this check has looked at, and each row that breaks it. Raises `CannotAudit` when values can't be read."""
    began = perf_counter()
    try:
        rows = await connection.fetch(_JUDGE.format(statement=statement.sql))
    except asyncpg.DataError as error:
        raise CannotAudit(f"{statement.invariant} {statement.name}: can't be judged: {error}") from error
    wrong = [
        Violation(statement.invariant, statement.name, row["payment_id"], json.loads(row["evidence"]))
        for row in rows
        if row["evidence"] is not None
    ]
    took = perf_counter() - began
    return Check(*statement[:3], rows[0]["looked_at"], len(wrong), took), wrong
