"""Brings one operation to a known outcome: send, look up, compare the echo; never guess, never charge twice."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import activity

from activities.options import AT_ONCE_SECONDS, next_retry_delay
from gateways.port import OutcomeUnknown, PaymentGateway
from ledger.port import Ledger, LedgerError
from payments.operations import (
    Authorize,
    Conflicted,
    Declined,
    Executed,
    Operation,
    Outcome,
    Refund,
    RequiresAction,
    Settled,
    key_of,
)

# Clocks differ, and a request may travel for a while: nothing is sent again in the last hour of the processor's window.
KEY_WINDOW_MARGIN: Final = timedelta(hours=1)

_log = logging.getLogger(__name__)


class TakesLonger(Exception):
    """The processor has not answered at once. The request goes on; the next try of the step waits for it."""


class RecordDiffers(Exception):
    """The processor's own record says that it did something else than it was asked to. Somebody must look."""


class Settling:
    """Runs operations at a processor for activities."""

    def __init__(self, gateway: PaymentGateway, ledger: Ledger) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._under_way: dict[str, asyncio.Task[Outcome]] = {}

    async def settle(self, operation: Operation, *, fresh: bool, sent_since: datetime | None) -> Settled:
        """As `settle_hold`, for what no customer is asked to confirm."""
        settled = await self._settle(operation, fresh=fresh, sent_since=sent_since)
        return _without_action(operation, settled)

    async def settle_hold(self, operation: Authorize, *, fresh: bool, sent_since: datetime) -> Settled | RequiresAction:
        """The operation's outcome by the processor's word.

        `fresh`: nobody can have sent it before. `sent_since`: when it can have been sent at the earliest, which bounds
        how long it is sent again; None when doing it twice is impossible at the processor.
        Raises `NotExecuted`, `TakesLonger` (a local activity only) or `OutcomeUnknown`, the latter after showing it in
        the payment's row.
        """
        return await self._settle(operation, fresh=fresh, sent_since=sent_since)

    async def _settle(
        self, operation: Operation, *, fresh: bool, sent_since: datetime | None
    ) -> Settled | RequiresAction:
        local = activity.info().is_local
        work = self._join_or_begin(operation, fresh=fresh, sent_since=sent_since)
        # Waiting, not awaiting: who waits may be timed out or canceled, and the request must not be cut by that.
        done, _ = await asyncio.wait({work}, timeout=AT_ONCE_SECONDS if local else None)
        if not done and activity.is_worker_shutdown():
            # No activity of this worker would come to wait for it any more.
            done, _ = await asyncio.wait({work})
        if not done:
            raise TakesLonger(f"the processor has not answered the {operation.kind} within {AT_ONCE_SECONDS:.1f} s")
        try:
            outcome = work.result()
        except OutcomeUnknown as error:
            # After a local activity the next try comes at once.
            if not local:
                await self._show_unknown(operation, error.retry_after)
            raise
        match outcome:
            case Executed():
                difference = outcome.differs_from(operation)
                return outcome if difference is None else Conflicted(detail=difference)
            case Declined() | RequiresAction():
                return outcome

    async def settle_by_record(
        self, operation: Operation, *, fresh: bool, sent_since: datetime | None
    ) -> Executed | Declined:
        """As `settle`, for what can't be undone when the echo differs: then the processor's record decides.

        Raises `RecordDiffers` when that differs as well.
        """
        outcome = await self.settle(operation, fresh=fresh, sent_since=sent_since)
        if not isinstance(outcome, Conflicted):
            return outcome
        found = await self.executed(operation)
        if found is None or found.differs_from(operation):
            raise RecordDiffers(f"the {operation.kind} is not what was asked for: {outcome.detail}")
        return found

    async def executed(self, operation: Operation) -> Executed | None:
        """What the processor's record says was really done under the operation's key; None when it was declined.

        Raises `OutcomeUnknown` while there is no record.
        """
        match await self._gateway.find(operation):
            case Executed() as found:
                return found
            case Declined():
                return None
            case RequiresAction() | None:
                raise OutcomeUnknown(f"the processor has no record of the {operation.kind} that it confirmed")

    def _join_or_begin(
        self, operation: Operation, *, fresh: bool, sent_since: datetime | None
    ) -> asyncio.Task[Outcome]:
        """One request at a time for each key: a second one would only be told that the first is still executing."""
        key = key_of(operation)
        work = self._under_way.get(key)
        if work is None:
            work = asyncio.ensure_future(self._look_up_or_submit(operation, sent_since, fresh=fresh))
            self._under_way[key] = work
            work.add_done_callback(lambda done: self._end(key, done))
        return work

    def _end(self, key: str, work: asyncio.Task[Outcome]) -> None:
        del self._under_way[key]
        if not work.cancelled():
            work.exception()  # retrieved, should nobody wait any more

    async def _look_up_or_submit(self, operation: Operation, sent_since: datetime | None, *, fresh: bool) -> Outcome:
        found = None if fresh else await self._gateway.find(operation)
        if found is not None:
            return found
        # The same key absorbs an execution that comes late, but only as long as the processor remembers keys. Looked at
        # for what is fresh, too: a machine that stood still for a day goes on here, and others went on without it.
        window = self._gateway.key_window - KEY_WINDOW_MARGIN
        if sent_since is not None and await self._now(operation, fresh=fresh) - sent_since > window:
            raise OutcomeUnknown(
                f"the processor has no record of the {operation.kind}, and it is too old to be sent again under its key"
            )
        return await self._gateway.submit(operation)

    async def _now(self, operation: Operation, *, fresh: bool) -> datetime:
        """By the books' clock, as `sent_since`: to a worker whose own is hours late an old key would look young.

        A fresh hold or charge isn't worth the question: a second hold is released, and no hold is charged twice.
        """
        if fresh and not isinstance(operation, Refund):
            return datetime.now(UTC)
        return await self._ledger.now()

    async def _show_unknown(self, operation: Operation, retry_after: timedelta | None) -> None:
        """For whoever reads the payment. Failing to show it must not hide the unknown outcome itself."""
        delay = retry_after or next_retry_delay(activity.info().attempt)
        try:
            if isinstance(operation, Refund) and operation.refund_id is not None:
                await self._ledger.mark_refund_unknown(operation.payment_id, operation.refund_id, delay)
            else:
                await self._ledger.mark_unknown(operation.payment_id, operation.kind, delay)
        except LedgerError as error:
            _log.warning("could not show the unknown outcome of a payment: %s", error)


def _without_action(operation: Operation, settled: Settled | RequiresAction) -> Settled:
    if isinstance(settled, RequiresAction):
        raise OutcomeUnknown(f"the processor wants the customer to confirm a {operation.kind}, which nobody can")
    return settled
