"""When a failed try is followed by the next one."""

from datetime import timedelta

import pytest

from activities.options import TRY_TIMEOUT, UNTIL_KNOWN, next_retry_delay

POLICY = UNTIL_KNOWN["retry_policy"]


def delay_by_the_server(attempt: int) -> float:
    """Temporal's own formula for the pause after a failed attempt."""
    assert POLICY.maximum_interval is not None
    exponential = POLICY.initial_interval.total_seconds() * POLICY.backoff_coefficient ** (attempt - 1)
    return min(exponential, POLICY.maximum_interval.total_seconds())


def test_pauses_double_from_one_second_to_five_minutes() -> None:
    seconds = [next_retry_delay(attempt).total_seconds() for attempt in range(1, 13)]
    assert seconds == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


@pytest.mark.parametrize("attempt", [*range(1, 40), 100, 1000])
def test_pause_that_is_shown_is_the_one_that_the_server_takes(attempt: int) -> None:
    assert next_retry_delay(attempt).total_seconds() == delay_by_the_server(attempt)


@pytest.mark.parametrize("attempt", [1_100, 100_000, 2**31])
def test_pause_stays_five_minutes_when_a_step_was_tried_for_years(attempt: int) -> None:
    assert next_retry_delay(attempt) == timedelta(minutes=5)


def test_steps_that_move_money_are_tried_for_ever() -> None:
    assert POLICY.maximum_attempts == 0
    assert set(UNTIL_KNOWN) == {"start_to_close_timeout", "retry_policy"}
    assert UNTIL_KNOWN["start_to_close_timeout"] == TRY_TIMEOUT
