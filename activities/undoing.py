"""The undoing of a payment that can't be finished: release the hold, or give the charge back."""

from typing import Final

from temporalio import activity

from activities.deciding import authorize_of, capture_of, decide_ending, movement
from activities.failures import UndoRefused, temporal_failures
from activities.settling import Settling
from gateways.port import PaymentGateway
from ledger.port import CAPTURED_IS_NOT_CANCELED, Ledger, LedgerRefused, PaymentRecord
from ledger.postings import Account
from payments.endings import charged_after_all
from payments.messages import Ending, Held, Undo
from payments.money import Money
from payments.operations import Capture, Declined, Executed, Refund, Void, key_of
from payments.payment import Payment
from payments.state import NOT_CHARGED, PaymentStatus

# The first void is that of the payment's own end.
_FIRST_LATE: Final = 2


class UndoingActivities:
    """As the steps of a payment, each may run any number of times with the same input."""

    def __init__(self, gateway: PaymentGateway, ledger: Ledger) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._settling = Settling(gateway, ledger)

    @activity.defn
    async def release(self, undo: Undo) -> Payment:
        """Void the hold and decide the payment. If an earlier run has charged it after all, refund the charge."""
        # A hold that is being captured, or was, is not given up: that is final, and then the capture decides.
        async with temporal_failures(final_rule=CAPTURED_IS_NOT_CANCELED):
            await self._refuse_what_was_charged(undo)
            decided = await self._ledger.begin_undoing(undo.held.payment_id, undo.ending)
        if decided is not None:
            return decided
        async with temporal_failures():
            match await self._gateway.find(capture_of(undo.held)):
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
            charge = await self._settling.executed(capture_of(undo.held))
            if charge is None:
                return await self._release(undo)
            return await self._give_back(undo.held, undo.ending, charge)

    @activity.defn
    async def keep_nothing(self, payment_id: str) -> bool:
        """See that nothing of the customer's money is held or kept after a payment's end: release what they confirmed
        too late, and refund again what came back of an undone charge. The payment stays as it ended.

        Returns whether there was anything.
        """
        async with temporal_failures():
            record = await self._ledger.find(payment_id)
            if record is None or record.payment.status not in NOT_CHARGED:
                return False
            released = await self._release_late_hold(record)
            return await self._refund_again(record) or released

    async def _refuse_what_was_charged(self, undo: Undo) -> None:
        """A worker that died while it paid at once may have sent the charge, and Temporal knows nothing of it."""
        if not (undo.ending.gives_up and undo.held.ours):
            return
        record = await self._ledger.find(undo.held.payment_id)
        if record is None or record.undoing is not None:
            return
        if isinstance(await self._gateway.find(capture_of(undo.held)), Executed):
            raise LedgerRefused(CAPTURED_IS_NOT_CANCELED, "the hold was captured before the payment was canceled")

    async def _release_late_hold(self, record: PaymentRecord) -> bool:
        payment = record.payment
        hold = await self._gateway.find(authorize_of(payment.id, record.request))
        if not isinstance(hold, Executed) or hold.hold != "open":
            return False
        money = Money(amount=hold.amount, currency=hold.currency)
        # Another hold than the one that was released before, and so another void, under another key.
        n = _FIRST_LATE + record.late_releases
        await self._undone(Void(payment_id=payment.id, money=money, authorization=hold.reference, n=n))
        await self._ledger.count_late_release(payment.id, record.late_releases)
        return True

    async def _refund_again(self, record: PaymentRecord) -> bool:
        payment = record.payment
        if payment.status is not PaymentStatus.FAILED:
            return False
        capture = str(payment.processor_reference)
        last = Refund(payment_id=payment.id, money=payment.money, capture=capture, n=1 + record.late_refunds)
        if not isinstance(await self._gateway.find(last), Declined):
            return False
        charge = await self._settling.executed(
            Capture(payment_id=payment.id, money=payment.money, authorization=capture)
        )
        if charge is None:
            return False
        money = Money(amount=charge.amount, currency=charge.currency)
        # The last attempt has failed for good, so this is another one, under another key.
        again = last.model_copy(update={"money": money, "n": last.n + 1})
        done = await self._undone(again)
        await self._ledger.redo_refund(
            payment.id, record.late_refunds, key_of(last), movement(again, done, Account.SUSPENSE)
        )
        return True

    async def _give_back(self, held: Held, ending: Ending, charge: Executed) -> Payment:
        money = Money(amount=charge.amount, currency=charge.currency)
        record = await self._ledger.find(held.payment_id)
        refused = record.late_refunds if record else 0
        refund = Refund(payment_id=held.payment_id, money=money, capture=charge.reference, n=1 + refused)
        try:
            refunded = await self._undone(refund)
        except UndoRefused:
            # Its key gets this word for ever. Written down, so that the next try is another attempt, under another key.
            await self._ledger.count_refused_refund(held.payment_id, refused)
            raise
        return await decide_ending(
            self._ledger,
            held.payment_id,
            ending,
            held=held,
            reference=charge.reference,
            movements=(
                movement(capture_of(held), charge, Account.SUSPENSE),
                movement(refund, refunded, Account.SUSPENSE),
            ),
        )

    async def _release(self, undo: Undo) -> Payment:
        held = undo.held
        money = Money(amount=held.hold.amount, currency=held.hold.currency)
        await self._undone(Void(payment_id=held.payment_id, money=money, authorization=held.hold.reference))
        if not held.confirmed:
            # The customer may have been faster; then a hold was released, else only their time to confirm it ended.
            word = await self._gateway.find(authorize_of(held.payment_id, held.request))
            amount = word.amount if isinstance(word, Executed) else 0
            held = held.model_copy(update={"hold": held.hold.model_copy(update={"amount": amount})})
        return await decide_ending(self._ledger, held.payment_id, undo.ending, held=held, reference=held.hold.reference)

    async def _undone(self, operation: Void | Refund) -> Executed:
        """The undoing, done. Raises what is retried for ever, where people see it: money must not stay behind."""
        # Another try or run may have sent it: look it up first. It may be sent again however old it is, since no
        # processor releases a hold twice, nor refunds more than was charged.
        outcome = await self._settling.settle_by_record(operation, fresh=False, sent_since=None)
        if isinstance(outcome, Declined):
            raise UndoRefused(f"the processor refused the {operation.kind}: {outcome.code}: {outcome.message}")
        return outcome
