"""Long work in portions, so that somebody who watches sees it going on, and standing still ends it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from benchmarks.jobs import Outcome, Sent
from benchmarks.running import Tell
from paysaga.dev.errors import DevStackError

_TOLD_EVERY_SECONDS: Final = 5.0
_FIRST_PORTION: Final = 100
# Nothing that is waited for stands still so long unless it hangs.
_STANDSTILL_SECONDS: Final = 90.0


async def send_all(payments: Sequence[Sent], send: Callable[[list[Sent]], Awaitable[Outcome]], tell: Tell) -> None:
    """In portions of about five seconds, each told with its rate."""
    sent, portion = 0, _FIRST_PORTION
    while sent < len(payments):
        part = list(payments[sent : sent + portion])
        outcome = await send(part)
        sent += len(part)
        rate = len(part) / outcome.seconds
        portion = max(round(rate * _TOLD_EVERY_SECONDS), _FIRST_PORTION)
        tell(f"{sent:,} of {len(payments):,}, {rate:.0f}/s")


async def until_all(
    count: Callable[[], Awaitable[int]], wanted: int, what: str, tell: Tell, *, poll_seconds: float
) -> None:
    """Until `count` has reached `wanted`. Raises `DevStackError` when it stands still."""
    seen, changed, told = -1, time.monotonic(), time.monotonic()
    while (now := await count()) < wanted:
        moment = time.monotonic()
        if now != seen:
            seen, changed = now, moment
        if moment - changed > _STANDSTILL_SECONDS:
            raise DevStackError(f"{now} of {wanted} {what} for {_STANDSTILL_SECONDS:.0f} seconds")
        if moment - told >= _TOLD_EVERY_SECONDS:
            told = moment
            tell(f"{now:,} of {wanted:,} {what}")
        await asyncio.sleep(poll_seconds)
