"""The payment as everybody sees it: in HTTP answers, in the workflow's answers, and stored with the ledger's row."""

from datetime import datetime
from enum import StrEnum, unique
from typing import Literal

from pydantic import BaseModel, ConfigDict

from payments.money import Money
from payments.request import RecordedRequest
from payments.state import PaymentStatus

ORDER_ALREADY_PAID = "order_already_paid"


class Failure(BaseModel):
    """Why a payment was not charged or not refunded: a code for programs, a sentence for people."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class UnknownOutcome(BaseModel):
    """An operation whose outcome the processor has not told us yet, and when we ask next."""

    model_config = ConfigDict(frozen=True)

    operation: str
    since: datetime
    next_check_at: datetime


class NextAction(BaseModel):
    """What a customer must do before the payment goes on, in Stripe's words
    (https://docs.stripe.com/api/payment_intents/object#payment_intent_object-next_action)."""

    model_config = ConfigDict(frozen=True)

    type: Literal["redirect_to_url"] = "redirect_to_url"
    url: str
    expires_at: datetime | None = None
    """When it is too late; None when the processor doesn't say."""


@unique
class RefundStatus(StrEnum):
    """Where a refund stands."""

    PENDING = "pending"
    """Reserved; the processor has not confirmed it yet."""
    SUCCEEDED = "succeeded"
    """Given back and recorded."""
    FAILED = "failed"
    """Refused, by us or by the processor. Nothing was given back, or it came back to us."""


class Refund(BaseModel):
    """One refund of a payment. `amount` is in the currency's minor unit, 0 when the request had none to read."""

    model_config = ConfigDict(frozen=True)

    id: str
    payment_id: str
    amount: int
    currency: str
    status: RefundStatus
    reason: str | None = None
    failure: Failure | None = None
    processor_reference: str | None = None
    outcome_unknown: UnknownOutcome | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def money(self) -> Money:
        """What is given back."""
        return Money(amount=self.amount, currency=self.currency)


class Payment(BaseModel):
    """One payment. Amounts are integers in the currency's minor unit; times are UTC."""

    model_config = ConfigDict(frozen=True)

    id: str
    status: PaymentStatus
    amount: int
    currency: str
    amount_authorized: int = 0
    amount_captured: int = 0
    amount_refunded: int = 0
    amount_refundable: int = 0
    capture: str
    payment_method: str
    customer: str | None
    order_id: str | None
    description: str | None
    metadata: dict[str, str]
    processor: str | None = None
    processor_reference: str | None = None
    capture_before: datetime | None = None
    """When a hold is released that nobody has captured; None for any other payment."""
    next_action: NextAction | None = None
    """Of a payment that requires action; None for any other."""
    failure: Failure | None = None
    outcome_unknown: UnknownOutcome | None = None
    conflicted: bool = False
    refunds: tuple[Refund, ...] = ()
    created_at: datetime
    updated_at: datetime

    @property
    def money(self) -> Money:
        """What was asked for."""
        return Money(amount=self.amount, currency=self.currency)


def processing_payment(payment_id: str, request: RecordedRequest, created_at: datetime) -> Payment:
    """A payment of which nothing is known yet but the request."""
    return Payment(
        id=payment_id,
        status=PaymentStatus.PROCESSING,
        amount=request.amount,
        currency=request.currency,
        capture=request.capture,
        payment_method=request.payment_method,
        customer=request.customer,
        order_id=request.order_id,
        description=request.description,
        metadata=request.metadata or {},
        created_at=created_at,
        updated_at=created_at,
    )
