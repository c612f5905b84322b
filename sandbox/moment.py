"""What every rule needs: what the processor knows, what it grants, and when it is."""

from dataclasses import dataclass

from sandbox.store import Store

HOUR = 3_600.0
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Terms:
    """What the processor grants, in seconds, and what it tells."""

    hold_period: float = 7 * DAY
    action_period: float = HOUR
    refund_fails_after: float = 5.0
    # Events also for what the client hears in the answer to its request.
    tells_all: bool = False


USUAL = Terms()


@dataclass(frozen=True, slots=True)
class Moment:
    """One transaction, and the one time at which all in it happens."""

    store: Store
    terms: Terms
    now: float
