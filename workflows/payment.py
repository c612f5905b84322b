"""The story of a payment: reserve, charge, record; undo what was done when it can't be finished; refund on request."""

import asyncio
from datetime import timedelta
from typing import assert_never

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.failures import CHARGE_SENT
    from activities.options import AT_ONCE
    from activities.payment import PaymentActivities
    from payments.endings import canceled, charge_conflicted, declined, not_recordable
    from payments.identifiers import idempotency_key_problem
    from payments.messages import Charged, Decided, Pay, PayAnswer, RefundAnswer, RefundOrder, Reserve, Start
    from payments.operations import Conflicted, Declined, Executed
    from payments.payment import Payment, processing_payment
    from payments.request import RecordedRequest
    from payments.state import CHARGED, PaymentStatus
    from workflows import names, telling
    from workflows.messages import decode, malformed
    from workflows.refunding import Refunding, order_by_signal, order_of, resumed
    from workflows.steps import Steps


@workflow.defn
class PaymentWorkflow:
    """One payment. Its workflow ID is the client's idempotency key; it is the only writer of the payment."""

    def __init__(self) -> None:
        self._payment: Payment | None = None
        self._answer: Payment | None = None
        self._fingerprint = ""
        self._nonce = ""
        self._charge_sent = False
        self._decided = False
        self._closing = False
        self._steps = Steps()
        self._refunds = Refunding()

    @workflow.run
    async def run(self, raw_start: RawValue) -> Payment | None:
        """Pay, and answer everybody who asks until then; stay open for refunds; sleep, until a message wakes another
        run under the same ID.

        Returns the payment as it stands then, or None when the key belongs to another request, which the ledger knows.
        Raises `ApplicationError` for an input that is no payment, and `CancelledError` when it was canceled in time.
        """
        start = self._accept(raw_start)
        self._payment = await (self._wake() if start.request is None else self._pay(start, start.request))
        self._tell_who_waits()
        await self._stay_open(timedelta(seconds=start.quiet_seconds))
        return await self._close()

    async def _pay(self, start: Start, request: RecordedRequest) -> Payment | None:
        """At once, inside this workflow task; if anything is not as usual, step by step, where people can see it."""
        claim = _claim(request, again=start.again)
        canceled_already = workflow.cancellation_reason() is not None
        decided = None if canceled_already else await self._pay_at_once(claim)
        return await self._pay_step_by_step(claim) if decided is None else await self._as_decided(decided)

    async def _pay_at_once(self, claim: Reserve) -> Decided | None:
        money = claim.request.money
        telling.paying(money)
        # Until it says otherwise: a worker that died may have sent it.
        self._charge_sent = True
        try:
            return await self._steps.finish(
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
            self._charge_sent = not isinstance(failure, ApplicationError) or CHARGE_SENT in failure.details
            return None

    async def _pay_step_by_step(self, claim: Reserve) -> Payment | None:
        held = await self._steps.reserve(claim)
        if isinstance(held, Decided):
            return await self._as_decided(held)
        if held.ending is not None:
            return await self._steps.undo(held, held.ending)
        if self._steps.cancel_requested and held.ours and not self._charge_sent:
            # Neither this run nor another one has sent the charge; else the payment is finished.
            return await self._steps.undo(held, canceled())
        charge = await self._steps.charge(held)
        match charge:
            case Executed():
                recorded = await self._steps.record(Charged(held=held, charge=charge))
                return (
                    recorded
                    if isinstance(recorded, Payment)
                    else await self._steps.undo(held, not_recordable(recorded))
                )
            case Declined():
                return await self._steps.undo(held, declined(charge))
            case Conflicted():
                return await self._steps.undo(held, charge_conflicted(charge))
            case _:
                assert_never(charge)

    async def _as_decided(self, decided: Decided) -> Payment | None:
        # What an earlier run has decided may have been refunded since.
        return await self._wake() if decided.before else decided.payment

    async def _wake(self) -> Payment | None:
        """The payment as the ledger has it, for the message that woke this run; one that is undecided is finished."""
        standing = await self._steps.wake(workflow.info().workflow_id)
        if standing is None:
            return None
        telling.woken(standing.request)
        if standing.answer is None:
            return await self._pay_step_by_step(_claim(standing.request, again=True))
        self._answer = standing.answer
        for refund_id in standing.pending:
            self._refunds.resume(self._refund(resumed(refund_id)))
        return standing.payment

    def _tell_who_waits(self) -> None:
        self._decided = True
        self._answer = self._answer or self._payment
        if self._payment is not None:
            telling.status(self._payment)
            telling.decided(self._payment, cancel_requested=self._steps.cancel_requested)

    async def _stay_open(self, quiet: timedelta) -> None:
        """A charged payment takes refund requests until the quiet period is over, somebody cancels the waiting, or its
        history grows long."""
        if self._payment is None or self._payment.status not in CHARGED or not quiet:
            return
        telling.open_for_refunds(self._payment, self._refunds.refusals)
        enough = workflow.info().is_continue_as_new_suggested
        try:
            await self._steps.finish(
                workflow.wait_condition(
                    lambda: self._steps.cancel_requested or enough(),
                    timeout=quiet,
                    timeout_summary="open for refunds until then",
                )
            )
        except TimeoutError:
            # The processor's word that a refund failed after all may have been lost on its way to us.
            if self._payment.amount_refunded:
                self._take_in(await self._steps.check_refunds(self._payment.id))

    async def _close(self) -> Payment | None:
        self._closing = True
        await self._steps.finish(
            workflow.wait_condition(lambda: workflow.all_handlers_finished() and not self._refunds.resuming)
        )
        if self._steps.cancel_requested and self._payment and self._payment.status is PaymentStatus.CANCELED:
            raise asyncio.CancelledError("canceled before the charge")
        if self._payment is not None and self._payment.status in CHARGED:
            telling.asleep(self._payment, self._refunds.refusals, late=self._steps.cancel_requested)
        return self._payment

    async def _refund(self, order: RefundOrder) -> RefundAnswer:
        """One refund, by whatever way it was asked for, once the payment is decided."""
        await workflow.wait_condition(lambda: self._decided)
        if self._payment is None:
            raise ApplicationError("there is no such payment", type=names.ASK_THE_LEDGER, non_retryable=True)
        refunded, nonce = await self._refunds.refund(order, self._payment)
        self._take_in(refunded.payment)
        return RefundAnswer(refund=refunded.refund, fingerprint=refunded.fingerprint, nonce=nonce)

    def _take_in(self, payment: Payment | None) -> None:
        """The payment after a refund, unless a later one has been taken in already."""
        if payment is None or self._payment is None or payment.updated_at < self._payment.updated_at:
            return
        if payment.status is not self._payment.status:
            telling.status(payment)
        self._payment = payment
        telling.open_for_refunds(payment, self._refunds.refusals)

    def _accept(self, raw_start: RawValue) -> Start:
        start = decode(raw_start, Start)
        problem = idempotency_key_problem(workflow.info().workflow_id)
        if problem is not None:
            raise malformed(f"the workflow ID is no idempotency key: {problem}")
        if start.request is None:
            return start
        self._fingerprint = start.request.fingerprint()
        if start.fingerprint != self._fingerprint:
            raise malformed("the fingerprint is not that of the request")
        self._nonce = start.nonce
        self._payment = processing_payment(workflow.info().workflow_id, start.request, workflow.info().start_time)
        return start

    @workflow.update
    async def pay(self, raw_pay: RawValue) -> PayAnswer:
        """Wait for the payment's answer. It moves nothing: run() does, whether or not anybody waits."""
        pay = decode(raw_pay, Pay)
        await workflow.wait_condition(lambda: self._decided)
        mine = pay.fingerprint == self._fingerprint
        return PayAnswer(payment=self._answer if mine else None, nonce=self._nonce)

    @pay.validator
    def _refuse_pay(self, raw_pay: RawValue) -> None:
        """Raises `ApplicationError` for another request under this key. Runs before run(): only the memo is there."""
        pay = decode(raw_pay, Pay)
        fingerprint = workflow.memo_value(names.MEMO_FINGERPRINT, "", type_hint=str)
        if fingerprint == pay.fingerprint:
            return
        kind = names.OTHER_REQUEST if fingerprint else names.ASK_THE_LEDGER
        raise ApplicationError("this key belongs to another request", type=kind, non_retryable=True)

    @workflow.update
    async def request_refund(self, raw_request: RawValue) -> RefundAnswer:
        """Give back what was charged, or a part of it; the answer comes when the processor's word is known."""
        return await self._refund(order_of(raw_request, "client"))

    @request_refund.validator
    def _refuse_refund(self, raw_request: RawValue) -> None:
        """Raises `ApplicationError` for what is no refund request, and while this run ends: that passes."""
        order_of(raw_request, "client")
        if self._closing:
            raise ApplicationError("the payment is going to sleep", type=names.CLOSING, non_retryable=True)

    @workflow.signal(name="request_refund")
    async def request_refund_by_signal(self, raw_request: RawValue) -> None:
        """The same for people and programs that want no answer. Whatever is wrong with it shows as a refused refund."""
        try:
            await self._refund(order_by_signal(raw_request))
        except FailureError as failure:
            # A signal handler that fails would end the payment's run.
            workflow.logger.warning("a refund by signal was not made: %s", failure)

    @workflow.query
    def payment(self) -> Payment | None:
        """The payment as far as this run knows it; the ledger knows more while a step is running."""
        return self._payment


def _claim(request: RecordedRequest, *, again: bool) -> Reserve:
    info = workflow.info()
    return Reserve(payment_id=info.workflow_id, request=request, first_run=info.first_execution_run_id, again=again)
