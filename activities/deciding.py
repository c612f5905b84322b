"""What the steps share when they write a payment's end into the books."""

from ledger.port import Decision, Ledger
from ledger.postings import Account, Movement
from payments.messages import Charged, Ending, Held
from payments.money import Money
from payments.operations import Authorize, Capture, Executed, Refund, key_of
from payments.payment import Payment
from payments.request import RecordedRequest
from payments.state import PaymentStatus


def authorize_of(payment_id: str, request: RecordedRequest) -> Authorize:
    """The operation that places the hold."""
    return Authorize(payment_id=payment_id, money=request.money, payment_method=request.payment_method)


def capture_of(held: Held) -> Capture:
    """The operation that charges what is held."""
    return Capture(payment_id=held.payment_id, money=held.charge, authorization=held.hold.reference)


def movement(operation: Capture | Refund, done: Executed, account: Account) -> Movement:
    """Money that the processor says it has moved, for the books."""
    return Movement(
        operation=operation.kind,
        operation_key=key_of(operation),
        processor_reference=done.reference,
        money=Money(amount=done.amount, currency=done.currency),
        account=account,
    )


def succeeded(charged: Charged) -> Decision:
    """The customer was charged what was asked for."""
    held, charge = charged.held, charged.charge
    return Decision(
        payment_id=held.payment_id,
        status=PaymentStatus.SUCCEEDED,
        amount_authorized=held.hold.amount,
        processor_reference=charge.reference,
        movements=(movement(capture_of(held), charge, Account.SALES),),
    )


def authorized(held: Held) -> Decision:
    """The money is held until somebody captures it."""
    return Decision(
        payment_id=held.payment_id,
        status=PaymentStatus.AUTHORIZED,
        amount_authorized=held.hold.amount,
        processor_reference=held.hold.reference,
        hold=held.hold,
    )


async def decide_ending(
    ledger: Ledger,
    payment_id: str,
    ending: Ending,
    *,
    held: Held | None = None,
    reference: str | None = None,
    movements: tuple[Movement, ...] = (),
) -> Payment:
    """Write down that the payment ended without a charge."""
    return await ledger.decide(
        Decision(
            payment_id=payment_id,
            status=ending.status,
            amount_authorized=held.hold.amount if held else 0,
            processor_reference=reference,
            failure=ending.failure,
            conflicted=ending.conflicted,
            movements=movements,
            unless_confirmed=held is None,
        )
    )
