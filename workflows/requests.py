"""What can be asked of a payment while it runs, and what is answered. Nothing here moves money: the run does."""

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from payments.messages import Pay, PayAnswer, PaymentAnswer, RefundAnswer, RefundOrder, RequestCapture
    from payments.payment import Payment, RefundStatus
    from payments.state import PaymentStatus
    from workflows import names, telling
    from workflows.holding import Holding
    from workflows.messages import decode
    from workflows.refunding import Refunding, order_by_signal, order_of
    from workflows.steps import Steps


class Requests:
    """The updates, signals and the query of `PaymentWorkflow`, and what they share with its run."""

    def __init__(self) -> None:
        self._payment: Payment | None = None
        self._answer: Payment | None = None
        self._fingerprint = ""
        self._nonce = ""
        self._decided = False
        self._waiting = False
        self._closing = False
        self._quiet_since = workflow.now()
        self._steps = Steps()
        self._hold = Holding()
        self._refunds = Refunding()

    @workflow.update
    async def pay(self, raw_pay: RawValue) -> PayAnswer:
        """Wait for the payment's answer. It moves nothing: run() does, whether or not anybody waits."""
        pay = decode(raw_pay, Pay)
        await workflow.wait_condition(lambda: self._decided or self._waiting)
        if not self._decided:
            return PayAnswer(payment=None, nonce=self._nonce, waits=True)
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
        self._refuse_while_closing()

    @workflow.update
    async def capture(self, raw_request: RawValue) -> PaymentAnswer:
        """Charge what is held, or a part of it; the answer comes when the processor's word is known."""
        request = decode(raw_request, RequestCapture)
        payment = await self._known()
        if payment.status is PaymentStatus.AUTHORIZED:
            self._hold.ask_capture(request, payment.amount_authorized)
        return await self._outcome()

    @capture.validator
    def _refuse_capture(self, raw_request: RawValue) -> None:
        """Raises `ApplicationError` as `_refuse_refund` does."""
        decode(raw_request, RequestCapture)
        self._refuse_while_closing()

    @workflow.update
    async def cancel(self, raw_request: RawValue) -> PaymentAnswer:
        """Release what is held, if nothing was captured; the answer tells."""
        self._hold.ask_cancel("client")
        await self._known()
        return await self._outcome()

    @cancel.validator
    def _refuse_cancel(self, raw_request: RawValue) -> None:
        """Raises `ApplicationError` while this run ends."""
        self._refuse_while_closing()

    @workflow.signal(name="cancel", description="Release the hold, if nothing was charged yet. Needs no data.")
    async def cancel_by_signal(self, raw_request: RawValue) -> None:
        """The same for who wants no answer; whatever comes along is ignored."""
        self._hold.ask_cancel("operator")

    @workflow.signal(description="Ask the processor now whether it has news. Needs no data.")
    async def check(self, raw_request: RawValue) -> None:
        """Somebody says that the processor has news: it is asked. Whatever comes along is ignored."""
        self._hold.ask_check()

    async def _known(self) -> Payment:
        """The payment, once it is decided. Raises `ApplicationError` when there is none."""
        await workflow.wait_condition(lambda: self._decided)
        if self._payment is None:
            raise ApplicationError("there is no such payment", type=names.ASK_THE_LEDGER, non_retryable=True)
        return self._payment

    async def _outcome(self) -> PaymentAnswer:
        """What has become of a hold."""
        await workflow.wait_condition(
            lambda: self._payment is not None and self._payment.status is not PaymentStatus.AUTHORIZED
        )
        return PaymentAnswer(payment=await self._known(), capturing=self._hold.begun)

    def _refuse_while_closing(self) -> None:
        # A stream of requests must not keep a run open whose history has grown long.
        if self._closing or workflow.info().is_continue_as_new_suggested():
            raise ApplicationError("the payment is going to sleep", type=names.CLOSING, non_retryable=True)

    @workflow.signal(
        name="request_refund",
        description='Give money back: {"refund_id": "...", "amount": 1000} in minor units; without amount, all of it.',
    )
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

    async def _refund(self, order: RefundOrder) -> RefundAnswer:
        """One refund, by whatever way it was asked for, once the payment is decided."""
        payment, checks = await self._known(), self._hold.checks
        refunded, nonce = await self._refunds.refund(order, payment)
        if refunded.refund.status is RefundStatus.SUCCEEDED:
            self._quiet_since = workflow.now()
            # What the processor told meanwhile may be that this refund has failed, which the books didn't have yet.
            self._hold.check_asked = self._hold.check_asked or self._hold.checks > checks
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
