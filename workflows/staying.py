"""What a payment's run does once the payment is decided: it stays open for messages for a while, and ends."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Final

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from payments.payment import Payment
    from payments.state import CHARGED, NOT_CHARGED, PaymentStatus
    from workflows import telling
    from workflows.requests import Requests

# How long it is watched whether a customer confirms after all whose payment has ended without them. Later the
# processor's webhook tells.
LATE_CONFIRMATION: Final = timedelta(hours=1)


class Staying(Requests):
    """The last part of `PaymentWorkflow.run`."""

    def __init__(self) -> None:
        super().__init__()
        self._waited = False
        """This run has waited for the customer."""

    async def _stay_open(self, quiet: timedelta) -> None:
        """A charged payment takes refund requests until the quiet period is over, somebody cancels the waiting, or its
        history grows long. One that ended without its customer is watched for a while: they may still confirm."""
        payment = self._payment
        if payment is None or not (period := self._open_for(payment, quiet)):
            return
        if payment.status in CHARGED:
            telling.open_for_refunds(payment, self._refunds.refusals)
        else:
            telling.watching(payment)
        enough = workflow.info().is_continue_as_new_suggested
        # Each refund begins the period anew: it may still fail at the processor.
        self._quiet_since = workflow.now()
        while not self._steps.cancel_requested and not enough():
            left = self._quiet_since + period - workflow.now()
            if left <= timedelta(0):
                break
            with contextlib.suppress(TimeoutError):
                await self._steps.finish(
                    workflow.wait_condition(
                        lambda: self._steps.cancel_requested or enough() or self._hold.check_asked,
                        timeout=left,
                        timeout_summary="open until then",
                    )
                )
            if self._hold.check_asked:
                await self._check(payment)
        await self._check(payment)

    def _open_for(self, payment: Payment, quiet: timedelta) -> timedelta:
        if payment.status in CHARGED:
            return quiet
        return min(quiet, LATE_CONFIRMATION) if self._waited else timedelta(0)

    async def _check(self, payment: Payment) -> None:
        """What the processor has told us may have been lost on its way, and what somebody says it told is not believed:
        it is asked."""
        self._hold.check_asked = False
        if payment.status in NOT_CHARGED:
            if await self._steps.keep_nothing(payment.id):
                telling.kept_nothing(payment)
        elif self._payment is not None and self._payment.amount_refunded:
            self._take_in(await self._steps.check_refunds(payment.id))

    async def _close(self) -> Payment | None:
        while True:
            await self._steps.finish(
                workflow.wait_condition(lambda: workflow.all_handlers_finished() and not self._refunds.resuming)
            )
            if self._payment is None or not self._hold.check_asked:
                break
            await self._check(self._payment)
        # Not before: while one refund's outcome is unknown, others must not be turned away.
        self._closing = True
        if self._steps.cancel_requested and self._payment and self._payment.status is PaymentStatus.CANCELED:
            raise asyncio.CancelledError("canceled before the charge")
        if self._payment is not None and self._payment.status in CHARGED:
            telling.asleep(self._payment, self._refunds.refusals, late=self._steps.cancel_requested)
        return self._payment
