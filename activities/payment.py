"""The steps of a payment: all of them at once, or one by one where people can see them."""

from typing import assert_never

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.deciding import authorize_of, authorized, capture_of, decide_ending, succeeded
from activities.failures import CHARGE_SENT, check_request, temporal_failures
from activities.settling import Settling
from gateways.port import PaymentGateway
from ledger.port import Claim, Ledger, PaymentRecord
from payments.endings import charge_conflicted, declined, hold_conflicted
from payments.messages import AtOnce, Charged, Decided, Ending, Held, Reservation, Reserve, Waiting
from payments.operations import Conflicted, Declined, Executed, RequiresAction, Settled
from payments.payment import Payment
from payments.request import MANUAL
from payments.state import PaymentStatus


class PaymentActivities:
    """Each step acts at the processor first and writes to the ledger second, both idempotently: a worker that dies
    anywhere in a step does no harm, since the next try repeats it with the same keys."""

    def __init__(self, gateway: PaymentGateway, ledger: Ledger) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._settling = Settling(gateway, ledger)

    @activity.defn
    async def pay_at_once(self, step: Reserve) -> AtOnce | None:
        """Reserve, charge and record in one go, as nearly every payment can be. None, or a failure, when anything is
        not as usual: then it goes on step by step from what the ledger and the processor know.

        Only for a key that this very try claims, so that nobody can have sent anything and nothing is looked up.
        """
        record = await self._claimed(step)
        if isinstance(record, Decided):
            return record
        if step.again or not record.claimed_now:
            return None
        async with temporal_failures():
            operation = authorize_of(step.payment_id, step.request)
            hold = await self._settling.settle_hold(operation, fresh=True, sent_since=record.claimed_at)
            match hold:
                case Executed():
                    held = _held(step, record, hold)
                    manual = step.request.capture == MANUAL
                    return await (self._authorized(held) if manual else self._charge_at_once(held))
                case Declined():
                    return await self._end(step.payment_id, declined(hold))
                case RequiresAction():
                    return await self._waiting(step.payment_id, hold)
                case Conflicted():
                    return await self._leave_to_be_undone(step.payment_id, hold_conflicted(hold))
                case _:
                    assert_never(hold)

    @activity.defn
    async def reserve(self, step: Reserve) -> Reservation:
        """Claim the key for ever, then place the hold. Nothing is held for a key that can't be claimed.

        A payment whose customer must confirm first comes here again, to see whether they have.
        """
        record = await self._claimed(step)
        if isinstance(record, Decided):
            return record
        operation = authorize_of(step.payment_id, step.request)
        async with temporal_failures():
            outcome = await self._settling.settle_hold(
                operation, fresh=record.claimed_now and not step.again, sent_since=record.claimed_at
            )
            match outcome:
                case Executed():
                    return await self._placed(step, record, outcome)
                case Declined():
                    # If we had begun to undo it, then what we voided is declined now.
                    return await self._end(step.payment_id, record.undoing or declined(outcome))
                case RequiresAction():
                    return await self._waiting(step.payment_id, outcome)
                case Conflicted():
                    ending = hold_conflicted(outcome)
                    hold = await self._settling.executed(operation)
                    if hold is None:
                        return await self._end(step.payment_id, ending)
                    return _held(step, record, hold, ending)
                case _:
                    assert_never(outcome)

    @activity.defn
    async def charge(self, held: Held) -> Settled:
        """Capture the hold. Looked up first: if nothing else, a worker that died may have sent it at once."""
        async with temporal_failures():
            return await self._settling.settle(capture_of(held), fresh=False, sent_since=held.sent_since)

    @activity.defn
    async def record(self, charged: Charged) -> Payment:
        """Write the charge into the books. A refusal is final: the charge is then undone."""
        async with temporal_failures(ledger_refusal_is_final=True):
            return await self._ledger.decide(succeeded(charged))

    async def _charge_at_once(self, held: Held) -> Decided | None:
        async with temporal_failures(CHARGE_SENT):
            charge = await self._settling.settle(capture_of(held), fresh=True, sent_since=held.claimed_at)
            match charge:
                case Executed():
                    return Decided(payment=await self._ledger.decide(succeeded(Charged(held=held, charge=charge))))
                case Declined():
                    return await self._leave_to_be_undone(held.payment_id, declined(charge))
                case Conflicted():
                    return await self._leave_to_be_undone(held.payment_id, charge_conflicted(charge))
                case _:
                    assert_never(charge)

    async def _placed(self, step: Reserve, record: PaymentRecord, hold: Executed) -> Held | Decided:
        if record.payment.status is PaymentStatus.REQUIRES_ACTION:
            record = await self._ledger.end_action(step.payment_id)
            if record.answer is not None:
                # Another try had seen an end without a hold. What was confirmed after that is released, not charged.
                return Decided(payment=record.answer, before=True)
        held = _held(step, record, hold, record.undoing)
        waits = step.request.capture == MANUAL and held.ending is None
        return await self._authorized(held) if waits else held

    async def _waiting(self, payment_id: str, action: RequiresAction) -> Waiting | Decided:
        record = await self._ledger.require_action(payment_id, action)
        if record.answer is not None:
            return Decided(payment=record.answer, before=True)
        return Waiting(payment=record.payment, action=action, ending=record.undoing)

    async def _authorized(self, held: Held) -> Decided:
        return Decided(payment=await self._ledger.decide(authorized(held)), held=held)

    async def _claimed(self, step: Reserve) -> PaymentRecord | Decided:
        """The payment's row, or its end: decided before, or the key belongs to another request."""
        # Nothing has happened yet, so a claim that the books refuse may end the run.
        async with temporal_failures(ledger_refusal_is_final=True):
            record = await self._claim(step)
        if record.fingerprint != step.request.fingerprint():
            return Decided(payment=None)
        return record if record.answer is None else Decided(payment=record.answer, before=True)

    async def _claim(self, step: Reserve) -> PaymentRecord:
        try:
            check_request(step.request)
        except ApplicationError:
            # A payment that was claimed when the rules were others must still be finished.
            record = await self._ledger.find(step.payment_id)
            if record is None:
                raise
            return record
        return await self._ledger.claim(
            Claim(payment_id=step.payment_id, request=step.request, processor=self._gateway.name, run=step.first_run)
        )

    async def _end(self, payment_id: str, ending: Ending) -> Decided:
        """Nothing is held, so there is nothing to undo."""
        return Decided(payment=await decide_ending(self._ledger, payment_id, ending))

    async def _leave_to_be_undone(self, payment_id: str, ending: Ending) -> Decided | None:
        """Written into the row, which `reserve` reads: the undoing itself is done where people can see it."""
        decided = await self._ledger.begin_undoing(payment_id, ending)
        return Decided(payment=decided) if decided else None


def _held(step: Reserve, record: PaymentRecord, hold: Executed, ending: Ending | None = None) -> Held:
    return Held(
        payment_id=step.payment_id,
        request=step.request,
        claimed_at=record.claimed_at,
        hold=hold,
        ours=record.first_run == step.first_run == activity.info().workflow_run_id and not step.again,
        ending=ending,
        confirmed_at=record.action_ended_at,
    )
