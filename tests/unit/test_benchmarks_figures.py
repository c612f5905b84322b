"""Medians, ratios, tables, and the JSON file."""

import json
from pathlib import Path

import pytest

from benchmarks.figures import Spread, percentile
from benchmarks.machine import Machine
from benchmarks.ratios import ratios
from benchmarks.report import text, write_json
from benchmarks.results import Round, by_cell, middle

CONTRACT = {
    "system",
    "clients",
    "payments_per_s",
    "p50_ms",
    "p99_ms",
    "cpu_ms_per_payment",
    "events",
    "actions",
}
MACHINE = Machine(
    date="2026-01-01T00:00:00+00:00",
    cpu_count=2,
    memory_kind="PSS",
    system="Linux x86_64",
    python="3.11.7",
    temporal_server="1.32.0",
    postgres="18.6",
    packages={"temporalio": "1.35.0", "httptools": None},
)


def a_round(system: str, number: int, *, cpu: float, clients: int = 8) -> Round:
    engine = {} if system == "handwritten" else {"temporal": cpu / 2}
    return Round(
        system=system,
        clients=clients,
        round=number,
        payments=100,
        payments_per_s=1000 / cpu,
        p50_ms=10 * cpu,
        p99_ms=20 * cpu,
        sent_again=0,
        cpu_ms_per_payment=cpu,
        cpu_ms_by_process={"api": cpu / 2} | engine,
        events=23,
        workflow_tasks=4,
        actions=4,
        replays=200,
        replay_cpu_ms=cpu / 10,
        replays_per_s=500,
        memory_mb={"api": 70 + number} | engine,
        yardstick_ms=100,
    )


@pytest.mark.parametrize(("percent", "value"), [(50, 2), (51, 3), (99, 4), (100, 4), (1, 1)])
def test_percentile_is_the_nearest_rank(percent: float, value: float) -> None:
    assert percentile([4, 3, 1, 2], percent) == value


def test_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([24.0, 27.3, 25.14], "25.1 (24.0-27.3)"),
        ([703.2, 690.0, 710.9], "703 (690-711)"),
        ([0.88], "0.880"),
        ([5.0, 5.0], "5.00"),
        ([0], "0"),
    ],
)
def test_a_spread_as_people_read_it(values: list[float], written: str) -> None:
    assert Spread.of(values).text() == written


def test_a_row_holds_the_median_of_each_figure() -> None:
    row = middle([a_round("textbook", number, cpu=cpu) for number, cpu in ((1, 90.0), (2, 130.0), (3, 100.0))])
    assert (row.cpu_ms_per_payment, row.p99_ms, row.payments_per_s) == (100.0, 2000.0, 10.0)
    assert row.cpu_ms_by_process == {"api": 50.0, "temporal": 50.0}
    assert row.memory_mb["api"] == 72


def test_a_ratio_compares_within_each_round() -> None:
    rounds = [
        a_round("paysaga", 1, cpu=20),
        a_round("textbook", 1, cpu=100),
        a_round("textbook", 2, cpu=200),
        a_round("paysaga", 2, cpu=50),
    ]
    found = {ratio.what: ratio.by_round for ratio in ratios(rounds)}
    assert found["paysaga / textbook, CPU"] == {1: 0.2, 2: 0.25}
    assert found["paysaga / textbook, rate"] == {1: 5.0, 2: 4.0}
    assert found["paysaga / textbook, p99"] == {1: 0.2, 2: 0.25}
    assert found["paysaga duplicate / payment, CPU"] == pytest.approx({1: 0.1, 2: 0.1})


def test_a_ratio_needs_both_sides_in_the_same_round() -> None:
    rounds = [a_round("paysaga", 1, cpu=20), a_round("textbook", 2, cpu=100), a_round("textbook-tuned", 1, cpu=40)]
    found = {ratio.what: ratio.by_round for ratio in ratios(rounds) if ratio.what.endswith(", CPU")}
    assert "paysaga / textbook, CPU" not in found
    assert found["paysaga / textbook-on-our-settings, CPU"] == {1: 0.5}


def test_the_table_has_a_line_for_each_system_and_load() -> None:
    rounds = [
        a_round(system, number, cpu=20 * number, clients=clients)
        for number in (1, 2)
        for system in ("paysaga", "handwritten")
        for clients in (8, 1)
    ]
    lines = text(rounds, {"paysaga": "paysaga", "handwritten": "no engine"}).splitlines()
    assert lines[0].split()[:3] == ["clients", "system", "payments/s"]
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["1", "paysaga"],
        ["1", "handwritten"],
        ["8", "paysaga"],
        ["8", "handwritten"],
    ]
    assert "30.0 (20.0-40.0)" in lines[1]
    assert len({len(line) for line in lines[:5]}) == 1
    assert "handwritten: no engine." in lines


def test_the_file_has_the_keys_that_were_agreed(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    write_json(file, MACHINE, [a_round("textbook", number, cpu=90) for number in (1, 2)])
    content = json.loads(file.read_text(encoding="utf-8"))
    (row,) = content["rows"]
    assert row.keys() >= CONTRACT
    assert "round" not in row
    assert [each["round"] for each in content["rounds"]] == [1, 2]
    assert content["machine"]["cpu_count"] == 2
    assert list(tmp_path.iterdir()) == [file]


def test_cells_are_in_the_order_of_their_load() -> None:
    rounds = [a_round("textbook", 1, cpu=1, clients=clients) for clients in (32, 1, 8)]
    assert [cell[0].clients for cell in by_cell(rounds)] == [1, 8, 32]
