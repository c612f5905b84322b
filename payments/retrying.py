"""When a webhook is tried again, when its endpoint counts as down, and what is given up. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from payments.webhooks import DeliveryStatus, DisabledReason, Reply

# The pauses of Standard Webhooks (https://www.standardwebhooks.com), which add up to three days and three hours. The
# last one is repeated while nothing else succeeds either.
SCHEDULE: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
# An endpoint may ask us to come back in a year by mistake.
RETRY_AFTER_MAX: Final = timedelta(hours=1)
# So many different payments in a row don't fail of themselves: the endpoint is down, and one is tried at a time.
DOWN_AFTER: Final = 5
# It is tried after as long as it has been down, within these. Who is back is found within minutes, and a shop that
# is down for a day gets three hundred requests, not one for each payment that waits.
PROBE_FIRST: Final = timedelta(seconds=5)
PROBE_LAST: Final = timedelta(minutes=5)
# Then somebody must look. It keeps its place, so nothing is lost.
DISABLED_AFTER: Final = timedelta(days=5)


@dataclass(frozen=True)
class Health:
    """How an endpoint takes what it is sent."""

    failing_since: datetime | None = None
    failing: int = 0
    """Deliveries that have failed since then."""
    probe_at: datetime | None = None
    """Set when it counts as down: nothing is sent before."""
    disabled: DisabledReason | None = None


@dataclass(frozen=True)
class Progress:
    """How far a delivery is."""

    status: DeliveryStatus = DeliveryStatus.PENDING
    tries: int = 0
    next_attempt_at: datetime | None = None
    failing_since: datetime | None = None
    hurried: bool = False


@dataclass(frozen=True)
class After:
    """What an attempt changes."""

    health: Health
    progress: Progress
    back: bool = False
    """The endpoint has succeeded after failures: what waits for its next try is due."""
    was_down: bool = False


def after(
    reply: Reply, health: Health, progress: Progress, *, last_attempt: datetime | None, now: datetime, jitter: float
) -> After:
    """What comes of an attempt. `jitter` (0 to 1) keeps those that failed together from coming back together."""
    if reply.error is None:
        ended = replace(progress, status=DeliveryStatus.SUCCEEDED, next_attempt_at=None)
        failed_before = health.failing_since is not None
        return After(Health(), ended, back=failed_before, was_down=health.probe_at is not None)
    if reply.gone:
        waits = replace(progress, next_attempt_at=now, failing_since=progress.failing_since or now)
        return After(replace(Health(), disabled=DisabledReason.GONE), waits)
    return After(_worse(reply, health, last_attempt, now), _later(reply, health, progress, now, jitter))


def _worse(reply: Reply, health: Health, last_attempt: datetime | None, now: datetime) -> Health:
    since = health.failing_since or now
    if now - since > DISABLED_AFTER:
        return replace(Health(), disabled=DisabledReason.FAILING)
    failing = health.failing + (last_attempt is None or last_attempt < since)
    down = health.probe_at is not None or failing >= DOWN_AFTER
    pause = min(max(now - since, PROBE_FIRST), PROBE_LAST)
    return Health(since, failing, now + max(pause, _asked(reply)) if down else None)


def _later(reply: Reply, health: Health, progress: Progress, now: datetime, jitter: float) -> Progress:
    # While the endpoint is down the schedule stands still: what fails then says nothing of this event.
    tries = progress.tries + (health.probe_at is None)
    since = progress.failing_since or now
    # Since it failed first, the endpoint has taken others: it is this event that can't be taken.
    others_succeed = since < (health.failing_since or now)
    if tries > len(SCHEDULE) and others_succeed:
        return replace(progress, status=DeliveryStatus.FAILED, tries=tries, next_attempt_at=None, failing_since=since)
    pause = SCHEDULE[min(max(tries, 1), len(SCHEDULE)) - 1] * (1 + jitter / 10)
    asked = _asked(reply)
    return replace(
        progress,
        tries=tries,
        next_attempt_at=now + max(pause, asked),
        failing_since=since,
        hurried=progress.hurried or asked > timedelta(0),
    )


def _asked(reply: Reply) -> timedelta:
    return min(reply.retry_after or timedelta(0), RETRY_AFTER_MAX)
