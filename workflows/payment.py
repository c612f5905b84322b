"""The story of a payment: reserve, charge, record; undo what was done when it can't be finished."""

from datetime import timedelta
from typing import Final, assert_never

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from payments.endings import charge_conflicted, declined, not_recordable
    from payments.messages import (
        CaptureOrder,
        Charged,
        Decided,
        Ending,
        Held,
        Reservation,
        Reserve,
        Start,
        Waiting,
    )
    from payments.operations import Conflicted, Declined, Executed
    from payments.payment import Payment, processing_payment
    from payments.request import RecordedRequest
    from payments.state import PaymentStatus
    from workflows import names, telling
    from workflows.holding import long_history
    from workflows.messages import accepted
    from workflows.refunding import resumed
    from workflows.staying import Staying


# Temporal's server can't wait for centuries, which somebody who starts a payment by hand may ask for.
LONGEST_SECONDS: Final = 10 * 365 * 24 * 3600


@workflow.defn
class PaymentWorkflow(Staying):
    """One payment. Its workflow ID is the client's idempotency key; it is the only writer of the payment."""

    def __init__(self) -> None:
        super().__init__()
        self._start = Start()
        self._held: Held | None = None

    @workflow.run
    async def run(self, raw_start: RawValue) -> Payment | None:
        """Pay, once the customer has confirmed it if they must, and answer everybody who waits for it; hold until it is
        captured, if that was asked for; stay open for refunds; sleep, until a message wakes another run under the
        same ID.

        Returns the payment as it stands then, or None when the key belongs to another request, which the ledger knows.
        Raises `ApplicationError` for an input that is no payment, and `CancelledError` when it was canceled in time.
        """
        start = self._accept(raw_start)
        self._payment = await (self._wake() if start.request is None else self._pay(start, start.request))
        self._tell_who_waits()
        if self._held is not None:
            self._payment = await self._await_capture(self._held, start.quiet_seconds)
            self._tell_who_waits()
        await self._stay_open(timedelta(seconds=min(start.quiet_seconds, LONGEST_SECONDS)))
        return await self._close()

    async def _pay(self, start: Start, request: RecordedRequest) -> Payment | None:
        """At once, inside this workflow task; if anything is not as usual, step by step, where people can see it."""
        claim = _claim(request, again=start.again)
        canceled_already = self._hold.cancel_asked is not None or workflow.cancellation_reason() is not None
        word = None if canceled_already else await self._steps.pay_at_once(claim)
        return await self._pay_step_by_step(claim, word)

    async def _pay_step_by_step(self, claim: Reserve, word: Reservation | None = None) -> Payment | None:
        held = await self._confirmed(claim, word or await self._steps.reserve(claim))
        if isinstance(held, Decided):
            return await self._as_decided(held)
        if held.ending is not None:
            return await self._steps.undo(held, held.ending)
        asked = self._hold.given_up(self._steps)
        if asked is not None and held.ours and not self._steps.charge_sent:
            # No run has sent the charge, unless a worker died with it. Then the payment is finished.
            given_up = await self._steps.give_up(held, asked)
            if given_up is not None:
                return given_up
        return await self._charge_and_record(held)

    async def _confirmed(self, claim: Reserve, word: Reservation) -> Held | Decided:
        """The word that needs no customer any more. Anything may tell us to look; only the processor's record tells
        whether they have confirmed."""
        while isinstance(word, Waiting):
            self._wait_for_customer(word.payment)
            ending = word.ending or await self._hold.confirming(word, self._steps)
            if ending is not None:
                return Decided(payment=await self._steps.abandon(claim, word, ending))
            if long_history():
                workflow.continue_as_new(self._start.model_copy(update={"again": True}))
            word = await self._steps.reserve(claim)
        if self._waiting and isinstance(word, Held) and self._payment is not None:
            self._payment = processing_payment(claim.payment_id, claim.request, self._payment.created_at)
            telling.status(self._payment)
        self._waiting = False
        return word

    def _wait_for_customer(self, payment: Payment) -> None:
        self._payment = payment
        if not self._waiting:
            self._waiting = self._waited = True
            telling.status(payment)
        telling.confirming(payment)

    async def _await_capture(self, held: Held, quiet_seconds: int) -> Payment:
        """A hold is captured on request, given up on request, or released before it lapses."""
        while held.ending is None and held.capturing is None:
            asked = await self._hold.asked(held, self._steps)
            match asked:
                case CaptureOrder():
                    standing = await self._steps.begin_capture(held.payment_id, asked)
                case Ending():
                    given_up = await self._steps.give_up(held, asked)
                    if given_up is not None:
                        return given_up
                    standing = await self._steps.wake(held.payment_id)
                case None:
                    workflow.continue_as_new(Start(quiet_seconds=quiet_seconds))
                case _:
                    assert_never(asked)
            if standing is None:
                raise ApplicationError("the ledger has lost the payment's row", type=names.ASK_THE_LEDGER)
            if standing.held is None:
                # Another run has ended it meanwhile.
                return standing.payment
            held = standing.held
        if held.ending is not None:
            return await self._steps.undo(held, held.ending)
        self._hold.begun = held.capturing
        return await self._charge_and_record(held)

    async def _charge_and_record(self, held: Held) -> Payment:
        charge = await self._steps.charge(held)
        match charge:
            case Executed():
                recorded = await self._steps.record(Charged(held=held, charge=charge))
                if isinstance(recorded, Payment):
                    return recorded
                return await self._steps.undo(held, not_recordable(recorded))
            case Declined():
                return await self._steps.undo(held, declined(charge))
            case Conflicted():
                return await self._steps.undo(held, charge_conflicted(charge))
            case _:
                assert_never(charge)

    async def _as_decided(self, decided: Decided) -> Payment | None:
        # What an earlier run has decided may have been captured or refunded since.
        if decided.before:
            return await self._wake()
        self._held = decided.held
        return decided.payment

    async def _wake(self) -> Payment | None:
        """The payment as the ledger has it, for the message that woke this run; one that is undecided is finished."""
        standing = await self._steps.wake(workflow.info().workflow_id)
        if standing is None:
            return None
        telling.woken(standing.request)
        if standing.answer is None:
            return await self._pay_step_by_step(_claim(standing.request, again=True))
        self._answer, self._held = standing.answer, standing.held
        for refund_id in standing.pending:
            self._refunds.resume(self._refund(resumed(refund_id)))
        self._hold.check_asked = True
        return standing.payment

    def _tell_who_waits(self) -> None:
        self._decided = True
        self._answer = self._answer or self._payment
        if self._payment is not None:
            telling.status(self._payment)
            if self._payment.status is PaymentStatus.AUTHORIZED:
                telling.holding(self._payment)
            else:
                telling.decided(self._payment, cancel_requested=self._steps.cancel_requested)

    def _accept(self, raw_start: RawValue) -> Start:
        start = self._start = accepted(raw_start)
        if start.request is not None:
            self._fingerprint, self._nonce = start.fingerprint, start.nonce
            started = workflow.info().start_time
            self._payment = processing_payment(workflow.info().workflow_id, start.request, started)
        return start


def _claim(request: RecordedRequest, *, again: bool) -> Reserve:
    info = workflow.info()
    return Reserve(payment_id=info.workflow_id, request=request, first_run=info.first_execution_run_id, again=again)
