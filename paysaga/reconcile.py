"""`paysaga reconcile`: compares a period with the processor's record, or with a settlement report of it."""

import asyncio
import secrets
from collections.abc import Generator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError

from gateways.port import ReportProblem
from gateways.sandbox.record import SandboxRecord
from gateways.sandbox.report import read_report
from ledger.cases import PostgresCases
from ledger.connections import open_pool
from ledger.port import LedgerError
from ledger.reconciling import PostgresReconciliations
from payments.money import Money
from payments.settlement import MEANING, Begin, Case, CaseStatus, Period, Reconcile, Report, SettlementItem, Source
from paysaga.services import connect_temporal
from paysaga.settings import Settings
from workflows.names import TASK_QUEUE
from workflows.reconciliation import IN_FLIGHT

DIFFERS: Final = 1
WRONG: Final = 2
UNAVAILABLE: Final = 3
_DAY: Final = timedelta(days=1)
_PROBLEMS_SHOWN: Final = 20
_CASES_SHOWN: Final = 20
_PORTION: Final = 2000
# After that a person wants to know what it waits for.
_PATIENCE_SECONDS: Final = 10.0


async def run(settings: Settings, start: datetime | None, end: datetime | None, file: Path | None) -> int:
    """Reconcile, print what came of it, and return the exit code: 0 when nothing differs, 1 when something does, 2 for
    a period or a file that can't be used, 3 when a server can't be reached."""
    latest = datetime.now(UTC) - IN_FLIGHT
    end = min(end or latest, latest)
    period = Period(start=start or end - _DAY, end=end)
    if period.start >= period.end:
        print(f"paysaga: the period has no length: from {_time(period.start)} to {_time(period.end)}")
        print("What happened in the last two minutes is on its way into the books and isn't compared yet.")
        return WRONG
    if file is not None and (code := _check(file)):
        return code
    try:
        return await _reconcile(settings, period, file)
    except (RPCError, RuntimeError, LedgerError) as error:
        print(f"paysaga: {error}")
        print("Nothing was changed. Try again when PostgreSQL and Temporal are there and `paysaga migrate` has run.")
        return UNAVAILABLE


def _check(file: Path) -> int:
    """Print what can't be read in the file. It is taken whole or not at all."""
    try:
        problems = list(islice((each for each in _read(file) if isinstance(each, ReportProblem)), _PROBLEMS_SHOWN))
    except OSError as error:
        print(f"paysaga: {file} can't be read: {error.strerror}")
        return WRONG
    for problem in problems:
        print(f"{file}:{problem.line}: {problem.what}")
    if problems:
        print("paysaga: the file can't be read as a settlement report; nothing of it was taken.")
    return WRONG if problems else 0


def _read(file: Path) -> Generator[SettlementItem | ReportProblem]:
    with file.open("rb") as opened:
        yield from read_report(opened)


async def _reconcile(settings: Settings, period: Period, file: Path | None) -> int:
    client = await connect_temporal(lazy=False)
    pool = await open_pool(settings.database_url, 1)
    cases = PostgresCases(pool)
    try:
        await cases.unexplained()  # whether the database is there at all
        begin = Begin(
            id=f"reconciliation-{secrets.token_hex(6)}",
            period=period,
            source=Source.RECORD if file is None else Source.FILE,
        )
        if file is not None:
            await _take(PostgresReconciliations(pool), begin, file)
        report = await _result(client, begin)
        _print(report, await cases.cases(CaseStatus.OPEN, None, _CASES_SHOWN))
    finally:
        pool.terminate()
    return DIFFERS if report.found else 0


async def _take(books: PostgresReconciliations, begin: Begin, file: Path) -> None:
    await books.begin(begin, SandboxRecord.name)
    lines = 0
    with closing(_read(file)) as found:
        items = (each for each in found if isinstance(each, SettlementItem))
        while portion := list(islice(items, _PORTION)):
            await books.add_items(begin.id, portion)
            lines += len(portion)
    await books.file_is_taken(begin.id, lines)
    print(f"{lines:,} lines of {file} taken", flush=True)


async def _result(client: Client, begin: Begin) -> Report:
    handle = await client.start_workflow(  # pyright: ignore[reportUnknownMemberType]
        "ReconciliationWorkflow",
        Reconcile(period=begin.period, source=begin.source),
        id=begin.id,
        task_queue=TASK_QUEUE,
        result_type=Report,
        static_summary="reconcile with the processor",
    )
    result = asyncio.ensure_future(handle.result())
    done, _ = await asyncio.wait({result}, timeout=_PATIENCE_SECONDS)
    if not done:
        print(
            f"still at it: workflow {begin.id} in the Web UI says where. Is a worker running? Ctrl-C leaves it to it."
        )
    return await result


def _print(report: Report, cases: tuple[Case, ...]) -> None:
    source = "its record" if report.source is Source.RECORD else "a settlement report"
    print(f"The books against the processor, by {source}")
    print(f"from {_time(report.period.start)} to {_time(report.period.end)}:")
    print(f"{report.matched:>9,} movements agree")
    if not report.matched:
        print("          (what happened in the last two minutes is on its way into the books, and not compared yet)")
    if report.healed:
        print(f"{report.healed:>9,} payments differed, were told to look, and agree now")
    for difference, count in report.found.items():
        print(f"{count:>9,} {MEANING[difference]} ({difference})")
    print(f"New cases: {report.new_cases:,}. Closed because both sides agree by now: {report.closed_cases:,}.")
    for case in cases:
        print(f"  {case.id}: {_words(case)}")
    if len(cases) == _CASES_SHOWN:
        print("  ... GET /v1/reconciliation/cases?status=open lists them all.")
    questioned = [str(each.money) for each in report.unexplained if each.amount]
    print(f"Unexplained: {', '.join(questioned)}." if questioned else "Nothing is unexplained.")


def _words(case: Case) -> str:
    here, there = _money(case.amount_here, case.currency_here), _money(case.amount_there, case.currency_there)
    sides = [f"{here} here" if here else "", f"{there} at the processor" if there else ""]
    what = f"{case.operation} {case.reference}" if case.reference != case.payment_id else case.operation
    whose = f"of payment {case.payment_id}" if case.payment_id else ""
    return ", ".join(filter(None, [case.difference, f"{what} {whose}".strip(), *sides]))


def _money(amount: int | None, currency: str | None) -> str:
    return "" if amount is None or currency is None else str(Money(amount=amount, currency=currency))


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
