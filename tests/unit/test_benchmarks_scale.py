"""The parts of `python -m benchmarks.scale` that need no servers."""

from pathlib import Path

import pytest

from benchmarks.figures import counted, significant
from benchmarks.jobs import Outcome, Sent, some_payments
from benchmarks.machine import Machine
from benchmarks.scale import portions
from benchmarks.scale.options import parse
from benchmarks.scale.portions import send_all, until_all
from benchmarks.scale.results import Backlog, Phase, Scale, Stock, growth_kb
from benchmarks.scale.table import text
from paysaga.dev.errors import DevStackError

PROCESSES: tuple[str, ...] = ("api", "worker", "temporal", "postgres")


def a_phase(name: str, *, rate: float, cpu: float, waiting: int = 0) -> Phase:
    return Phase(
        phase=name,
        in_the_books=700,
        open=waiting,
        payments=600,
        payments_per_s=rate,
        p50_ms=100,
        p99_ms=200,
        sent_again=0,
        cpu_ms_per_payment=cpu,
        cpu_ms_by_process=dict.fromkeys(PROCESSES, cpu / 4),
        events=9,
        workflow_tasks=1,
        actions=4,
        replays=600,
        replay_cpu_ms=1.25,
        replays_per_s=800,
        memory_mb=dict.fromkeys(PROCESSES, 80.0),
        yardstick_ms=100,
    )


def a_stock(payments: int, megabytes: float, waiting: int = 0) -> Stock:
    memory = dict.fromkeys(PROCESSES, megabytes)
    return Stock(payments=payments, open=waiting, memory_mb=memory, disk_mb={"ledger": 2 * megabytes})


def a_scale() -> Scale:
    machine = Machine(
        date="2026-01-01T00:00:00+00:00",
        cpu_count=2,
        memory_kind="PSS",
        system="Linux x86_64",
        python="3.11.7",
        temporal_server="1.32.0",
        postgres="18.6",
        packages={},
    )
    backlog = Backlog(
        payments=5000,
        ready_s=1.5,
        drained_s=25,
        payments_per_s=200,
        clients=4,
        meanwhile=1000,
        all_per_s=240,
        of_sample_rate=1.2,
        p50_ms=90,
        p99_ms=400,
        max_ms=512,
    )
    return Scale(
        machine=machine,
        clients=32,
        phases=[a_phase("fresh", rate=200, cpu=20), a_phase("with 20,000 open", rate=190, cpu=21, waiting=20_000)],
        stocks=[a_stock(700, 80), a_stock(21_300, 90, waiting=20_000)],
        backlog=backlog,
        kb_per_1000_payments={"api": 12.0},
        kb_per_open={"worker": -0.25},
        verified=6700,
        verified_open=20_000,
    )


def test_the_defaults_are_the_full_size() -> None:
    plan = parse([])
    assert (plan.payments, plan.open, plan.backlog, plan.clients, plan.sample) == (100_000, 20_000, 5_000, 32, 600)
    assert (plan.json_file, plan.scratch) == (None, None)
    assert plan.duplicates == 600


@pytest.mark.parametrize(
    "arguments",
    [
        ("--payments", "0"),
        ("--open", "-1"),
        ("--open", "100000"),
        ("--clients", "1,8"),
        ("--scratch", "/nonesuch"),
        ("x",),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(arguments)
    assert exit_.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_directory_is_no_file_to_write(tmp_path: Path) -> None:
    assert parse(["--json", str(tmp_path / "scale.json")]).json_file == tmp_path / "scale.json"
    with pytest.raises(SystemExit):
        parse(["--json", str(tmp_path)])


def test_growth_is_what_came_between_for_each() -> None:
    assert growth_kb({"api": 80.0, "worker": 70.0}, {"api": 90.0, "worker": 69.0}, 100) == {
        "api": 100.0,
        "worker": -10.0,
    }
    assert growth_kb({"api": 80.0}, {"api": 90.0}, 0) == {}


def test_one_table_has_a_line_for_each_phase_and_one_for_each_store() -> None:
    phases, words, stocks, _ = text(a_scale()).split("\n\n")
    head, fresh, with_open, backlog = phases.splitlines()
    assert head.split()[:2] == ["phase", "payments/s"]
    assert fresh.split()[:2] == ["fresh", "200"]
    assert with_open.split()[-2:] == ["1.05", "0.95"]
    assert backlog.split()[:6] == ["backlog", "of", "5,000", "240", "90.0", "400"]
    assert backlog.split()[-1] == "1.20"
    assert len({len(line) for line in (head, fresh, with_open, backlog)}) == 1
    assert "4 clients sent 1,000 new payments, which took 512 ms at most" in words
    lines = [line.split() for line in stocks.splitlines()]
    assert lines[0][:6] == ["MB", "700", "paid", "1,300", "paid,", "20,000"]
    assert lines[1] == ["API", "80.0", "90.0", "+12.0", "-"]
    assert lines[2] == ["worker", "80.0", "90.0", "-", "-0.2"]
    assert lines[-1][:3] == ["ledger", "on", "disk"]


def test_what_was_verified_is_said() -> None:
    assert text(a_scale()).splitlines()[-1] == (
        "Verified: 6,700 payments held, charged and recorded once each; 20,000 open ones not held, charged or recorded."
    )


async def test_many_payments_go_in_portions_and_each_once() -> None:
    sent: list[Sent] = []
    told: list[str] = []

    async def send(part: list[Sent]) -> Outcome:
        sent.extend(part)
        return Outcome(seconds=len(part) / 300, latencies_ms=[])

    payments = some_payments("key", 2000)
    await send_all(payments, send, told.append)
    assert sent == payments
    assert told == ["100 of 2,000, 300/s", "1,600 of 2,000, 300/s", "2,000 of 2,000, 300/s"]


async def test_waiting_ends_when_all_are_there() -> None:
    counts = iter([0, 2, 2, 3])

    async def count() -> int:
        return next(counts)

    await until_all(count, 3, "are there", lambda _: None, poll_seconds=0)
    assert list(counts) == []


async def test_what_stands_still_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "_STANDSTILL_SECONDS", 0.05)

    async def count() -> int:
        return 2

    with pytest.raises(DevStackError, match="2 of 3 are there"):
        await until_all(count, 3, "are there", lambda _: None, poll_seconds=0.01)


def test_numbers_as_people_read_them() -> None:
    assert [counted(number, "client") for number in (1, 8, 1000)] == ["1 client", "8 clients", "1,000 clients"]
    assert [significant(value) for value in (25.14, 703.2, 0)] == ["25.1", "703", "0"]
