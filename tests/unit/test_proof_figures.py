"""Percentiles, axes, and numbers as people read them."""

import pytest

from prove.report.figures import by_number, clock, listed, percentile, role, short, span, ticks, times


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([3.0], 50, 3.0), ([1.0, 2.0], 50, 1.0), ([1.0, 2.0, 3.0], 50, 2.0), ([2.0, 1.0], 99, 2.0), ([4.0, 1.0], 0, 1.0)],
)
def test_percentile_is_the_nearest_rank(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_percentile_of_a_hundred_values_is_one_of_them() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (50, 99, 100)] == [50.0, 99.0, 100.0]


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)


def test_numbers_read_as_people_write_them() -> None:
    assert [span(s) for s in (0, 59.6, 180, 184.2, 3600, 3900)] == [
        "0 s",
        "1 min",
        "3 min",
        "3 min 4 s",
        "1 h",
        "1 h 5 min",
    ]
    assert [clock(s) for s in (7.9, 750, 3723)] == ["0:07", "12:30", "1:02:03"]
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert [role(name) for name in ("worker-2", "postgres", "api-1", "worker to API")] == [
        "worker",
        "PostgreSQL",
        "API",
        "worker to API",
    ]
    assert sorted(["I10", "I2", "I1"], key=by_number) == ["I1", "I2", "I10"]


def test_label_that_is_too_long_is_cut() -> None:
    assert [short(text, 6) for text in ("worker", "workers", "")] == ["worker", "worke…", ""]


@pytest.mark.parametrize("highest", [0.0, 0.003, 1.0, 4.2, 5.0, 99.0, 210.5, 10_000.0])
def test_axis_covers_the_highest_value_in_few_round_steps(highest: float) -> None:
    values = ticks(highest, 5)
    assert values[0] == 0
    assert values[-1] >= highest
    assert len(values) <= 6


@pytest.mark.parametrize("seconds", [0, 1, 59, 184.2, 1804, 90_000, 1_000_000])
def test_times_of_an_axis_lie_within_it(seconds: float) -> None:
    found = times(seconds, 5)
    assert found[0] == 0
    assert found[-1] <= seconds
    assert len(found) <= 6
