"""The auditor's side that we see: a program of its own, which is given addresses and a file and says what it found."""

import asyncio
import sys
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from paysaga.dev.process import Child, clean_environment
from prove.result import Audit
from prove.stack import Stack

_ROOT: Final = Path(__file__).parents[1]
_AUDIT: Final = TypeAdapter(Audit)
_VIOLATIONS: Final = 1


class AuditFailed(Exception):
    """The auditor couldn't do its work."""


async def audit(stack: Stack, told: Path, found: Path) -> Audit:
    """What it found. Raises `AuditFailed`."""
    where = ["--ledger", stack.postgres.dsn, "--processor", stack.processor_url, "--told", str(told)]
    code, said = await _run(stack, *where, "--json", str(found))
    if code not in {0, _VIOLATIONS}:
        raise AuditFailed(f"the auditor ended with exit code {code}: {said}")
    return _AUDIT.validate_json(await asyncio.to_thread(found.read_bytes))


async def books_hash(stack: Stack) -> str:
    """One hash of everything in the books."""
    code, said = await _run(stack, "--fingerprint", "--ledger", stack.postgres.dsn)
    if code:
        raise AuditFailed(f"the auditor ended with exit code {code}: {said}")
    return said.strip()


async def _run(stack: Stack, *arguments: str) -> tuple[int, str]:
    # The address holds a password; this machine's other users could read it in a list of processes, but the server
    # ends with the campaign.
    command = [sys.executable, "-m", "prove.auditor", *arguments]
    child = await Child.start(command, log=stack.data / "auditor.log", env=clean_environment(), cwd=_ROOT)
    return await asyncio.shield(child.wait()), child.output()
