"""A worker that dies by -9 with every payment at a chosen point: `crash-<path>-<when>-<effect>-...` is a payment's key.

The real worker over the real ports; only these wrappers around the ports are the test's. A payment that gets to its
point waits there, and when all have (or one has waited long enough) the process kills itself. Files remember who died.
"""

import asyncio
import inspect
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from temporalio import activity

from gateways.port import PaymentGateway
from ledger.port import Ledger
from paysaga.services import connect_temporal, open_gateway, open_ledger
from paysaga.settings import Settings
from paysaga.worker import build_worker

# Each side effect that a payment can have, by the path that it takes.
PAID = ("claim", "authorize", "capture", "decide")
RELEASED = ("begin_undoing", "void", "decide")
UNDONE = ("begin_undoing", "refund", "decide")
# A hold that is captured on request.
CAPTURED = ("begin_capture", "capture", "decide")
# A refund that was asked for, of a payment that is paid and asleep.
REFUNDED = ("find", "reserve_refund", "refund", "end_refund")
# A payment of this path dies only in steps that are activities of their own, not while it is tried at once.
STEPWISE = "stepwise"
ALL_POINTS = 2 * len(PAID + PAID + RELEASED + UNDONE + CAPTURED + REFUNDED)

# Shorter than a try may take: the payment must die at its point, not time out there.
WAIT_SECONDS = 6


class Point:
    """Where payments wait for the end."""

    def __init__(self, crashed: Path) -> None:
        self._crashed = crashed

    async def reached(self, point: str, payment_id: str) -> None:
        mark = self._crashed / payment_id
        if f"-{point}-" not in payment_id or mark.exists():
            return
        if STEPWISE in payment_id and activity.info().is_local:
            return
        mark.touch()
        if len(list(self._crashed.iterdir())) < ALL_POINTS:
            await asyncio.sleep(WAIT_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)


class Crashing:
    """Either port. Stops before or after the call that a payment's key names."""

    def __init__(self, port: Any, point: Point) -> None:
        self._port = port
        self._point = point

    def __getattr__(self, method: str) -> Any:
        attribute = getattr(self._port, method)
        return self._wrapped(method, attribute) if inspect.iscoroutinefunction(attribute) else attribute

    def _wrapped(self, method: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def dying(*args: Any, **kwargs: Any) -> Any:
            if not args:  # about no payment: what time it is
                return await call(*args, **kwargs)
            subject = args[0]
            effect = str(subject.kind) if method == "submit" else method
            payment_id = subject if isinstance(subject, str) else subject.payment_id
            await self._point.reached(f"before-{effect}", payment_id)
            result = await call(*args, **kwargs)
            await self._point.reached(f"after-{effect}", payment_id)
            return result

        return dying


async def main() -> None:
    settings = Settings()  # pyright: ignore[reportCallIssue] - from the environment
    point = Point(Path(os.environ["CRASHED"]))
    client = await connect_temporal(lazy=False)
    async with open_ledger(settings) as ledger, open_gateway(settings) as gateway:
        steps = cast("Ledger", Crashing(ledger, point)), cast("PaymentGateway", Crashing(gateway, point))
        async with build_worker(client, *steps):
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
