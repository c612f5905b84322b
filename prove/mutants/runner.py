"""Runs the campaign on copies of the service with a bug in each, and says what noticed it."""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from prove.mutants.copies import Copy
from prove.mutants.planted import Planted
from prove.options import Options
from prove.result import Mutant, Result, read

PAYMENTS: Final = 60
# A bug may keep a campaign from ending: it hurries, but something may still hang.
LIMIT_SECONDS: Final = 420.0
# What a copy without a bug needs for the faults of all of them.
LIMIT_UNPATCHED_SECONDS: Final = 1800.0
TEST_SECONDS: Final = 300.0
EVIDENCE: Final = 500
_TESTS_FAILED: Final = 1
_SUMMARY: Final = "short test summary info"
_NOTHING: Final[tuple[str | None, str]] = (None, "")
# Problems that say nothing of the bug: a fault that never came, and the sum of what the auditor lists.
_NO_EVIDENCE: Final = ("armed and never happened",)
UNCAUGHT: Final = "planted and not noticed: "


class NotProven(Exception):
    """Without a bug it fails as well, so nothing that fails shows anything."""


class Runner:
    """One after another: each has all of the machine."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say

    async def run(self, bugs: Sequence[Planted]) -> tuple[Result, tuple[Mutant, ...]]:
        """The unpatched copy's campaign, and what became of each bug. Raises `NotProven` and `CopyFailed`."""
        without = await self._without(bugs)
        found: list[Mutant] = []
        for bug in bugs:
            mutant = await self._try(bug)
            caught = f"caught by {mutant.caught_by}" if mutant.caught_by else "NOT CAUGHT"
            self._say(f"{bug.name:34} {mutant.seconds:5.0f} s  {caught}")
            found.append(mutant)
        return without, tuple(found)

    async def _without(self, bugs: Sequence[Planted]) -> Result:
        faults = tuple(dict.fromkeys(fault for bug in bugs for fault in bug.faults))
        began = time.monotonic()
        with _folder() as folder:
            copy = Copy(folder / "copy")
            await copy.make()
            seconds = max(bug.seconds for bug in bugs)
            code, said, result = await self._campaign(copy, faults, seconds, LIMIT_UNPATCHED_SECONDS, hurry=False)
            if code or result is None:
                raise NotProven(f"a copy without a bug fails as well: {said[-2000:]}")
            for test in sorted({bug.test for bug in bugs if bug.test}):
                code, said = await _pytest(copy, test)
                if code:
                    raise NotProven(f"a copy without a bug fails {test} as well: {said[-2000:]}")
        self._say(f"{'without a bug':34} {time.monotonic() - began:5.0f} s  passed, {len(faults)} kinds of faults")
        return result

    async def _try(self, bug: Planted) -> Mutant:
        began, word = time.monotonic(), _NOTHING
        with _folder() as folder:
            copy = Copy(folder / "copy")
            await copy.make(bug.patch)
            if bug.faults:
                _, said, result = await self._campaign(copy, bug.faults, bug.seconds, LIMIT_SECONDS, hurry=True)
                word = noticed(result) if result is not None else (None, said[-EVIDENCE:])
            if bug.test is not None and word[0] is None:
                code, said = await _pytest(copy, bug.test)
                word = (f"test: {bug.test}" if code == _TESTS_FAILED else None, failures(said))
        caught_by, evidence = word
        return Mutant(bug.name, bug.what, caught_by, evidence, round(time.monotonic() - began, 1))

    async def _campaign(
        self, copy: Copy, faults: Sequence[str], seconds: float, limit: float, *, hurry: bool
    ) -> tuple[int, str, Result | None]:
        """Its exit code, what it said, and its report if it has come to an end."""
        report = copy.folder.parent / "report"
        command = [sys.executable, "-m", "paysaga", "prove", "--seed", str(self._options.seed)]
        command += ["--payments", str(PAYMENTS), "--minutes", f"{seconds / 60:.3f}", "--faults", ",".join(faults)]
        command += ["--report", str(report), *(["--hurry"] if hurry else [])]
        try:
            code, said = await copy.run(*command, seconds=limit)
        except TimeoutError:
            return 1, f"it had not ended after {limit:.0f} s", None
        written = report / "proof.json"
        return code, said, read(written) if written.exists() else None


def noticed(result: Result) -> tuple[str | None, str]:
    """What noticed the bug, and how; what the auditor says comes first."""
    audit = result.audit
    if audit is not None and audit.violations:
        rows = Counter(f"{violation.invariant} {violation.check}" for violation in audit.violations)
        first = audit.violations[0]
        evidence = f"{first.check}, {first.payment_id or 'all payments'}: {json.dumps(first.evidence)}"
        return "; ".join(f"{check} ({count})" for check, count in rows.most_common()), evidence[:EVIDENCE]
    sums = f"{len(audit.violations)} violations" if audit is not None else ""
    problems = [each for each in result.problems if each != sums and not each.startswith(_NO_EVIDENCE)]
    if problems:
        return f"campaign: {_first_line(problems[0])}", "; ".join(problems)[:EVIDENCE]
    return None, "; ".join(result.problems)[:EVIDENCE]


def failures(said: str) -> str:
    """The end of what pytest said: which tests failed, if it came to that, without the frames of this machine."""
    return said.rpartition(_SUMMARY)[2].strip(" =\n")[-EVIDENCE:]


def noted(result: Result, mutants: tuple[Mutant, ...]) -> Result:
    """The result with their table; a bug that nothing noticed is a problem of the proof."""
    missed = tuple(f"{UNCAUGHT}{each.name}" for each in mutants if each.caught_by is None)
    others = tuple(problem for problem in result.problems if not problem.startswith(UNCAUGHT))
    return replace(result, mutants=mutants, problems=others + missed)


async def _pytest(copy: Copy, test: str) -> tuple[int, str]:
    try:
        return await copy.run(
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test, seconds=TEST_SECONDS
        )
    except TimeoutError:
        return -1, f"{test} had not ended after {TEST_SECONDS:.0f} s"


@contextmanager
def _folder() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="paysaga-planted-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _first_line(text: str) -> str:
    return text.splitlines()[0][:160]
