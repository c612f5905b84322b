"""How activities are retried: named profiles, each with its reason. The workflow schedules with them."""

from datetime import timedelta
from typing import Final, TypedDict

from temporalio.common import RetryPolicy

# An outage of seconds is bridged quickly; one of hours costs one try in five minutes.
_INITIAL: Final = timedelta(seconds=1)
_COEFFICIENT: Final = 2.0
_MAXIMUM: Final = timedelta(minutes=5)

# Longer than a look-up, a request at the gateway's deadline and the ledger's write together; short, since a try that
# was lost with its worker is noticed only when this has passed.
TRY_TIMEOUT: Final = timedelta(seconds=10)

# What a card network usually answers within. A step that takes longer becomes an activity that people can see.
AT_ONCE_SECONDS: Final = 1.5


class ActivityOptions(TypedDict):
    """Keyword arguments of `workflow.execute_activity_method` and `execute_local_activity_method`."""

    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy


class LongActivityOptions(ActivityOptions):
    """The same for what says now and then that it is alive."""

    heartbeat_timeout: timedelta


AT_ONCE: Final = ActivityOptions(start_to_close_timeout=TRY_TIMEOUT, retry_policy=RetryPolicy(maximum_attempts=1))
"""The one try inside the workflow task, which spares Temporal two thirds of the work. Nobody can see, pause or retry
it, and a worker that dies takes its result along; so it is only for steps that may run twice, and never repeated."""

UNTIL_KNOWN: Final = ActivityOptions(
    start_to_close_timeout=TRY_TIMEOUT,
    retry_policy=RetryPolicy(initial_interval=_INITIAL, backoff_coefficient=_COEFFICIENT, maximum_interval=_MAXIMUM),
)
"""Every step that moves money or writes it down: tried for ever, since giving up would leave it unknown. There is no
schedule-to-close timeout, because time alone decides nothing. What can't succeed says so itself (non-retryable)."""


LOOKING_THROUGH: Final = LongActivityOptions(
    start_to_close_timeout=timedelta(minutes=5),
    heartbeat_timeout=TRY_TIMEOUT,
    retry_policy=UNTIL_KNOWN["retry_policy"],
)
"""A look at everything of a payment that may be long, a portion at a time. It goes on where the last try stopped."""

RECONCILING: Final = LongActivityOptions(
    start_to_close_timeout=timedelta(hours=1),
    heartbeat_timeout=TRY_TIMEOUT,
    retry_policy=UNTIL_KNOWN["retry_policy"],
)
"""A look at everything of a period: a month of a million movements takes minutes."""


DELIVERING: Final = LongActivityOptions(
    # A shift lasts a minute and what is being sent then; its heartbeat, each second, tells that it goes on.
    start_to_close_timeout=timedelta(minutes=5),
    heartbeat_timeout=TRY_TIMEOUT,
    retry_policy=RetryPolicy(initial_interval=_INITIAL, maximum_interval=timedelta(seconds=30)),
)
"""Sending webhooks. One that was lost with its worker is followed by another within seconds: shops wait."""


def next_retry_delay(attempt: int) -> timedelta:
    """When Temporal starts the try after this one (1 for the first)."""
    # The exponent is bounded because a float isn't.
    return min(_MAXIMUM, _INITIAL * _COEFFICIENT ** min(attempt - 1, 30))
