"""`python -m prove.auditor` as people and the campaign run it."""

import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import TypeAdapter

from paysaga.dev.ports import HOST, free_port
from prove import result
from tests.harness import new_key, open_stack
from tests.integration.reconciled import tamper
from tests.integration.told import Teller, write


@pytest_asyncio.fixture(scope="module")
async def teller(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Teller]:
    async with open_stack(tmp_path_factory.mktemp("shop")) as stack:
        teller = Teller(stack)
        await teller.pay("first")
        await teller.refund("first", "refund", amount=100)
        await teller.end()
        yield teller


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "prove.auditor", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def of(teller: Teller, log: Path, *more: str, ledger: str | None = None, processor: str | None = None) -> list[str]:
    servers = teller.stack.servers
    where = ["--ledger", ledger or servers.postgres.dsn, "--processor", processor or servers.sandbox.url]
    return [*where, "--told", str(log), *more]


async def test_it_prints_a_table_and_the_json_that_the_report_reads(teller: Teller, tmp_path: Path) -> None:
    log, file = write(tmp_path / "told.jsonl", teller.lines), tmp_path / "audit.json"
    done = command(*of(teller, log, "--json", str(file)))
    assert (done.returncode, done.stderr) == (0, "")
    assert "No violation." in done.stdout
    read = TypeAdapter(result.Audit).validate_json(file.read_bytes())
    assert len(read.checks) > 40
    assert read.violations == ()
    # What nobody has done is not passed in silence.
    unseen = [line for line in done.stdout.splitlines() if line.endswith("looked at nothing")]
    assert len(unseen) == sum(check.looked_at == 0 for check in read.checks) > 0


async def test_violations_are_shown_with_their_evidence_and_exit_code_1(teller: Teller, tmp_path: Path) -> None:
    lines = [
        line | {"payment": "another", "id": "another"} if line.get("call") == "pay" else line for line in teller.lines
    ]
    log, file = write(tmp_path / "told.jsonl", lines), tmp_path / "audit.json"
    done = command(*of(teller, log, "--json", str(file)))
    assert done.returncode == 1
    assert "I5 told charged is charged: 1\n  another: call=pay, line=1" in done.stdout
    read = TypeAdapter(result.Audit).validate_json(file.read_bytes())
    assert {violation.payment_id for violation in read.violations} == {"another", "first"}
    assert sum(check.violations for check in read.checks) == len(read.violations)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: no JSON"),
        ("[]", "line 2: no JSON object"),
        ('{"kind": "rumour"}', "line 2: the kind 'rumour' is not known"),
        ('{"kind": "answer", "call": "pay"}', "line 2: 'body' is missing"),
        ('{"kind": "walk", "of": "planets"}', "line 2: there is no list of 'planets'"),
        ('{"kind": "quiet", "at": "noon"}', "line 2: could not convert string to float: 'noon'"),
    ],
)
async def test_a_line_that_cannot_be_read_is_named(teller: Teller, tmp_path: Path, line: str, said: str) -> None:
    log = write(tmp_path / "told.jsonl", teller.lines[:1])
    log.write_text(log.read_text() + line + "\n")
    done = command(*of(teller, log))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


async def test_without_books_processor_or_log_it_says_what_is_missing(teller: Teller, tmp_path: Path) -> None:
    log = write(tmp_path / "told.jsonl", teller.lines)
    nowhere = f"{HOST}:{free_port()}"
    servers = teller.stack.servers
    without_books = servers.postgres.dsn.rpartition("/")[0] + "/template1"
    for arguments, said in (
        (of(teller, log, ledger=f"postgresql://nobody@{nowhere}/none"), "The ledger can't be reached"),
        (of(teller, log, ledger="mysql://nobody"), "The ledger can't be reached"),
        (of(teller, log, ledger=without_books), "This database has no books"),
        (of(teller, log, processor=f"http://{nowhere}"), "The processor does not show its record"),
        (of(teller, log, processor="file:///etc"), "must begin with http:// or https://"),
        (of(teller, tmp_path / "none"), "The clients' log can't be read"),
    ):
        done = command(*arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


async def test_the_fingerprint_is_the_same_until_the_books_change(teller: Teller) -> None:
    dsn = teller.stack.servers.postgres.dsn

    def fingerprint() -> str:
        done = command("--ledger", dsn, "--fingerprint")
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    first = fingerprint()
    assert len(first.strip()) == 64
    # What passes by itself is no change, and neither is a look.
    await tamper(teller.stack, "UPDATE payments SET updated_at = now()")
    await teller.get("first")
    assert fingerprint() == first
    seen = {first}
    for change in (
        "UPDATE postings SET amount = amount + 1",
        "UPDATE refunds SET reason = 'another'",
        "UPDATE ledger_transactions SET processor_reference = 'another'",
        "UPDATE payment_events SET actor = 'operator'",
        "UPDATE payments SET customer = 'another'",
    ):
        await tamper(teller.stack, change)
        seen.add(fingerprint())
    await teller.pay(new_key())
    seen.add(fingerprint())
    assert len(seen) == 7
