"""How payments that wait for a worker share them."""

from datetime import UTC, datetime, timedelta

import pytest

from api.opening import GROUP_SECONDS, GROUPS, fair_share

ANEW = datetime.fromtimestamp(GROUPS * GROUP_SECONDS * 750_000, UTC)


def weight(moment: datetime) -> float:
    found = fair_share(moment).fairness_weight
    assert found is not None
    return found


def test_payments_of_the_same_ten_seconds_are_one_group() -> None:
    assert fair_share(ANEW) == fair_share(ANEW + timedelta(seconds=9.9))
    assert fair_share(ANEW) != fair_share(ANEW + timedelta(seconds=10))


def test_newer_payments_have_twice_the_weight_of_those_two_minutes_older() -> None:
    for minutes in range(37):
        older = ANEW + timedelta(minutes=minutes)
        assert weight(older + timedelta(minutes=2)) == pytest.approx(2 * weight(older))


def test_last_minute_gets_a_quarter_of_the_workers_however_long_the_outage_was() -> None:
    now = ANEW + timedelta(minutes=39)
    weights = [weight(now - timedelta(seconds=10 * n)) for n in range(234)]
    assert sum(weights[:6]) / sum(weights) > 0.25


def test_weights_are_those_that_temporal_takes() -> None:
    weights = [weight(ANEW + timedelta(seconds=10 * n)) for n in range(GROUPS)]
    assert min(weights) >= 0.001
    assert max(weights) <= 1000
