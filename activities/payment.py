"""The steps of a payment, and their undoing."""

from typing import Literal, assert_never

from temporalio import activity

from activities.failures import UndoRefused, check_request, temporal_failures
from activities.settling import Settling, is_first_try
from gateways.port import PaymentGateway
from ledger.port import Claim, Decision, Ledger
from ledger.postings import Account, Movement
from payments.endings import charged_after_all, declined, hold_conflicted
from payments.identifiers import OperationKind, operation_key
from payments.messages import Charged, Decided, Ending, Held, Reservation, Reserve, Undo
from payments.money import Money
from payments.operations import Authorize, Capture, Conflicted, Declined, Executed, Refund, Settled, Void
from payments.payment import Payment
from payments.state import PaymentStatus


class PaymentActivities:
    """Each step acts at the processor first and writes to the ledger second, both idempotently: a worker that dies
    anywhere in a step does no harm, since the next try repeats it with the same keys."""

    def __init__(self, gateway: PaymentGateway, ledger: Ledger) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._settling = Settling(gateway, ledger)

    @activity.defn
    async def reserve(self, step: Reserve) -> Reservation:
        """Claim the key for ever, then place the hold. Nothing is held for a key that can't be claimed."""
        claim = Claim(
            payment_id=step.payment_id, request=step.request, processor=self._gateway.name, run=step.first_run
        )
        # Nothing has happened yet, so a claim that the books refuse may end the run.
        async with temporal_failures(ledger_refusal_is_final=True):
            if is_first_try():
                check_request(step.request)
            record = await self._ledger.claim(claim)
        if record.fingerprint != step.request.fingerprint():
            return Decided(payment=None)
        if record.answer is not None:
            return Decided(payment=record.answer)
        run = activity.info().workflow_run_id or ""
        fresh = record.first_run == step.first_run == run and not step.again
        operation = Authorize(
            payment_id=step.payment_id, money=step.request.money, payment_method=step.request.payment_method
        )
        async with temporal_failures():
            outcome = await self._settling.settle(operation, fresh=fresh, sent_since=record.claimed_at)
            match outcome:
                case Executed():
                    hold, ending = outcome, record.undoing
                case Declined():
                    return Decided(payment=await self._decide(step.payment_id, declined(outcome)))
                case Conflicted():
                    ending = hold_conflicted(outcome)
                    hold = await self._settling.executed(operation)
                    if hold is None:
                        return Decided(payment=await self._decide(step.payment_id, ending))
                case _:
                    assert_never(outcome)
        return Held(
            payment_id=step.payment_id,
            request=step.request,
            claimed_at=record.claimed_at,
            hold=hold,
            fresh=fresh,
            run=run,
            ending=ending,
        )

    @activity.defn
    async def charge(self, held: Held) -> Settled:
        """Capture the hold."""
        async with temporal_failures():
            info = activity.info()
            fresh = held.fresh and held.run == info.workflow_run_id
            since = info.scheduled_time if fresh else held.claimed_at
            return await self._settling.settle(_capture(held), fresh=fresh, sent_since=since)

    @activity.defn
    async def record(self, charged: Charged) -> Payment:
        """Write the charge into the books. A refusal is final: the charge is then undone."""
        held, charge = charged.held, charged.charge
        decision = Decision(
            payment_id=held.payment_id,
            status=PaymentStatus.SUCCEEDED,
            amount_authorized=held.hold.amount,
            processor_reference=charge.reference,
            movements=(_movement(OperationKind.CAPTURE, held, charge, Account.SALES),),
        )
        async with temporal_failures(ledger_refusal_is_final=True):
            return await self._ledger.decide(decision)

    @activity.defn
    async def release(self, undo: Undo) -> Payment:
        """Void the hold and decide the payment. If an earlier run has charged it after all, refund the charge."""
        async with temporal_failures():
            decided = await self._ledger.begin_undoing(undo.held.payment_id, undo.ending)
            if decided is not None:
                return decided
            match await self._gateway.find(_capture(undo.held)):
                case Executed() as charge:
                    return await self._give_back(undo.held, charged_after_all(undo.ending), charge)
                case _:
                    return await self._release(undo)

    @activity.defn
    async def undo_charge(self, undo: Undo) -> Payment:
        """Refund what the processor's record says was charged, and decide the payment."""
        async with temporal_failures():
            decided = await self._ledger.begin_undoing(undo.held.payment_id, undo.ending)
            if decided is not None:
                return decided
            charge = await self._settling.executed(_capture(undo.held))
            if charge is None:
                return await self._release(undo)
            return await self._give_back(undo.held, undo.ending, charge)

    async def _give_back(self, held: Held, ending: Ending, charge: Executed) -> Payment:
        money = Money(amount=charge.amount, currency=charge.currency)
        refund = await self._undone(Refund(payment_id=held.payment_id, money=money, capture=charge.reference))
        movements = (
            _movement(OperationKind.CAPTURE, held, charge, Account.SUSPENSE),
            _movement(OperationKind.REFUND, held, refund, Account.SUSPENSE),
        )
        return await self._decide(held.payment_id, ending, held=held, reference=charge.reference, movements=movements)

    async def _release(self, undo: Undo) -> Payment:
        held = undo.held
        money = Money(amount=held.hold.amount, currency=held.hold.currency)
        await self._undone(Void(payment_id=held.payment_id, money=money, authorization=held.hold.reference))
        return await self._decide(held.payment_id, undo.ending, held=held, reference=held.hold.reference)

    async def _undone(self, operation: Void | Refund) -> Executed:
        """The undoing, done. Raises what is retried for ever, where people see it: money must not stay behind."""
        # Another try or run may have sent it: look it up first. It may be sent again however old it is, since no
        # processor releases a hold twice, nor refunds more than was charged.
        outcome = await self._settling.settle(operation, fresh=False, sent_since=None)
        match outcome:
            case Executed():
                return outcome
            case Declined():
                raise UndoRefused(f"the processor refused the {operation.kind}: {outcome.code}: {outcome.message}")
            case Conflicted():
                found = await self._settling.executed(operation)
                if found is None or found.differs_from(operation):
                    raise UndoRefused(f"the {operation.kind} is not what was asked for: {outcome.detail}")
                return found
            case _:
                assert_never(outcome)

    async def _decide(
        self,
        payment_id: str,
        ending: Ending,
        *,
        held: Held | None = None,
        reference: str | None = None,
        movements: tuple[Movement, ...] = (),
    ) -> Payment:
        return await self._ledger.decide(
            Decision(
                payment_id=payment_id,
                status=ending.status,
                amount_authorized=held.hold.amount if held else 0,
                processor_reference=reference,
                failure=ending.failure,
                conflicted=ending.conflicted,
                movements=movements,
            )
        )


def _capture(held: Held) -> Capture:
    return Capture(payment_id=held.payment_id, money=held.request.money, authorization=held.hold.reference)


def _movement(
    kind: Literal[OperationKind.CAPTURE, OperationKind.REFUND], held: Held, done: Executed, account: Account
) -> Movement:
    return Movement(
        operation=kind,
        operation_key=operation_key(kind, held.payment_id),
        processor_reference=done.reference,
        money=Money(amount=done.amount, currency=done.currency),
        account=account,
    )
