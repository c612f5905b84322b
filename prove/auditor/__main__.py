"""`python -m prove.auditor`: judges a run by the processor's journal, the ledger's rows and the clients' log."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from prove.auditor.auditing import Audit, audit, connected, fingerprint
from prove.auditor.loading import CannotAudit
from prove.auditor.printing import as_json, listed, table

RIGHT: Final = 0
WRONG: Final = 1
NOT_AUDITED: Final = 2


def main() -> int:
    """Audits, or prints the fingerprint; returns the exit code."""
    arguments = _arguments()
    try:
        if arguments.fingerprint:
            print(asyncio.run(_fingerprint(arguments.ledger)))
            return RIGHT
        found = asyncio.run(_audit(arguments.ledger, arguments.processor, arguments.told))
        if arguments.json is not None:
            written = json.dumps(as_json(found.checks, found.violations), indent=1, ensure_ascii=False)
            arguments.json.write_text(written + "\n", "utf-8")
    except (CannotAudit, OSError) as error:
        print(f"auditor: {error}", file=sys.stderr)
        return NOT_AUDITED
    print(f"{found.entries:,} entries of the journal, {found.lines:,} lines of the log", end="")
    print(f" and the books loaded in {found.loading_seconds:.1f} s\n")
    print(table(found.checks))
    print(listed(found.violations) if found.violations else "\nNo violation.")
    return WRONG if found.violations else RIGHT


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m prove.auditor",
        description="Judges a run by the processor's journal, the ledger's rows and the clients' log. "
        "Exit code 0: no violation, 1: violations, 2: could not audit.",
    )
    parser.add_argument("--ledger", required=True, metavar="DSN", help="the database, as a role that may read it all")
    parser.add_argument("--processor", metavar="URL", help="the processor, whose record is at /v1/record")
    parser.add_argument("--told", type=Path, metavar="FILE", help="the clients' log: JSON lines")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything here, too")
    parser.add_argument("--fingerprint", action="store_true", help="only print one hash of the money tables")
    arguments = parser.parse_args()
    if not arguments.fingerprint and not (arguments.processor and arguments.told):
        parser.error("--processor and --told are needed, or --fingerprint")
    return arguments


async def _fingerprint(dsn: str) -> str:
    async with connected(dsn) as connection:
        return await fingerprint(connection)


async def _audit(dsn: str, processor: str, log: Path) -> Audit:
    async with connected(dsn) as connection:
        return await audit(connection, processor, log)


if __name__ == "__main__":
    sys.exit(main())
