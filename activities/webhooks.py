"""Sends webhooks: what the feed has for an endpoint, each payment's events one after another, payments side by side."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from temporalio import activity

from activities.failures import temporal_failures
from gateways.sending import Outgoing, WebhookSender
from ledger.outbox import Due, Outbox
from payments.timeline import FeedEvent
from payments.webhooks import Deliver, EndpointStatus, Served

AT_ONCE: Final = 8
# How late a new event may be noticed. One indexed look for each endpoint.
LOOK_SECONDS: Final = 1.0
# Then Temporal is told how the endpoint stands, and the workflow begins anew: some six events of its history.
SHIFT_SECONDS: Final = 60.0
# A shift ends when nothing is being sent. An endpoint that always has something to be sent must wait for that now and
# then, up to the 15 s that one of its payments may hang.
LONGEST_SHIFT: Final = 3
# How the endpoint stands is told at once when it changes, but not all the time.
WORTH_TELLING_SECONDS: Final = 5.0
# An endpoint that is down is left alone until its next probe, if that is not at hand.
WORTH_A_TIMER: Final = timedelta(seconds=2)
# What is being sent when the worker stops is given so long. Cut off, it is sent again by another, with the same id.
LAST_SECONDS: Final = 1.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


class WebhookActivities:
    """The only sender of an endpoint, as long as it runs. Two at once, when one was thought lost, send some twice."""

    def __init__(
        self,
        outbox: Outbox,
        sender: WebhookSender,
        *,
        clock: Callable[[], datetime] = _utc_now,
        shift_seconds: float = SHIFT_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._clock = clock
        self._shift_seconds = shift_seconds
        self._look_seconds = look_seconds

    @activity.defn
    async def deliver(self, order: Deliver) -> Served:
        """Send what there is and what comes, for a while; ended sooner when the endpoint begins to fail, is down or
        back, or gets nothing any more, so that people see it."""
        async with temporal_failures():
            shift = _Shift(order, self._outbox, self._sender, self._clock, self._look_seconds)
            return await shift.run(self._shift_seconds)


class _Shift:
    """One run of `deliver`."""

    def __init__(
        self,
        order: Deliver,
        outbox: Outbox,
        sender: WebhookSender,
        clock: Callable[[], datetime],
        look_seconds: float,
    ) -> None:
        self._look_seconds = look_seconds
        self._endpoint_id = order.endpoint_id
        self._probe = order.probe
        self._outbox = outbox
        self._sender = sender
        self._clock = clock
        self._sending: dict[int, asyncio.Task[None]] = {}
        self._delivered = 0
        self._failed = 0
        self._over = False

    async def run(self, seconds: float) -> Served:
        loop = asyncio.get_running_loop()
        begun, began_as = None, None
        try:
            while True:
                activity.heartbeat()
                due = await self._look()
                if due is None:
                    return Served(there=False, delivered=self._delivered, failed=self._failed)
                stands = (due.endpoint.failing_since is None, due.probe_at is None)
                began_as = began_as or stands
                # From the first answer of the ledger on, however long that took: each shift sends something.
                begun = begun or loop.time()
                lasted = loop.time() - begun
                changed = stands != began_as and lasted > WORTH_TELLING_SECONDS
                enough = lasted > (LONGEST_SHIFT * seconds if self._sending else seconds)
                self._over = self._over or enough or changed or self._rests(due) or _stopping()
                if self._over and not self._sending:
                    return await self._served(due)
                self._start(due)
                await self._wait()
        finally:
            await self._cut_off()

    async def _look(self) -> Due | None:
        room = 0 if self._over else AT_ONCE - len(self._sending)
        being_sent, probe, self._probe = tuple(self._sending), self._probe, False
        return await self._outbox.take_due(self._endpoint_id, being_sent, room, self._clock(), probe=probe)

    async def _cut_off(self) -> None:
        """What is still being sent will be sent again."""
        for task in self._sending.values():
            task.cancel()
        if self._sending:
            done, _ = await asyncio.wait(self._sending.values(), timeout=LAST_SECONDS)
            # asyncio complains of an exception that nobody retrieved; the first one is raised already.
            for task in done:
                if not task.cancelled():
                    task.exception()

    def _start(self, due: Due) -> None:
        if not self._over:
            for event in due.events:
                self._sending[event.sequence] = asyncio.create_task(self._send(due, event))

    async def _send(self, due: Due, event: FeedEvent) -> None:
        outgoing = Outgoing(url=due.endpoint.url, secrets=due.secrets, event=event)
        reply = await self._sender.send(outgoing, self._clock())
        if reply.error is None:
            self._delivered += 1
        else:
            self._failed += 1
        await self._outbox.end_attempt(
            self._endpoint_id,
            event.sequence,
            reply,
            self._clock(),
            random.random(),  # noqa: S311 - spreads load
        )

    async def _wait(self) -> None:
        """Until one of those that are being sent has ended, or it is time to look again. Raises what went wrong with
        our own means."""
        if not self._sending:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await activity.wait_for_worker_shutdown()
            return
        seconds = LAST_SECONDS if _stopping() else self._look_seconds
        done, rest = await asyncio.wait(self._sending.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if _stopping():
            await self._cut_off()
            rest = set[asyncio.Task[None]]()
        self._sending = {sequence: task for sequence, task in self._sending.items() if task in rest}
        for task in done:
            task.result()

    def _rests(self, due: Due) -> bool:
        """Whether there is nothing to do for a while."""
        if due.endpoint.status is not EndpointStatus.ENABLED:
            return True
        return due.probe_at is not None and due.probe_at - self._clock() > WORTH_A_TIMER and not due.events

    async def _served(self, due: Due) -> Served:
        pause = due.probe_at - self._clock() if due.probe_at else timedelta(0)
        return Served(
            host=urlsplit(due.endpoint.url).hostname or "",
            disabled=due.endpoint.disabled_reason,
            delivered=self._delivered,
            failed=self._failed,
            waiting=await self._outbox.count_waiting(self._endpoint_id),
            failing_since=due.endpoint.failing_since,
            down=due.probe_at is not None,
            pause_seconds=max(pause.total_seconds(), 0.0),
        )


def _stopping() -> bool:
    return activity.is_worker_shutdown()
