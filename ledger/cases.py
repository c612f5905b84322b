"""Cases of reconciliation in PostgreSQL."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import asyncpg

from ledger.connections import Connected, Connection
from ledger.reconciling import RECONCILIATION, unexplained
from payments.history import Place
from payments.settlement import Case, CaseStatus, Difference, Unexplained

_PREFIX: Final = "case_"
_NUMBER_MAX: Final = 2**63 - 1


class PostgresCases(Connected):
    """Implements `ledger.reconciliation.Cases` over a pool of connections."""

    async def cases(self, status: CaseStatus | None, after: Place | None, limit: int) -> tuple[Case, ...]:
        """See `Cases.cases`."""

        async def work(connection: Connection) -> tuple[Case, ...]:
            place = (None, None) if after is None else (after.created_at, _number(after.id))
            rows = await connection.fetch(RECONCILIATION["cases_page"], status, *place, limit)
            return tuple(_case(row) for row in rows)

        return await self._run(work)

    async def case(self, id_: str) -> Case | None:
        """See `Cases.case`."""

        async def work(connection: Connection) -> Case | None:
            row = await connection.fetchrow(RECONCILIATION["case"], _number(id_))
            return None if row is None else _case(row)

        return await self._run(work)

    async def resolve(self, id_: str, reason: str) -> Case | None:
        """See `Cases.resolve`."""

        async def work(connection: Connection) -> Case | None:
            await connection.execute(RECONCILIATION["resolve_case"], _number(id_), reason)
            row = await connection.fetchrow(RECONCILIATION["case"], _number(id_))
            return None if row is None else _case(row)

        return await self._run(work)

    async def unexplained(self) -> tuple[Unexplained, ...]:
        """See `Cases.unexplained`."""
        return await self._run(unexplained)

    async def open_cases(self) -> Mapping[Difference, int]:
        """See `Cases.open_cases`."""

        async def work(connection: Connection) -> Mapping[Difference, int]:
            rows = await connection.fetch(RECONCILIATION["open_cases_by_difference"])
            return {Difference(row["difference"]): row["count"] for row in rows}

        return await self._run(work)

    async def reconciled_until(self) -> datetime | None:
        """See `Cases.reconciled_until`."""

        async def work(connection: Connection) -> datetime | None:
            return await connection.fetchval(RECONCILIATION["last_reconciliation"])

        return await self._run(work)


def _number(id_: str) -> int | None:
    """None, which no case has, for what is none of our ids."""
    digits = id_.removeprefix(_PREFIX)
    if not (id_.startswith(_PREFIX) and digits.isascii() and digits.isdigit() and len(digits) < 20):
        return None
    return min(int(digits), _NUMBER_MAX)


def _case(row: asyncpg.Record) -> Case:
    return Case.model_validate(
        {**dict(row), "id": f"{_PREFIX}{row['number']}", "evidence": json.loads(row["evidence"])}
    )
