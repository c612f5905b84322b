"""`paysaga demo` as a person uses it, and that it notices when something is not as told."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import psutil
import pytest

from paysaga.demo.books import read_books
from paysaga.demo.running import running_stack
from paysaga.demo.service import Service, open_service
from paysaga.demo.story import STORY, Demo, a_payment, the_books
from paysaga.demo.telling import tell, verdict
from paysaga.demo.terminal import Terminal
from paysaga.dev.data_dir import DataDir
from paysaga.dev.http import get_status
from paysaga.dev.ports import free_ports
from paysaga.dev.postgres import EmbeddedPostgres
from paysaga.dev.process import clean_environment
from paysaga.dev.services import SandboxProcess
from tests.harness import running

# They share one telling of the story, so they stay in one process of pytest-xdist (with --dist loadgroup).
pytestmark = pytest.mark.xdist_group("demo")

TOLD_SECONDS = 60


@dataclass
class Told:
    """What one `paysaga demo` left behind."""

    data_dir: Path
    code: int
    output: str
    seconds: float
    left: list[psutil.Process]


def run_demo(data_dir: Path, stop_at: str | None = None) -> Told:
    """The demo as a process; with Ctrl-C as soon as it has said `stop_at`."""
    output = data_dir.with_name(f"{data_dir.name}-{time.monotonic_ns()}.out")
    command = [sys.executable, "-m", "paysaga", "demo", "--data-dir", str(data_dir)]
    begun = time.monotonic()
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=clean_environment())
    seen: set[psutil.Process] = set()
    try:
        while process.poll() is None:
            assert time.monotonic() - begun < 1.5 * TOLD_SECONDS, output.read_text(encoding="utf-8")
            seen |= children(process.pid)
            if stop_at and stop_at in output.read_text(encoding="utf-8"):
                process.send_signal(signal.SIGINT)
                stop_at = None
            time.sleep(0.1)
    finally:
        process.kill()
    left = [one for one in seen if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    return Told(data_dir, process.wait(), output.read_text(encoding="utf-8"), time.monotonic() - begun, left)


def children(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


@asynccontextmanager
async def what_it_left(data_dir: Path) -> AsyncGenerator[tuple[Service, list[str]]]:
    """The processor and the ledger of an earlier demo, and its payments. Nothing else is needed to compare them."""
    postgres_port, processor_port = free_ports(2)
    postgres = EmbeddedPostgres(data_dir, postgres_port)
    processor = SandboxProcess(data_dir / "processor.db", processor_port)
    addresses = {"PAYSAGA_DATABASE_URL": postgres.dsn, "PAYSAGA_PROCESSOR_URL": processor.url}
    async with running(postgres, processor), open_service(DataDir(data_dir), addresses) as service:
        rows = await service.ledger.fetch("SELECT id FROM payments ORDER BY created_at")
        yield service, [row["id"] for row in rows]


def a_demo(service: Service, payment_ids: list[str] | None = None) -> tuple[Demo, StringIO]:
    out = StringIO()
    return Demo(service, Terminal(out), payment_ids=payment_ids or []), out


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return run_demo(tmp_path_factory.mktemp("demo") / "data")


def test_the_story_is_as_told_within_a_minute(told: Told) -> None:
    assert told.code == 0, told.output
    assert told.seconds < TOLD_SECONDS
    for number, title in enumerate(STORY, start=1):
        assert re.search(rf"^{number}\. {re.escape(title)}$", told.output, re.MULTILINE), told.output
    assert "   ✗" not in told.output
    assert f"All {len(STORY)} steps were as told" in told.output


def test_each_failure_really_happened(told: Told) -> None:
    for line in (
        r"20 x 201 succeeded; 1 new, 19 with Idempotent-Replayed: true",
        r"422 idempotency_key_reused",
        r"201 declined",
        r"200 processing, outcome_unknown: capture since",
        r"kill -9 \d+",
        r"the stack has started another worker \(PID \d+\)",
        r"201 failed, ISK 3000 charged, ISK 3000 refunded",
        r"refused-recording +failed +ISK 3000 +ISK 3000 +ISK 3000 +ISK 3000 +yes",
    ):
        assert re.search(line, told.output), f"{line} in:\n{told.output}"


def test_output_in_a_file_is_plain_text(told: Told) -> None:
    assert not {"\033", "\r"} & set(told.output)


def test_nothing_of_it_runs_on(told: Told) -> None:
    assert told.left == []
    assert not (told.data_dir / "env").exists()


async def test_a_charge_that_only_the_ledger_knows_is_noticed(told: Told) -> None:
    async with what_it_left(told.data_dir) as (service, payment_ids):
        demo, out = a_demo(service, payment_ids)
        await tell({"The books": the_books}, demo)
        assert verdict(demo.terminal, 1, 0) == 0, out.getvalue()

        (payment_id,) = [each for each in payment_ids if each.endswith("4-decline")]
        await service.ledger.execute(
            """
            SET session_replication_role = replica;  -- the database itself would refuse this
            INSERT INTO ledger_transactions (operation_key, payment_id, operation, processor, processor_reference)
                VALUES ('capture-1-forged', (SELECT id FROM payments WHERE id LIKE '%4-decline'), 'capture', 'sandbox',
                        'cap_forged');
            INSERT INTO postings (transaction, debit_account, credit_account, amount, currency)
                VALUES ((SELECT max(sequence) FROM ledger_transactions), 'processor_receivable:sandbox', 'sales', 4990,
                        'EUR');
            """
        )
        books = await read_books(service, payment_ids)
        forged = "the ledger has a capture of EUR 49.90 (capture-1-forged) that the processor never did"
        assert books.differences() == [f"{payment_id}: {forged}"]
        demo, out = a_demo(service, payment_ids)
        await tell({"The books": the_books}, demo)
        assert verdict(demo.terminal, 1, 0) == 1
        assert "✗  the processor's journal and the ledger agree" in out.getvalue()
        assert "Not as told:\n  - 1. The books: the processor's journal and the ledger agree; but" in out.getvalue()


async def test_a_running_stack_is_used_and_left_running_and_a_wrong_answer_is_noticed(told: Told) -> None:
    data, out = DataDir(told.data_dir), StringIO()
    async with running_stack(data, Terminal()) as own:
        async with running_stack(data, Terminal(out)) as used, open_service(data, used.addresses) as service:
            assert (own.own, used.own) == (True, False)
            assert used.addresses == own.addresses
            assert f"On the stack that runs in {data.path}." in out.getvalue()
            fault = {"operation": "authorize", "fault": "decline"}
            await service.http.post(f"{own.addresses['PAYSAGA_PROCESSOR_URL']}/faults", json=fault)
            demo, out = a_demo(service)
            await tell({"A payment": a_payment}, demo)
            assert verdict(demo.terminal, 1, 0) == 1
            assert "✗  201 succeeded; but it was: 201 declined" in out.getvalue()
            assert "✗  charged once" in out.getvalue()
        assert await get_status(f"{own.addresses['PAYSAGA_API_URL']}/readyz") == 200


def test_ctrl_c_stops_what_it_started(told: Told) -> None:
    again = run_demo(told.data_dir, stop_at="1. A payment")
    assert again.code == 130, again.output
    assert again.left == []
    assert "Traceback" not in again.output


def test_a_stack_that_can_not_start_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = run_demo(tmp_path / "file")
    assert refused.code == 1
    assert refused.output.splitlines()[1:] == [f"paysaga: --data-dir {tmp_path / 'file'} is not a directory"]
