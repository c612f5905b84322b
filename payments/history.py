"""The transaction history: what finance and support read, and how they choose from it. Pure."""

from datetime import datetime
from enum import StrEnum, unique
from typing import Annotated, Protocol, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, computed_field, model_validator

from payments.identifiers import OperationKind
from payments.moments import parse_moment
from payments.money import Currency, Money
from payments.payment import Failure
from payments.request import Identifier
from payments.state import PaymentStatus


@unique
class TransactionType(StrEnum):
    """What a line of the history is about."""

    CAPTURE = OperationKind.CAPTURE
    """A payment was charged: money came in."""
    REFUND = OperationKind.REFUND
    """Money was given back, or that failed. Also when a charge was undone."""
    REFUND_REVERSAL = "refund_reversal"
    """A refund failed after it had succeeded: its money came in again."""
    PAYMENT = "payment"
    """A payment ended without being charged, or undone: no money moved with this line."""


@unique
class TransactionStatus(StrEnum):
    """What came of it. All but the first moved no money."""

    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Transaction(BaseModel):
    """One line of the history. Never changed: a correction is another line.

    The sum of all amounts of a currency is what the processor owes us, before its fees and payouts.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(examples=["txn_4711"])
    type: TransactionType
    status: TransactionStatus
    amount: int
    """In the currency's minor unit: positive came in, negative went out, 0 when nothing moved."""
    currency: str
    amount_requested: int
    """What the payment or the refund was to be."""
    payment_id: str
    refund_id: str | None = None
    """Of a refund that was asked for; none when a charge was undone."""
    customer: str | None
    order_id: str | None
    description: str | None
    processor: str | None
    processor_reference: str | None = None
    """The processor's own name for the movement."""
    operation_key: str | None = None
    """The key that was sent to the processor for this attempt."""
    failure: Failure | None = None
    created_at: datetime

    @computed_field(description="The amount in the currency's major unit, with all its decimals", examples=["-49.90"])
    @property
    def amount_decimal(self) -> str:
        """For people and spreadsheets; programs take `amount`."""
        return Money(amount=self.amount, currency=self.currency).decimal


Moment = Annotated[
    datetime,
    BeforeValidator(parse_moment),
    Field(description="RFC 3339, with `Z` or an offset; a date alone begins at midnight UTC", examples=["2026-11-01"]),
]


class _Filter(BaseModel):
    """Each field that is given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    customer: Identifier | None = None
    order_id: Identifier | None = None
    currency: Currency | None = None
    created_from: Moment | None = None
    """At this moment, or later."""
    created_to: Moment | None = None
    """Before this moment."""

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.created_from and self.created_to and self.created_from > self.created_to:
            raise ValueError("created_from must not be later than created_to")
        return self


class PaymentFilter(_Filter):
    """Which payments."""

    status: PaymentStatus | None = None


class TransactionFilter(_Filter):
    """Which lines of the history."""

    status: TransactionStatus | None = None
    type: TransactionType | None = None


class Listed(Protocol):
    """What stands in a list: its place is given by when it was made and its id."""

    @property
    def created_at(self) -> datetime: ...
    @property
    def id(self) -> str: ...


class Place(BaseModel):
    """Where a page ended: the next one begins with what is older, or as old with a lower id."""

    model_config = ConfigDict(frozen=True)

    created_at: datetime
    id: str

    @classmethod
    def of(cls, item: Listed) -> Self:
        """That of the last item on a page."""
        return cls(created_at=item.created_at, id=item.id)
