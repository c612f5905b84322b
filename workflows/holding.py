"""A payment that waits: for its customer, for its capture, for somebody who gives it up, or for its end."""

import contextlib
from datetime import datetime, timedelta
from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from payments.captures import capture_before
    from payments.endings import canceled, hold_ended, not_captured_in_time, not_confirmed_in_time
    from payments.messages import CaptureOrder, Ending, Held, RequestCapture, Requester, Waiting
    from workflows.messages import malformed
    from workflows.shielding import Shield
    from workflows.steps import Steps


# No card network lets a hold last that long, and Temporal's server can't wait for centuries.
LONGEST: Final = timedelta(days=365)

# What a customer is given when the processor doesn't say, as Stripe does; and at most, when it says something odd.
CONFIRM_WITHIN: Final = timedelta(days=1)
CONFIRM_WITHIN_AT_MOST: Final = timedelta(days=7)

# The processor's webhook tells at once that the customer has confirmed. When it is lost, the processor is asked: soon
# at first, since they stand at the checkout, and seldom when they seem to have left it.
FIRST_LOOK: Final = timedelta(seconds=5)
SELDOM: Final = timedelta(minutes=10)


class Holding:
    """What is asked of a payment while it waits. The first capture counts."""

    def __init__(self) -> None:
        self.cancel_asked: Requester | None = None
        """Who asked first."""
        self.check_asked = False
        """Somebody says that the processor has news."""
        self.checks = 0
        """How often somebody has said so."""
        self.begun: CaptureOrder | None = None
        """The capture that is in the payment's row. One that was only asked for may come too late."""
        self._wanted: CaptureOrder | None = None
        self._next_look = FIRST_LOOK

    def ask_cancel(self, by: Requester) -> None:
        """Release what is held, if nothing was captured."""
        self.cancel_asked = self.cancel_asked or by

    def ask_check(self) -> None:
        """Ask the processor for news."""
        self.check_asked, self.checks = True, self.checks + 1

    def ask_capture(self, request: RequestCapture, held: int) -> None:
        """Raises `ApplicationError` for more than is held."""
        order = request.order(held, workflow.now())
        if order.amount > held:
            raise malformed("more than is held can't be captured")
        self._wanted = self._wanted or order

    async def confirming(self, waiting: Waiting, steps: Shield) -> Ending | None:
        """How the waiting for the customer ends without them; None: look again whether they have confirmed."""
        left = _confirm_before(waiting) - workflow.now()
        if left <= timedelta(0):
            return not_confirmed_in_time()
        pause, self._next_look = min(self._next_look, left), min(2 * self._next_look, SELDOM)
        with contextlib.suppress(TimeoutError):
            await steps.finish(
                workflow.wait_condition(
                    lambda: self.check_asked or self.given_up(steps) is not None,
                    timeout=pause,
                    timeout_summary="for the customer; then the processor is asked",
                )
            )
        self.check_asked = False
        return self.given_up(steps)

    async def asked(self, held: Held, steps: Steps) -> CaptureOrder | Ending | None:
        """What is to become of a hold; None when the history has grown long, and another run should wait on."""
        until = capture_before(held.hold.expires_at)
        while True:
            left = None if until is None else min(max(until - workflow.now(), timedelta(0)), LONGEST)
            try:
                await steps.finish(
                    workflow.wait_condition(
                        lambda: self._word(steps) is not None or self.check_asked or long_history(),
                        timeout=left,
                        timeout_summary="to be captured until then",
                    )
                )
            except TimeoutError:
                return not_captured_in_time()
            word = self._word(steps)
            if word is not None or not self.check_asked:
                return word
            self.check_asked = False
            if await steps.hold_has_ended(held.payment_id):
                return hold_ended()

    def _word(self, steps: Shield) -> CaptureOrder | Ending | None:
        return self._wanted or self.given_up(steps)

    def given_up(self, steps: Shield) -> Ending | None:
        """How it ends if somebody has canceled it, be it by Temporal's own cancellation."""
        by = self.cancel_asked or ("operator" if steps.cancel_requested else None)
        return None if by is None else canceled(by)


def _confirm_before(waiting: Waiting) -> datetime:
    begun = waiting.payment.created_at
    return min(waiting.action.expires_at or begun + CONFIRM_WITHIN, begun + CONFIRM_WITHIN_AT_MOST)


def long_history() -> bool:
    """Whether another run should go on, now that nobody would lose an answer by it."""
    return workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished()
