"""The story of a payment: reserve, charge, record; and undo what was done when it can't be finished."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, assert_never

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureType
    from activities.options import UNTIL_KNOWN
    from activities.payment import PaymentActivities
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


@workflow.defn
class PaymentWorkflow:
    """One payment. Its workflow ID is the client's idempotency key; it is the only writer of the payment."""

    def __init__(self) -> None:
        self._payment: Payment | None = None
        self._fingerprint = ""
        self._over = False
        self._steps = Shield()

    @workflow.run
    async def run(self, raw_start: RawValue) -> Payment | None:
        """Pay, and answer everybody who asks until then.

        Returns the decided payment, or None when the key belongs to another request, which the ledger knows.
        Raises `ApplicationError` for an input that is no payment, and `CancelledError` when it was canceled in time.
        """
        start = self._accept(raw_start)
        held = await self._reserve(start)
        if isinstance(held, Decided):
            self._payment = held.payment
        elif held.ending is not None:
            self._payment = await self._undo(held, held.ending)
        elif self._steps.cancel_requested and held.fresh:
            # Only then is it sure that no run has sent the charge. Otherwise the payment is finished.
            self._payment = await self._undo(held, canceled())
        else:
            charge = await self._charge(held)
            match charge:
                case Executed():
                    self._payment = await self._record_or_undo(Charged(held=held, charge=charge))
                case Declined():
                    self._payment = await self._undo(held, declined(charge))
                case Conflicted():
                    self._payment = await self._undo(held, charge_conflicted(charge))
                case _:
                    assert_never(charge)
        return await self._answer_and_close()

    def _accept(self, raw_start: RawValue) -> Start:
        start = decode(raw_start, Start)
        problem = idempotency_key_problem(workflow.info().workflow_id)
        if problem is not None:
            raise malformed(f"the workflow ID is no idempotency key: {problem}")
        self._fingerprint = start.request.fingerprint()
        if start.fingerprint != self._fingerprint:
            raise malformed("the fingerprint is not that of the request")
        self._payment = processing_payment(workflow.info().workflow_id, start.request, workflow.info().start_time)
        return start

    async def _reserve(self, start: Start) -> Held | Decided:
        info = workflow.info()
        telling.reserving(start.request.money)
        step = Reserve(
            payment_id=info.workflow_id,
            request=start.request,
            first_run=info.first_execution_run_id,
            again=start.again,
        )
        try:
            return await self._run(PaymentActivities.reserve, step, "reserve", f"hold {start.request.money}")
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
                return await self._run(PaymentActivities.release, undo, "release", f"void the hold of {money}")
            case "undo-charge":
                telling.refunding(money)
                return await self._run(PaymentActivities.undo_charge, undo, "undo-charge", f"refund {money}")
            case _:
                assert_never(ending.step)

    async def _run(
        self,
        activity: Callable[[PaymentActivities, Argument], Awaitable[Result]],
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
        return PayAnswer(payment=self._payment if mine else None, nonce=pay.nonce)

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


def _refusal(error: ActivityError, kind: FailureType) -> str | None:
    """The words of a final failure of this kind; None when the activity failed of something else."""
    cause = error.cause
    return cause.message if isinstance(cause, ApplicationError) and cause.type == kind else None
