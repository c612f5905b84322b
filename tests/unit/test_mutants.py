"""Planted bugs: each patch fits the code as it is, says what it is, and shows in faults that there are."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from prove.faults import FAULTS
from prove.mutants.copies import ROOT, Copy, CopyFailed
from prove.mutants.planted import FOLDER, Malformed, planted, read
from prove.mutants.runner import UNCAUGHT, failures, noted, noticed
from prove.result import Audit, Mutant, Violation
from tests import proof_samples

PATCHES = sorted(FOLDER.glob("*.patch"))
HEAD = "What: a bug\nFaults: worker-killed, api-killed\nSeconds: 9\n"
DIFF = "diff --git a/one b/one\n"


def write(folder: Path, text: str) -> Path:
    (patch := folder / "bug.patch").write_text(text, encoding="utf-8")
    return patch


def test_there_are_at_least_fifteen() -> None:
    assert len(planted()) >= 15


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_each_patch_fits_the_code_as_it_is(patch: Path) -> None:
    command = ["git", "apply", "--check", str(patch)]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.stderr == ""
    assert checked.returncode == 0


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_each_shows_in_faults_and_tests_that_there_are(patch: Path) -> None:
    bug = read(patch)
    assert bug.what.endswith(".")
    assert set(bug.faults) <= {fault.name for fault in FAULTS}
    assert bug.test is None or (ROOT / bug.test.partition("::")[0]).is_file()


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_no_bug_is_planted_into_what_looks_for_it(patch: Path) -> None:
    changed = [line for line in patch.read_text(encoding="utf-8").splitlines() if line.startswith("+++ ")]
    assert changed
    assert [line for line in changed if line.startswith(("+++ b/prove/", "+++ b/tests/", "+++ b/sandbox/"))] == []


def test_a_head_is_read(tmp_path: Path) -> None:
    bug = read(write(tmp_path, f"{HEAD}\n{DIFF}"))
    assert (bug.name, bug.what, bug.faults, bug.seconds) == ("bug", "a bug", ("worker-killed", "api-killed"), 9.0)
    assert bug.test is None


@pytest.mark.parametrize(
    "text", [HEAD, DIFF, f"What: a bug\n{DIFF}", f"Faults: worker-killed\n{DIFF}", f"{HEAD}Why: none\n{DIFF}"]
)
def test_a_patch_without_a_whole_head_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        read(write(tmp_path, text))


def test_a_name_that_no_bug_has_is_refused() -> None:
    with pytest.raises(Malformed, match="no such planted bug: nothing"):
        planted("nothing")


def test_a_violation_notices_a_bug_and_is_named_by_its_check() -> None:
    audit = Audit((), (Violation("I2", "each movement is one transaction", "order-1", {"ledger": None}),))
    caught_by, evidence = noticed(replace(proof_samples.passed(), audit=audit, problems=("1 violations",)))
    assert caught_by == "I2 each movement is one transaction (1)"
    assert evidence == 'each movement is one transaction, order-1: {"ledger": null}'


def test_a_fault_that_never_happened_notices_nothing() -> None:
    result = replace(proof_samples.passed(), problems=("armed and never happened: worker-killed",))
    assert noticed(result)[0] is None


def test_what_does_not_come_to_an_end_notices_a_bug() -> None:
    problems = ("armed and never happened: worker-killed", "payments were still under way after 40 s: 1 payments (a)")
    result = replace(proof_samples.passed(), problems=problems)
    assert noticed(result)[0] == f"campaign: {problems[1]}"


def test_what_a_test_says_is_which_test_failed_and_no_frames() -> None:
    end = "FAILED tests/a.py::b\n1 failed in 4s"
    assert failures(f"/home/somebody/threads.py:115: TimeoutError\n=== short test summary info ===\n{end}") == end
    assert failures("no tests ran") == "no tests ran"


def test_a_bug_that_nothing_notices_fails_the_proof_until_something_does() -> None:
    missed = Mutant("bug", "A bug.", None, "", 1.0)
    result = noted(proof_samples.passed(), (missed,))
    assert result.problems == (f"{UNCAUGHT}bug",)
    assert noted(result, (replace(missed, caught_by="I1 charged once"),)).passed


async def test_a_copy_with_a_patch_is_what_runs_in_it(tmp_path: Path) -> None:
    copy = Copy(tmp_path / "copy")
    await copy.make(FOLDER / "outage-is-answered-500.patch")
    code, said = await copy.run(sys.executable, "-c", "import payments.request; print(payments.request.__file__)")
    assert (code, said.strip()) == (0, str(copy.folder / "payments" / "request.py"))
    assert "DATABASE_UNAVAILABLE: 500" in (copy.folder / "api" / "problems.py").read_text(encoding="utf-8")
    assert "DATABASE_UNAVAILABLE: 503" in (ROOT / "api" / "problems.py").read_text(encoding="utf-8")


async def test_a_patch_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    patch = write(tmp_path, f"{HEAD}\n{DIFF}--- a/one\n+++ b/one\n@@ -1 +1 @@\n-1\n+2\n")
    with pytest.raises(CopyFailed, match=r"bug\.patch doesn't apply"):
        await Copy(tmp_path / "copy").make(patch)
