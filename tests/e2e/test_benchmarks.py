"""The benchmark as a person runs it, with few payments."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from paysaga.dev.process import clean_environment

pytestmark = pytest.mark.benchmarks

CONTRACT = {
    "system": str,
    "clients": int,
    "payments_per_s": float,
    "p50_ms": float,
    "p99_ms": float,
    "cpu_ms_per_payment": float,
    "events": float,
    "actions": float,
}


def start(tmp_path: Path, *arguments: str, module: str = "benchmarks") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, "--scratch", str(tmp_path), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment())


def started_in(scratch: Path) -> list[psutil.Process]:
    """Whatever runs with our data directory in its command line or as children of what does."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if any(str(scratch) in word for word in process.cmdline()):
                found += [process, *process.children(recursive=True)]
        except psutil.Error:
            continue
    return found


def test_a_small_run_of_every_kind_of_system(tmp_path: Path) -> None:
    file, scratch = tmp_path / "figures.json", tmp_path / "scratch"
    scratch.mkdir()
    # The textbook's programs once: on their own settings they take twice the time, and are the same.
    systems = ("--systems", "paysaga,textbook-tuned,handwritten")
    run = start(scratch, *systems, "--clients", "2", "--payments", "4", "--rounds", "1", "--json", str(file))
    output, progress = run.communicate(timeout=110)
    assert run.returncode == 0, progress

    content = json.loads(file.read_text(encoding="utf-8"))
    rows = {row["system"]: row for row in content["rows"]}
    assert list(rows) == ["paysaga", "textbook-tuned", "handwritten"]
    for row in rows.values():
        for name, kind in CONTRACT.items():
            assert isinstance(row[name], kind), (name, row)
        assert (row["clients"], row["payments"]) == (2, 4)
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["payments_per_s"] > 0
        assert row["cpu_ms_per_payment"] > 0
        assert row["memory_mb"]["api"] > 10
    assert (rows["textbook-tuned"]["events"], rows["textbook-tuned"]["actions"]) == (23, 4)
    assert rows["paysaga"]["actions"] > 0
    assert rows["handwritten"]["actions"] == 0
    assert "paysaga / textbook-on-our-settings, CPU" in output
    assert progress.count("each held, charged and recorded once") == 3

    assert list(scratch.iterdir()) == []
    assert started_in(scratch) == []
