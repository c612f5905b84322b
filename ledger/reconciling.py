"""Reconciliation in PostgreSQL. The comparing itself is `compare` in 0010_reconciliation.sql."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from ledger.connections import Connected, Connection
from ledger.port import LedgerUnavailable
from ledger.queries import load_queries
from ledger.reconciliation import Healing
from payments.settlement import Begin, Difference, Period, Report, SettlementItem, Unexplained

RECONCILIATION: Final = load_queries("reconciliation.sql")
# What the processor shows late of the last period is seen in the next one.
OVERLAP: Final = timedelta(hours=1)
# How far the first run looks back.
FIRST_PERIOD: Final = timedelta(days=30)
# Comparing a million movements takes half a minute, and taking their lines away some seconds.
COMPARE_SECONDS: Final = 600.0


class PostgresReconciliations(Connected):
    """Implements `ledger.reconciliation.Reconciliations` over a pool of connections."""

    async def begin(self, begin: Begin, processor: str) -> Report | None:
        """See `Reconciliations.begin`."""

        async def work(connection: Connection) -> Report | None:
            period = begin.period
            await connection.execute(
                RECONCILIATION["begin_reconciliation"], begin.id, begin.source, processor, period.start, period.end
            )
            row = await connection.fetchrow(RECONCILIATION["reconciliation"], begin.id)
            return Report.model_validate_json(row["report"]) if row and row["report"] else None

        return await self._run(work)

    async def next_period(self, named: str, end: datetime) -> Period:
        """See `Reconciliations.next_period`."""

        async def work(connection: Connection) -> Period:
            last: datetime | None = await connection.fetchval(RECONCILIATION["last_reconciled"], named)
            return Period(start=end - FIRST_PERIOD if last is None else min(last, end) - OVERLAP, end=end)

        return await self._run(work)

    async def forget_items(self, run: str) -> None:
        """See `Reconciliations.forget_items`."""

        async def work(connection: Connection) -> None:
            await connection.execute(RECONCILIATION["forget_items"], run, timeout=COMPARE_SECONDS)

        await self._run(work)

    async def add_items(self, run: str, items: Sequence[SettlementItem]) -> None:
        """See `Reconciliations.add_items`."""

        async def work(connection: Connection) -> None:
            await connection.execute(RECONCILIATION["add_items"], run, False, *_columns(items))

        await self._run(work)

    async def file_is_taken(self, run: str, lines: int) -> None:
        """See `Reconciliations.file_is_taken`."""

        async def work(connection: Connection) -> None:
            await connection.execute(RECONCILIATION["file_is_taken"], run, lines)

        await self._run(work)

    async def keys_to_look_up(self, run: str, limit: int) -> tuple[str, ...]:
        """See `Reconciliations.keys_to_look_up`."""

        async def work(connection: Connection) -> tuple[str, ...]:
            rows = await connection.fetch(RECONCILIATION["keys_to_look_up"], run, limit, timeout=COMPARE_SECONDS)
            return tuple(row["key"] for row in rows)

        return await self._run(work)

    async def add_looked_up(self, run: str, items: Sequence[SettlementItem]) -> None:
        """See `Reconciliations.add_looked_up`."""

        async def work(connection: Connection) -> None:
            columns = _columns(items)
            async with connection.transaction():
                await connection.execute(RECONCILIATION["forget_looked_up"], run, columns[0], columns[1])
                await connection.execute(RECONCILIATION["add_items"], run, True, *columns)

        await self._run(work)

    async def not_done(self, after: str, before: datetime, limit: int) -> tuple[str, ...]:
        """See `Reconciliations.not_done`."""

        async def work(connection: Connection) -> tuple[str, ...]:
            return tuple(row["id"] for row in await connection.fetch(RECONCILIATION["not_done"], after, before, limit))

        return await self._run(work)

    async def without_row(self, payments: Sequence[str]) -> tuple[str, ...]:
        """See `Reconciliations.without_row`."""

        async def work(connection: Connection) -> tuple[str, ...]:
            return tuple(row["id"] for row in await connection.fetch(RECONCILIATION["without_row"], list(payments)))

        return await self._run(work)

    async def replace_stopped(self, run: str, stopped: Mapping[str, str]) -> None:
        """See `Reconciliations.replace_stopped`."""

        async def work(connection: Connection) -> None:
            async with connection.transaction():
                await connection.execute(RECONCILIATION["forget_stopped"], run)
                await connection.execute(RECONCILIATION["add_stopped"], run, list(stopped), list(stopped.values()))

        await self._run(work)

    async def differences_that_heal(self, run: str, limit: int) -> tuple[Healing, ...]:
        """See `Reconciliations.differences_that_heal`."""

        async def work(connection: Connection) -> tuple[Healing, ...]:
            rows = await connection.fetch(RECONCILIATION["differences_that_heal"], run, limit, timeout=COMPARE_SECONDS)
            return tuple(Healing.model_validate(dict(row)) for row in rows)

        return await self._run(work)

    async def finish(self, begin: Begin, healed: int) -> Report:
        """See `Reconciliations.finish`. Raises `LedgerUnavailable` for a file whose lines are not all there."""

        async def work(connection: Connection) -> Report:
            async with connection.transaction(isolation="repeatable_read"):
                return await _finish(connection, begin, healed)

        return await self._run(work)


async def _finish(connection: Connection, begin: Begin, healed: int) -> Report:
    row = await connection.fetchrow(RECONCILIATION["reconciliation"], begin.id, timeout=COMPARE_SECONDS)
    if row is None or (row["source"] == "file" and row["lines"] != row["items"]):
        raise LedgerUnavailable(f"the lines of {begin.id} are not all there; was an old backup restored?")
    if row["report"] is not None:
        return Report.model_validate_json(row["report"])
    counts = await connection.fetch(RECONCILIATION["count_differences"], begin.id, timeout=COMPARE_SECONDS)
    found: dict[str | None, int] = {row["difference"]: row["count"] for row in counts}
    closed = await connection.fetch(RECONCILIATION["close_cases"], begin.id, timeout=COMPARE_SECONDS)
    opened = await connection.fetch(RECONCILIATION["open_cases"], begin.id, timeout=COMPARE_SECONDS)
    report = Report(
        id=begin.id,
        period=begin.period,
        source=begin.source,
        matched=found.pop(None, 0),
        healed=healed,
        found={Difference(str(difference)): count for difference, count in sorted(found.items(), key=str)},
        new_cases=len(opened),
        closed_cases=len(closed),
        unexplained=await unexplained(connection),
    )
    await connection.execute(RECONCILIATION["end_reconciliation"], begin.id, report.model_dump_json())
    await connection.execute(RECONCILIATION["forget_items"], begin.id, timeout=COMPARE_SECONDS)
    return report


async def unexplained(connection: Connection) -> tuple[Unexplained, ...]:
    """What open cases put in question."""
    rows = await connection.fetch(RECONCILIATION["unexplained"])
    return tuple(Unexplained(currency=row["currency"], amount=row["amount"]) for row in rows)


def _columns(items: Sequence[SettlementItem]) -> tuple[list[object], ...]:
    return (
        [item.operation for item in items],
        [item.reference for item in items],
        [item.payment_id for item in items],
        [item.amount for item in items],
        [item.currency for item in items],
        [item.executed_at for item in items],
        [item.operation_key for item in items],
        [item.state for item in items],
        [item.line for item in items],
    )
