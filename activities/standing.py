"""How a payment stands in the ledger: what a run begins with that was woken, or is asked to capture a hold."""

from temporalio import activity

from activities.deciding import authorize_of
from activities.failures import temporal_failures
from gateways.port import PaymentGateway
from ledger.port import Ledger, PaymentRecord
from payments.messages import BeginCapture, Held, Standing
from payments.operations import Executed
from payments.payment import Refund, RefundStatus
from payments.state import PaymentStatus


class StandingActivities:
    """Nothing here moves money."""

    def __init__(self, gateway: PaymentGateway, ledger: Ledger) -> None:
        self._gateway = gateway
        self._ledger = ledger

    @activity.defn
    async def wake(self, payment_id: str) -> Standing | None:
        """The payment; None when nobody ever paid under this key."""
        async with temporal_failures():
            record = await self._ledger.find(payment_id)
            refunds = await self._ledger.refunds(payment_id)
        return None if record is None else _standing(record, refunds)

    @activity.defn
    async def begin_capture(self, begin: BeginCapture) -> Standing:
        """Write down how much is captured, unless somebody was first; then how the payment stands."""
        async with temporal_failures():
            return _standing(await self._ledger.begin_capture(begin.payment_id, begin.order))

    @activity.defn
    async def hold_has_ended(self, payment_id: str) -> bool:
        """Whether the processor has ended the payment's hold: by its own clock, or somebody's hand at its console."""
        async with temporal_failures():
            record = await self._ledger.find(payment_id)
            if record is None:
                return False
            hold = await self._gateway.find(authorize_of(payment_id, record.request))
            return isinstance(hold, Executed) and hold.hold == "ended"


def _standing(record: PaymentRecord, refunds: tuple[Refund, ...] = ()) -> Standing:
    return Standing(
        payment=record.payment,
        request=record.request,
        fingerprint=record.fingerprint,
        answer=record.answer,
        pending=tuple(refund.id for refund in refunds if refund.status is RefundStatus.PENDING),
        held=_held(record),
    )


def _held(record: PaymentRecord) -> Held | None:
    if record.hold is None or record.payment.status is not PaymentStatus.AUTHORIZED:
        return None
    return Held(
        payment_id=record.payment.id,
        request=record.request,
        claimed_at=record.claimed_at,
        hold=record.hold,
        ours=False,
        ending=record.undoing,
        capturing=record.capturing,
    )
