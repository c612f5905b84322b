"""`python -m benchmarks.scale` as a person runs it, with few payments."""

import json
from pathlib import Path

import pytest

from tests.e2e.test_benchmarks import start, started_in

pytestmark = pytest.mark.benchmarks

ARGUMENTS = ("--payments", "30", "--open", "5", "--backlog", "10", "--clients", "4", "--sample", "10")


def test_a_small_run(tmp_path: Path) -> None:
    file, scratch = tmp_path / "scale.json", tmp_path / "scratch"
    scratch.mkdir()
    run = start(scratch, *ARGUMENTS, "--json", str(file), module="benchmarks.scale")
    output, progress = run.communicate(timeout=110)
    assert run.returncode == 0, progress

    content = json.loads(file.read_text(encoding="utf-8"))
    phases = {phase["phase"]: phase for phase in content["phases"]}
    assert list(phases) == ["fresh", "after 30 payments", "with 5 open"]
    assert [(phase["in_the_books"], phase["open"]) for phase in phases.values()] == [(10, 0), (30, 0), (45, 5)]
    for phase in phases.values():
        assert (phase["payments"], phase["replays"]) == (10, 40)
        assert 0 < phase["p50_ms"] <= phase["p99_ms"]
        assert phase["cpu_ms_per_payment"] == pytest.approx(sum(phase["cpu_ms_by_process"].values()))
    for stock in content["stocks"]:
        assert set(stock["memory_mb"]) == {"api", "worker", "temporal", "postgres"}
        assert all(megabytes > 1 for megabytes in (*stock["memory_mb"].values(), *stock["disk_mb"].values()))
    assert content["backlog"]["payments"] == 10
    assert content["backlog"]["p50_ms"] <= content["backlog"]["max_ms"]
    assert content["verified"] == 50 + 10 + content["backlog"]["meanwhile"]
    assert content["verified_open"] == 5
    assert "backlog of 10" in output

    assert list(scratch.iterdir()) == []
    assert started_in(scratch) == []
