"""The steps of a payment as activities that people can see, each run to its known outcome."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, assert_never

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.failures import CHARGE_SENT, FailureType
    from activities.options import AT_ONCE, LOOKING_THROUGH, UNTIL_KNOWN
    from activities.payment import PaymentActivities
    from activities.refunding import RefundActivities
    from activities.standing import StandingActivities
    from activities.undoing import UndoingActivities
    from payments.messages import (
        AtOnce,
        BeginCapture,
        CaptureOrder,
        Charged,
        Ending,
        Held,
        Reservation,
        Reserve,
        Standing,
        Undo,
        Waiting,
    )
    from payments.operations import Conflicted, Declined, Executed
    from payments.payment import Payment
    from workflows import telling
    from workflows.messages import malformed
    from workflows.shielding import Shield

Argument = TypeVar("Argument")
Result = TypeVar("Result")
Activities = TypeVar("Activities")


class Steps(Shield):
    """Schedules the steps, tells people of each, and keeps cancellations away from them."""

    def __init__(self) -> None:
        super().__init__()
        self.charge_sent = False

    async def reserve(self, claim: Reserve) -> Reservation:
        """Claim the key and place the hold, or see how it stands.

        Raises `ApplicationError` for a request that is none.
        """
        money = claim.request.money
        telling.reserving(money)
        try:
            return await self._run(PaymentActivities.reserve, claim, "reserve", f"hold {money}")
        except ActivityError as error:
            refusal = _refusal(error, FailureType.MALFORMED)
            if refusal is None:
                raise
            raise malformed(refusal) from None

    async def pay_at_once(self, claim: Reserve) -> AtOnce | None:
        """All of it inside this workflow task. None: it must go on step by step."""
        money = claim.request.money
        telling.paying(money)
        # Until it says otherwise: a worker that died may have sent it.
        self.charge_sent = True
        try:
            word = await self.finish(
                workflow.execute_local_activity_method(
                    PaymentActivities.pay_at_once,
                    claim,
                    activity_id="pay-at-once",
                    summary=f"hold, capture and post {money}",
                    **AT_ONCE,
                )
            )
        except FailureError as failure:
            # An ordinary activity fails with ActivityError, a local one with what it raised.
            self.charge_sent = not isinstance(failure, ApplicationError) or CHARGE_SENT in failure.details
            return None
        self.charge_sent = not isinstance(word, Waiting)
        return word

    async def begin_capture(self, payment_id: str, order: CaptureOrder) -> Standing:
        """Write down how much of the hold is captured, unless somebody was first."""
        begin = BeginCapture(payment_id=payment_id, order=order)
        summary = "write down how much of the hold is captured"
        return await self._run(StandingActivities.begin_capture, begin, "begin-capture", summary)

    async def charge(self, held: Held) -> Executed | Declined | Conflicted:
        """Capture what is held."""
        telling.charging(held.charge)
        return await self._run(PaymentActivities.charge, held, "charge", f"capture {held.charge}")

    async def record(self, charged: Charged) -> Payment | str:
        """Write the charge down. A text is why the books refuse it for good."""
        money = charged.held.charge
        telling.recording(money)
        try:
            return await self._run(PaymentActivities.record, charged, "record", f"post {money} to the ledger")
        except ActivityError as error:
            # Only the ledger's own refusal says that recording can never succeed; anything else is no reason to refund.
            refusal = _refusal(error, FailureType.LEDGER_REFUSED)
            if refusal is None:
                raise
            return refusal

    async def undo(self, held: Held, ending: Ending) -> Payment:
        """Compensate: release the hold, or give back the charge. Without limit, since money must not stay behind."""
        undo, money = Undo(held=held, ending=ending), held.request.money
        match ending.step:
            case "release":
                telling.releasing(money)
                return await self._run(UndoingActivities.release, undo, "release", f"void the hold of {money}")
            case "undo-charge":
                telling.refunding(money)
                return await self._run(UndoingActivities.undo_charge, undo, "undo-charge", f"refund {money}")
            case _:
                assert_never(ending.step)

    async def abandon(self, claim: Reserve, waiting: Waiting, ending: Ending) -> Payment:
        """End what waits for its customer. If they confirm at this very moment, the hold is released."""
        hold = waiting.action.as_hold(claim.payment_id, claim.request.money)
        claimed_at = waiting.payment.created_at
        held = Held(
            payment_id=claim.payment_id,
            request=claim.request,
            claimed_at=claimed_at,
            hold=hold,
            ours=False,
            confirmed=False,
        )
        return await self.undo(held, ending)

    async def hold_has_ended(self, payment_id: str) -> bool:
        """Whether the processor has ended the hold by itself."""
        summary = "ask the processor whether the hold stands"
        return await self._run(StandingActivities.hold_has_ended, payment_id, "hold-has-ended", summary)

    async def keep_nothing(self, payment_id: str) -> bool:
        """Give back what is held or charged after the payment's end; whether there was anything."""
        summary = "ask the processor whether anything is held or charged after all, and give it back"
        return await self._run(UndoingActivities.keep_nothing, payment_id, "keep-nothing", summary)

    async def give_up(self, held: Held, ending: Ending) -> Payment | None:
        """Release a hold that nobody has captured. None when it is being captured after all."""
        try:
            return await self.undo(held, ending)
        except ActivityError as error:
            if _refusal(error, FailureType.LEDGER_REFUSED) is None:
                raise
            return None

    async def wake(self, payment_id: str) -> Standing | None:
        """The payment as the ledger has it."""
        telling.waking()
        return await self._run(StandingActivities.wake, payment_id, "wake", "read the payment from the ledger")

    async def check_refunds(self, payment_id: str) -> Payment | None:
        """The payment, after the processor was asked whether its refunds stand."""
        summary = "ask the processor whether its refunds stand"
        return await self.finish(
            workflow.execute_activity_method(
                RefundActivities.check_refunds,
                payment_id,
                activity_id="check-refunds",
                summary=summary,
                **LOOKING_THROUGH,
            )
        )

    async def _run(
        self,
        activity: Callable[[Activities, Argument], Awaitable[Result]],
        argument: Argument,
        activity_id: str,
        summary: str,
    ) -> Result:
        return await self.finish(
            workflow.execute_activity_method(
                activity, argument, activity_id=activity_id, summary=summary, **UNTIL_KNOWN
            )
        )


def _refusal(error: ActivityError, kind: FailureType) -> str | None:
    """The words of a final failure of this kind; None when the activity failed of something else."""
    cause = error.cause
    return cause.message if isinstance(cause, ApplicationError) and cause.type == kind else None
