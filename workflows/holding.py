"""A hold that waits: for its capture, for somebody who gives it up, or for its end."""

from datetime import timedelta
from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from payments.captures import capture_before
    from payments.endings import canceled, not_captured_in_time
    from payments.messages import CaptureOrder, Ending, Held, RequestCapture
    from workflows.messages import malformed
    from workflows.shielding import Shield


# No card network lets a hold last that long, and Temporal's server can't wait for centuries.
LONGEST: Final = timedelta(days=365)


class Holding:
    """What is asked of a payment's hold. The first capture counts."""

    def __init__(self) -> None:
        self.cancel_asked = False
        self.begun: CaptureOrder | None = None
        """The capture that is in the payment's row. One that was only asked for may come too late."""
        self._wanted: CaptureOrder | None = None

    def ask_capture(self, request: RequestCapture, held: int) -> None:
        """Raises `ApplicationError` for more than is held."""
        order = request.order(held, workflow.now())
        if order.amount > held:
            raise malformed("more than is held can't be captured")
        self._wanted = self._wanted or order

    async def asked(self, held: Held, steps: Shield) -> CaptureOrder | Ending | None:
        """What is to become of it; None when the history has grown long, and another run should wait on."""
        until = capture_before(held.hold.expires_at)
        left = None if until is None else min(max(until - workflow.now(), timedelta(0)), LONGEST)
        try:
            await steps.finish(
                workflow.wait_condition(
                    lambda: self._wanted is not None or self._given_up(steps) or _long_history(),
                    timeout=left,
                    timeout_summary="to be captured until then",
                )
            )
        except TimeoutError:
            return not_captured_in_time()
        return self._wanted or (canceled() if self._given_up(steps) else None)

    def _given_up(self, steps: Shield) -> bool:
        return self.cancel_asked or steps.cancel_requested


def _long_history() -> bool:
    return workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished()
