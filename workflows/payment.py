"""The story of a payment: reserve, charge, record; and undo what was done when it can't be finished."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, assert_never

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.failures import CHARGE_SENT, FailureType
    from activities.options import AT_ONCE, UNTIL_KNOWN
    from activities.payment import PaymentActivities
    from activities.undoing import UndoingActivities
    from payments.endings import canceled, charge_conflicted, declined, not_recordable
    from payments.identifiers import idempotency_key_problem
    from payments.messages import Charged, Decided, Ending, Held, Pay, PayAnswer, Reserve, Start, Undo
    from payments.operations import Conflicted, Declined, Executed
    from payments.payment import Payment, processing_payment
    from payments.state import PaymentStatus
    from workflows import names, telling
    from workflows.messages import decode, malformed
    from workflows.shielding import Shield

Argument = TypeVar("Argument")
Result = TypeVar("Result")
Steps = TypeVar("Steps")


@workflow.defn
class PaymentWorkflow:
    """One payment. Its workflow ID is the client's idempotency key; it is the only writer of the payment."""

    def __init__(self) -> None:
        self._payment: Payment | None = None
        self._fingerprint = ""
        self._nonce = ""
        self._charge_sent = False
        self._over = False
        self._steps = Shield()

    @workflow.run
    async def run(self, raw_start: RawValue) -> Payment | None:
        """Pay, and answer everybody who asks until then.

        Returns the decided payment, or None when the key belongs to another request, which the ledger knows.
        Raises `ApplicationError` for an input that is no payment, and `CancelledError` when it was canceled in time.
        """
        start = self._accept(raw_start)
        self._payment = await self._pay(start)
        return await self._answer_and_close()

    async def _pay(self, start: Start) -> Payment | None:
        """At once, inside this workflow task; if anything is not as usual, step by step, where people can see it."""
        canceled_already = workflow.cancellation_reason() is not None
        decided = None if canceled_already else await self._pay_at_once(start)
        return decided.payment if decided is not None else await self._pay_step_by_step(start)

    async def _pay_at_once(self, start: Start) -> Decided | None:
        money = start.request.money
        telling.paying(money)
        # Until it says otherwise: a worker that died may have sent it.
        self._charge_sent = True
        try:
            return await self._steps.finish(
                workflow.execute_local_activity_method(
                    PaymentActivities.pay_at_once,
                    _claim(start),
                    activity_id="pay-at-once",
                    summary=f"hold, capture and post {money}",
                    **AT_ONCE,
                )
            )
        except FailureError as failure:
            # An ordinary activity fails with ActivityError, a local one with what it raised.
            self._charge_sent = not isinstance(failure, ApplicationError) or CHARGE_SENT in failure.details
            return None

    async def _pay_step_by_step(self, start: Start) -> Payment | None:
        held = await self._reserve(start)
        if isinstance(held, Decided):
            return held.payment
        if held.ending is not None:
            return await self._undo(held, held.ending)
        if self._steps.cancel_requested and held.ours and not self._charge_sent:
            # Neither this run nor another one has sent the charge; else the payment is finished.
            return await self._undo(held, canceled())
        charge = await self._charge(held)
        match charge:
            case Executed():
                return await self._record_or_undo(Charged(held=held, charge=charge))
            case Declined():
                return await self._undo(held, declined(charge))
            case Conflicted():
                return await self._undo(held, charge_conflicted(charge))
            case _:
                assert_never(charge)

    def _accept(self, raw_start: RawValue) -> Start:
        start = decode(raw_start, Start)
        problem = idempotency_key_problem(workflow.info().workflow_id)
        if problem is not None:
            raise malformed(f"the workflow ID is no idempotency key: {problem}")
        self._fingerprint = start.request.fingerprint()
        if start.fingerprint != self._fingerprint:
            raise malformed("the fingerprint is not that of the request")
        self._nonce = start.nonce
        self._payment = processing_payment(workflow.info().workflow_id, start.request, workflow.info().start_time)
        return start

    async def _reserve(self, start: Start) -> Held | Decided:
        telling.reserving(start.request.money)
        try:
            return await self._run(PaymentActivities.reserve, _claim(start), "reserve", f"hold {start.request.money}")
        except ActivityError as error:
            refusal = _refusal(error, FailureType.MALFORMED)
            if refusal is None:
                raise
            raise malformed(refusal) from None

    async def _charge(self, held: Held) -> Executed | Declined | Conflicted:
        telling.charging(held.request.money)
        return await self._run(PaymentActivities.charge, held, "charge", f"capture {held.request.money}")

    async def _record_or_undo(self, charged: Charged) -> Payment:
        money = charged.held.request.money
        telling.recording(money)
        try:
            return await self._run(PaymentActivities.record, charged, "record", f"post {money} to the ledger")
        except ActivityError as error:
            # Only the ledger's own refusal says that recording can never succeed; anything else is no reason to refund.
            refusal = _refusal(error, FailureType.LEDGER_REFUSED)
            if refusal is None:
                raise
            return await self._undo(charged.held, not_recordable(refusal))

    async def _undo(self, held: Held, ending: Ending) -> Payment:
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

    async def _run(
        self,
        activity: Callable[[Steps, Argument], Awaitable[Result]],
        argument: Argument,
        activity_id: str,
        summary: str,
    ) -> Result:
        """One step, to its known outcome, whatever is canceled meanwhile."""
        return await self._steps.finish(
            workflow.execute_activity_method(
                activity, argument, activity_id=activity_id, summary=summary, **UNTIL_KNOWN
            )
        )

    async def _answer_and_close(self) -> Payment | None:
        self._over = True
        if self._payment is not None:
            telling.decided(self._payment, cancel_requested=self._steps.cancel_requested)
        await self._steps.finish(workflow.wait_condition(workflow.all_handlers_finished))
        if self._steps.cancel_requested and self._payment and self._payment.status is PaymentStatus.CANCELED:
            raise asyncio.CancelledError("canceled before the charge")
        return self._payment

    @workflow.update
    async def pay(self, raw_pay: RawValue) -> PayAnswer:
        """Wait for the payment's answer. It moves nothing: run() does, whether or not anybody waits."""
        pay = decode(raw_pay, Pay)
        await workflow.wait_condition(lambda: self._over)
        mine = pay.fingerprint == self._fingerprint
        return PayAnswer(payment=self._payment if mine else None, nonce=self._nonce)

    @pay.validator
    def _refuse_pay(self, raw_pay: RawValue) -> None:
        """Raises `ApplicationError` for another request under this key. Runs before run(): only the memo is there."""
        pay = decode(raw_pay, Pay)
        fingerprint = workflow.memo_value(names.MEMO_FINGERPRINT, "", type_hint=str)
        if fingerprint == pay.fingerprint:
            return
        kind = names.OTHER_REQUEST if fingerprint else names.ASK_THE_LEDGER
        raise ApplicationError("this key belongs to another request", type=kind, non_retryable=True)

    @workflow.query
    def payment(self) -> Payment | None:
        """The payment as far as this run knows it; the ledger knows more while a step is running."""
        return self._payment


def _claim(start: Start) -> Reserve:
    info = workflow.info()
    return Reserve(
        payment_id=info.workflow_id, request=start.request, first_run=info.first_execution_run_id, again=start.again
    )


def _refusal(error: ActivityError, kind: FailureType) -> str | None:
    """The words of a final failure of this kind; None when the activity failed of something else."""
    cause = error.cause
    return cause.message if isinstance(cause, ApplicationError) and cause.type == kind else None
