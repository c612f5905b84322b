"""`python -m benchmarks.pages` as a person runs it, with few payments."""

import json
from pathlib import Path

import pytest

from tests.e2e.test_benchmarks import start, started_in

pytestmark = pytest.mark.benchmarks


def test_a_small_run(tmp_path: Path) -> None:
    file, picture, scratch = tmp_path / "pages.json", tmp_path / "pages.svg", tmp_path / "scratch"
    scratch.mkdir()
    places = ("--json", str(file), "--plot", str(picture))
    run = start(scratch, "--payments", "2000", "--pages", "3", *places, module="benchmarks.pages")
    output, progress = run.communicate(timeout=110)
    assert run.returncode == 0, progress

    content = json.loads(file.read_text(encoding="utf-8"))
    assert [book["payments"] for book in content["books"]] == [2, 20, 200, 2000]
    # 1,920 charges, 96 of them refunded; the others came to nothing.
    assert content["books"][-1]["transactions"] == 2000 + 96
    assert content["export"]["lines"] == 2000 + 96
    assert len(content["latencies"]) == 4 * 2 * 8 * 3
    assert all(0 < each["p50_ms"] <= each["p99_ms"] for each in content["latencies"])
    assert "Export of 2,096 lines" in output
    assert picture.read_text(encoding="utf-8").count("<polyline") == 2 * 8

    assert list(scratch.iterdir()) == []
    assert started_in(scratch) == []
