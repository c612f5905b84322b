"""Reconciliation's steps. Nothing here moves money: payments whose differences can heal are told to look."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, Protocol, TypeVar

from temporalio import activity

from activities.failures import temporal_failures
from gateways.port import Concern, ProcessorRecord
from ledger.port import Inbox, WebhookEvent
from ledger.reconciliation import Healing, Reconciliations
from payments.identifiers import OperationKind, operation_key
from payments.settlement import Begin, End, Period, Report, SettlementItem, Source

# Names of the runs that the schedule starts begin so; each goes on where the last of them ended.
SCHEDULED: Final = "reconciliation-scheduled"
HEARTBEAT_SECONDS: Final = 2.0
# More differences than these are no matter of minutes, and the next run goes on.
LOOKED_UP_MAX: Final = 1000
TOLD_MAX: Final = 1000
_AT_ONCE: Final = 10
_PORTION: Final = 500

Result = TypeVar("Result")


class PaymentRuns(Protocol):
    """What Temporal knows of payments. Raises what its client raises."""

    async def stopped(self, payment_id: str) -> str | None:
        """How the payment's last workflow ended, if none is running; `unknown` if Temporal knows of none."""
        ...

    async def killed(self, period: Period, limit: int) -> Sequence[str]:
        """Payments of which a run was terminated, or timed out, in this period."""
        ...

    async def restore(self, payment_id: str) -> bool:
        """Start a payment that has no row here again, as it was asked for: its run looks up before it sends.

        False if Temporal doesn't know it, or knows that it ended without a charge.
        """
        ...


class ReconciliationActivities:
    """Each step may run any number of times with the same input."""

    def __init__(self, record: ProcessorRecord, books: Reconciliations, inbox: Inbox, runs: PaymentRuns) -> None:
        self._record = record
        self._books = books
        self._inbox = inbox
        self._runs = runs

    @activity.defn
    async def next_period(self, end: datetime) -> Period:
        """What the next scheduled run is about."""
        async with temporal_failures():
            return await self._books.next_period(SCHEDULED, end)

    @activity.defn
    async def take_record(self, begin: Begin) -> Report | None:
        """Read what the processor says of the period. The report, if this run has ended before."""
        async with temporal_failures(), _alive():
            report = await self._books.begin(begin, self._record.name)
            # The lines of a file are there already.
            if report is not None or begin.source is Source.FILE:
                return report
            await self._books.forget_items(begin.id)
            async for items in self._record.items(begin.period):
                await self._books.add_items(begin.id, items)
            return None

    @activity.defn
    async def look_closer(self, begin: Begin) -> int:
        """Ask one by one for what one side lacks, and whether workflows are at work on payments that aren't done.

        Returns how many payments would heal if they were told to look.
        """
        async with temporal_failures(), _alive():
            if begin.source is Source.RECORD:
                await self._books.replace_stopped(begin.id, await self._stopped(begin.period.end))
            keys = await self._books.keys_to_look_up(begin.id, LOOKED_UP_MAX)
            found = [item for items in await _each(keys, self._record.items_of) for item in items]
            if begin.source is Source.FILE:
                found = [item for item in found if not _within(item, begin.period)]
            if found:
                await self._books.add_looked_up(begin.id, found)
            healing = await self._books.differences_that_heal(begin.id, TOLD_MAX)
            return len({one.payment_id for one in healing} | await self._unclaimed(begin))

    @activity.defn
    async def heal(self, begin: Begin) -> int:
        """Tell payments to look, and start those again that have no row: it was lost, or never written.

        Returns how many there is hope for: Temporal doesn't know each payment that we don't know.
        """
        async with temporal_failures(), _alive():
            healing = await self._books.differences_that_heal(begin.id, TOLD_MAX)
            for one in healing:
                if one.known:
                    await self._inbox.store_event(_event(begin.id, self._record.name, one))
            unclaimed = await self._unclaimed(begin) - {one.payment_id for one in healing}
            lost = [one.payment_id for one in healing if not one.known] + sorted(unclaimed)
            return len(healing) + len(unclaimed) - (await _each(lost, self._restore)).count(False)

    @activity.defn
    async def finish(self, end: End) -> Report:
        """Write down what came of it."""
        async with temporal_failures(), _alive():
            return await self._books.finish(end.begin, end.healed)

    async def _restore(self, payment_id: str) -> bool:
        # One that was being undone must not be recorded as if it were paid; its row, which said so, is lost.
        if await self._record.items_of(operation_key(OperationKind.REFUND, payment_id)):
            return False
        return await self._runs.restore(payment_id)

    async def _unclaimed(self, begin: Begin) -> set[str]:
        """Payments that were accepted, and whose workflow was killed before it had written anything down."""
        if begin.source is not Source.RECORD:
            return set()
        killed = await self._runs.killed(begin.period, TOLD_MAX)
        return set(await self._ended(await self._books.without_row(killed)))

    async def _stopped(self, before: datetime) -> Mapping[str, str]:
        stopped: dict[str, str] = {}
        after = ""
        while payments := await self._books.not_done(after, before, _PORTION):
            stopped |= await self._ended(payments)
            after = payments[-1]
        return stopped

    async def _ended(self, payments: Sequence[str]) -> dict[str, str]:
        """Those that no workflow is at work on, and how their last one ended."""
        ends = await _each(payments, self._runs.stopped)
        return {payment: end for payment, end in zip(payments, ends, strict=True) if end is not None}


def _event(run: str, processor: str, one: Healing) -> WebhookEvent:
    """As if the processor had told of it: the payment asks it, and changes what its record says."""
    return WebhookEvent(
        processor=processor,
        id=f"{run}-{hashlib.sha256(one.payment_id.encode()).hexdigest()[:24]}",
        type="reconciliation",
        concerns=Concern.REFUND if one.about_refund else Concern.AUTHORIZATION,
        payment_id=one.payment_id,
    )


def _within(item: SettlementItem, period: Period) -> bool:
    return item.executed_at is not None and period.start <= item.executed_at < period.end


async def _each(subjects: Sequence[str], ask: Callable[[str], Awaitable[Result]]) -> list[Result]:
    """The answers in the order of the subjects, some asked for at once."""
    answers: list[Result] = []
    for first in range(0, len(subjects), _AT_ONCE):
        answers += await asyncio.gather(*(ask(subject) for subject in subjects[first : first + _AT_ONCE]))
    return answers


@asynccontextmanager
async def _alive() -> AsyncGenerator[None]:
    """Says so now and then, however long one statement takes."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
