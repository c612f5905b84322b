"""`python -m benchmarks.pages`: see `--help`."""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import asyncpg

from benchmarks.arguments import Parser, add_places, check_places, number
from benchmarks.command import carry_out, run_and_leave, tell
from benchmarks.machine import describe
from benchmarks.pages import table
from benchmarks.pages.exporting import export
from benchmarks.pages.filling import fill
from benchmarks.pages.measuring import latencies
from benchmarks.pages.results import Book, Pages
from benchmarks.report import replace_json
from paysaga.dev.ports import free_port
from paysaga.dev.postgres import EmbeddedPostgres

_PAYMENTS_MAX: Final = 100_000_000
_LIMIT: Final = 50
_DESCRIPTION: Final = """\
Fills the ledger with made-up payments, ten times as many each time, and measures in PostgreSQL how long a page of the
payments and of the transaction history takes: at its beginning, at its end and anywhere, by every filter. Then takes
the whole history as a file from the API. By default 10 million payments."""


@dataclass(frozen=True, slots=True)
class PagesPlan:
    """How much of everything."""

    payments: int
    pages: int
    json_file: Path | None = None
    plot_file: Path | None = None
    scratch: Path | None = None

    @property
    def sizes(self) -> list[int]:
        """Payments of each book, each ten times the one before, the last as many as were asked for."""
        return sorted({max(self.payments // 10**n, 1) for n in range(4)})


class _Options(argparse.Namespace):
    payments: int
    pages: int
    json: Path | None
    plot: Path | None
    scratch: Path | None


def parse(arguments: Sequence[str] | None) -> PagesPlan:
    """The plan that the arguments ask for. Exits with 2 and one line when they are wrong."""
    parser = Parser(prog="python -m benchmarks.pages", description=_DESCRIPTION)
    parser.add_argument(
        "--payments", type=number(_PAYMENTS_MAX), default=10_000_000, metavar="N", help="in the largest books"
    )
    parser.add_argument("--pages", type=number(100_000), default=300, metavar="N", help="of each sort (default: 300)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture of the figures there, as SVG")
    add_places(parser, "a size is done")
    options = parser.parse_args(arguments, namespace=_Options())
    check_places(parser, options.json, options.scratch)
    return PagesPlan(options.payments, options.pages, options.json, options.plot, options.scratch)


async def measure_pages(plan: PagesPlan) -> int:
    """Measure and report; returns the exit code. Interrupted, it stops all it started."""
    return await carry_out(_tables(plan), "benchmarks.pages")


async def _tables(plan: PagesPlan) -> str:
    found = Pages(machine=await describe(), page=_LIMIT)
    with tempfile.TemporaryDirectory(prefix="paysaga-pages-", dir=plan.scratch, ignore_cleanup_errors=True) as path:
        postgres = EmbeddedPostgres(Path(path), free_port())
        try:
            await postgres.start()
            for payments in plan.sizes:
                await _measure(plan, postgres, payments, found)
                if plan.json_file is not None:
                    replace_json(plan.json_file, found.model_dump())
            found.export = await export(_dsn(postgres, plan.sizes[-1]), Path(path))
        finally:
            await postgres.stop()
    if plan.json_file is not None:
        replace_json(plan.json_file, found.model_dump())
    if plan.plot_file is not None:
        plan.plot_file.write_text(table.plot(found), encoding="utf-8")
    return table.text(found)


def _dsn(postgres: EmbeddedPostgres, payments: int) -> str:
    return postgres.admin_dsn.rpartition("/")[0] + f"/pages_{payments}"


async def _measure(plan: PagesPlan, postgres: EmbeddedPostgres, payments: int, found: Pages) -> None:
    begun, dsn = time.monotonic(), _dsn(postgres, payments)
    admin = await asyncpg.connect(postgres.admin_dsn)
    try:
        await admin.execute(f"CREATE DATABASE pages_{payments}")
    finally:
        await admin.close()
    migration_s = await fill(dsn, payments)
    db = await asyncpg.connect(dsn)
    try:
        transactions: int = await db.fetchval("SELECT count(*) FROM history")
        disk: int = await db.fetchval("SELECT pg_database_size(current_database())")
        history: int = await db.fetchval("SELECT pg_total_relation_size('history')")
    finally:
        await db.close()
    book = Book(
        payments=payments,
        transactions=transactions,
        disk_mb=disk / 1e6,
        history_mb=history / 1e6,
        migration_s=migration_s,
    )
    found.books.append(book)
    tell(f"{payments:,} payments, {transactions:,} transactions: filled in {time.monotonic() - begun:.0f} s")
    found.latencies += await latencies(dsn, payments, transactions, _LIMIT, plan.pages)
    here = [each for each in found.latencies if each.transactions == transactions]
    slowest, first = max(here, key=lambda each: each.p99_ms), max(here, key=lambda each: each.first_p99_ms)
    tell(f"  slowest: {slowest.listed} by {slowest.chosen_by}, {slowest.place}: p99 {slowest.p99_ms:.2f} ms")
    tell(f"  at the first look: {first.listed} by {first.chosen_by}, {first.place}: p99 {first.first_p99_ms:.2f} ms")


def main() -> NoReturn:
    run_and_leave(measure_pages(parse(None)))


if __name__ == "__main__":
    main()
