"""Brings one operation to a known outcome: send, look up, compare the echo; never guess, never charge twice."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import activity

from activities.options import next_retry_delay
from gateways.port import OutcomeUnknown, PaymentGateway
from ledger.port import Ledger, LedgerError
from payments.operations import Conflicted, Declined, Executed, Operation, Settled

# Clocks differ, and a request may travel for a while: nothing is sent again in the last hour of the processor's window.
KEY_WINDOW_MARGIN: Final = timedelta(hours=1)
# Temporal stamps both times of a first try from one clock reading; a later try, also one after an operator's
# `activity reset` (which sets the count back to 1), was scheduled later.
FIRST_TRY_TOLERANCE: Final = timedelta(milliseconds=50)

_log = logging.getLogger(__name__)


class Settling:
    """Runs operations at a processor for activities."""

    def __init__(self, gateway: PaymentGateway, ledger: Ledger) -> None:
        self._gateway = gateway
        self._ledger = ledger

    async def settle(self, operation: Operation, *, fresh: bool, sent_since: datetime | None) -> Settled:
        """The operation's outcome by the processor's word.

        `fresh`: no earlier run can have sent it. `sent_since`: when it can have been sent at the earliest, which
        bounds how long it is sent again; None when doing it twice is impossible at the processor.
        Raises `NotExecuted` or `OutcomeUnknown`, the latter after showing it in the payment's row.
        """
        try:
            if fresh and is_first_try():
                outcome = await self._gateway.submit(operation)
            else:
                outcome = await self._look_up_or_submit(operation, sent_since)
        except OutcomeUnknown as error:
            await self._show_unknown(operation, error.retry_after)
            raise
        match outcome:
            case Executed():
                difference = outcome.differs_from(operation)
                return outcome if difference is None else Conflicted(detail=difference)
            case Declined():
                return outcome

    async def executed(self, operation: Operation) -> Executed | None:
        """What the processor's record says was really done under the operation's key; None when it was declined.

        Raises `OutcomeUnknown` while there is no record.
        """
        match await self._gateway.find(operation):
            case Executed() as found:
                return found
            case Declined():
                return None
            case None:
                raise OutcomeUnknown(f"the processor has no record of the {operation.kind} that it confirmed")

    async def _look_up_or_submit(self, operation: Operation, sent_since: datetime | None) -> Executed | Declined:
        found = await self._gateway.find(operation)
        if found is not None:
            return found
        # The same key absorbs an execution that comes late, but only as long as the processor remembers keys.
        window = self._gateway.key_window - KEY_WINDOW_MARGIN
        if sent_since is not None and datetime.now(UTC) - sent_since > window:
            raise OutcomeUnknown(
                f"the processor has no record of the {operation.kind}, and it is too old to be sent again under its key"
            )
        return await self._gateway.submit(operation)

    async def _show_unknown(self, operation: Operation, retry_after: timedelta | None) -> None:
        """For whoever reads the payment. Failing to show it must not hide the unknown outcome itself."""
        delay = retry_after or next_retry_delay(activity.info().attempt)
        try:
            await self._ledger.mark_unknown(operation.payment_id, operation.kind, delay)
        except LedgerError as error:
            _log.warning("could not show the unknown outcome of a payment: %s", error)


def is_first_try() -> bool:
    """Whether no earlier try of this activity can have sent anything."""
    info = activity.info()
    scheduled_again = info.current_attempt_scheduled_time - info.scheduled_time
    return info.attempt == 1 and scheduled_again < FIRST_TRY_TOLERANCE
