"""What somebody who wants a refund sends, and when it is refused. Pure."""

import hashlib
import json
from enum import StrEnum, unique
from typing import Final

from pydantic import BaseModel, ConfigDict

from payments.money import Amount, Money
from payments.payment import Failure, Payment, Refund
from payments.request import Description
from payments.state import CHARGED, PaymentStatus

# More than a person would make of one payment, and few enough for a workflow's history and a payment's JSON.
REFUNDS_MAX: Final = 500
# Refused ones are shown to people. A flood of them must not fill the books, nor use up the number above.
REFUSALS_MAX: Final = 50


@unique
class RefundRefusal(StrEnum):
    """Why we refuse a refund without asking the processor."""

    NOT_REFUNDABLE = "payment_not_refundable"
    EXCEEDS_REFUNDABLE = "refund_exceeds_refundable"
    MALFORMED = "malformed"


REFUSALS: Final = frozenset(code.value for code in RefundRefusal)
"""Codes of the failures of refunds that the processor was never asked for."""


class RefundRequest(BaseModel):
    """A refund, as sent to `POST /v1/payments/{id}/refunds`. Without an amount all that is left is given back.

    Unknown fields are refused: a misspelt `amount` would refund everything.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Amount | None = None
    reason: Description | None = None

    def fingerprint(self) -> str:
        """SHA-256 (64 hex digits) of what is asked for."""
        meaning = {"amount": self.amount, "reason": self.reason}
        return hashlib.sha256(json.dumps(meaning, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def refusal_of(payment: Payment, amount: int | None, refunds: int) -> Failure | None:
    """Why this payment, which has so many refunds, can't be refunded by this amount (None: all that is left).

    The database refuses whatever would exceed the charge in any case; this says it in words.
    """
    if payment.status not in CHARGED:
        return _refused(RefundRefusal.NOT_REFUNDABLE, _NOT_CHARGED.get(payment.status, "It is not decided yet."))
    if refunds >= REFUNDS_MAX:
        return _refused(RefundRefusal.NOT_REFUNDABLE, f"A payment can have {REFUNDS_MAX} refunds.")
    left = payment.amount_refundable
    if left == 0:
        return _refused(RefundRefusal.EXCEEDS_REFUNDABLE, "Nothing of it is left to refund.")
    if amount is not None and amount > left:
        asked = Money(amount=amount, currency=payment.currency)
        rest = Money(amount=left, currency=payment.currency)
        return _refused(RefundRefusal.EXCEEDS_REFUNDABLE, f"{asked} is more than the {rest} left to refund.")
    return None


def is_refused(refund: Refund) -> bool:
    """Whether we refused it ourselves: the processor was never asked."""
    return refund.failure is not None and refund.failure.code in REFUSALS


def _refused(code: RefundRefusal, why: str) -> Failure:
    return Failure(code=code, message=f"{why} Nothing was refunded.")


_NOT_CHARGED: Final[dict[PaymentStatus, str]] = {
    PaymentStatus.REQUIRES_ACTION: "The customer has not confirmed it, so nothing was charged.",
    PaymentStatus.AUTHORIZED: "It is held, not charged: capture or cancel it.",
    PaymentStatus.DECLINED: "It was declined, so nothing was charged.",
    PaymentStatus.CANCELED: "It was canceled, so nothing was charged.",
    PaymentStatus.EXPIRED: "It expired, so nothing was charged.",
    PaymentStatus.FAILED: "It failed, and nothing was kept.",
}
