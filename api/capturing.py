"""Asks for a capture or a cancellation; what the payment's workflow doesn't tell, the ledger does."""

from dataclasses import dataclass

from api.asking import Asking
from api.calling import Deadline, read
from api.problems import Code, FieldError, ProblemError, temporal_unavailable
from ledger.port import Ledger, PaymentRecord
from payments.captures import CancelRequest, CaptureRequest
from payments.messages import CaptureOrder, PaymentAnswer, RequestCapture
from payments.money import Money
from payments.payment import Payment
from payments.request import MANUAL
from payments.state import OPEN, PaymentStatus


@dataclass(frozen=True)
class Done:
    """What was asked for has been done."""

    payment: Payment
    replayed: bool


@dataclass(frozen=True)
class Going:
    """It goes on; the payment as far as it is known."""

    payment: Payment


class Holds:
    """What the API does with holds."""

    def __init__(self, asking: Asking, ledger: Ledger) -> None:
        self._asking = asking
        self._ledger = ledger

    async def capture(
        self, record: PaymentRecord, key: str, request: CaptureRequest, wait_seconds: float
    ) -> Done | Going:
        """Capture the hold once, or find what became of it.

        Raises `ProblemError` when there is nothing to capture, or it was captured by another request.
        """
        if record.capturing is not None:
            _refuse_another(record.capturing, key, request)
            if record.payment.status is not PaymentStatus.AUTHORIZED:
                return Done(record.payment, replayed=True)
        else:
            _refuse_uncapturable(record, request)
        sent = RequestCapture(key=key, amount=request.amount)
        name = f"capture\n{key}\n{request.fingerprint()}"
        answer = await self._asking.ask(record, "capture", sent, name, PaymentAnswer, Deadline(wait_seconds))
        word = answer or await self._now(record)
        if word.payment.status in OPEN:
            return Going(word.payment)
        if word.capturing is None:
            # A run that only found it captured doesn't know by whom; the row does.
            word = await self._now(record)
        if word.capturing is None:
            raise _not_capturable(word.payment)
        _refuse_another(word.capturing, key, request)
        return Done(word.payment, replayed=False)

    async def cancel(self, record: PaymentRecord, key: str, wait_seconds: float) -> Done | Going:
        """Release what is held. Raises `ProblemError` when it was charged, or is being charged, or has ended."""
        if record.payment.status is PaymentStatus.CANCELED:
            return Done(record.payment, replayed=True)
        if record.payment.status not in OPEN:
            raise _not_cancelable(record.payment)
        name = f"cancel\n{key}"
        answer = await self._asking.ask(record, "cancel", CancelRequest(), name, PaymentAnswer, Deadline(wait_seconds))
        word = answer or await self._now(record)
        if word.payment.status in OPEN:
            return Going(word.payment)
        if word.payment.status is not PaymentStatus.CANCELED:
            raise _not_cancelable(word.payment)
        return Done(word.payment, replayed=False)

    async def _now(self, record: PaymentRecord) -> PaymentRecord:
        """What the ledger says when the workflow has not answered in time."""
        now = await read(self._ledger.find(record.payment.id))
        if now is None:
            raise temporal_unavailable()
        return now


def _refuse_uncapturable(record: PaymentRecord, request: CaptureRequest) -> None:
    payment = record.payment
    if record.request.capture != MANUAL:
        raise ProblemError(Code.PAYMENT_NOT_CAPTURABLE, "It is charged without being asked: its capture is automatic.")
    if payment.status is PaymentStatus.REQUIRES_ACTION or payment.status not in OPEN:
        raise _not_capturable(payment)
    if request.amount is not None and request.amount > payment.amount:
        asked = Money(amount=request.amount, currency=payment.currency)
        raise ProblemError(
            Code.PAYMENT_NOT_CAPTURABLE, f"{asked} is more than the {payment.money} held. Nothing was captured."
        )


def _refuse_another(first: CaptureOrder, key: str, request: CaptureRequest) -> None:
    """Raises `ProblemError` unless the capture that was first is this one."""
    if first.key != key:
        raise ProblemError(
            Code.PAYMENT_NOT_CAPTURABLE,
            "Another request has captured it. A payment is captured once; GET tells how much.",
        )
    if first.fingerprint != request.fingerprint():
        raise ProblemError(
            Code.IDEMPOTENCY_KEY_REUSED,
            "This Idempotency-Key was used for another capture of this payment; this one changed nothing. Repeat the "
            "first request. What differs: amount.",
            errors=[FieldError(pointer="/amount", detail="differs from the first request")],
        )


def _not_capturable(payment: Payment) -> ProblemError:
    return ProblemError(Code.PAYMENT_NOT_CAPTURABLE, f"Nothing is held: the payment is {payment.status}.")


def _not_cancelable(payment: Payment) -> ProblemError:
    hint = " Refund it instead." if payment.amount_refundable else ""
    return ProblemError(Code.PAYMENT_NOT_CANCELABLE, f"Nothing is left to cancel: it is {payment.status}.{hint}")
