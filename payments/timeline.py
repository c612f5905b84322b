"""What happened to a payment, as support and other programs read it. Pure."""

from datetime import datetime
from enum import StrEnum, unique

from pydantic import BaseModel, ConfigDict, Field, JsonValue


@unique
class Actor(StrEnum):
    """Who caused something that happened to a payment."""

    CLIENT = "client"
    """Whoever pays, captures, cancels or refunds over HTTP."""
    WORKFLOW = "workflow"
    """The payment's own workflow: it decided, by the rules or by what it found."""
    PROCESSOR = "processor"
    """The processor, or a customer or bank whose word it passed on."""
    OPERATOR = "operator"
    """A person or a program that signals the workflow."""


class TimelineEvent(BaseModel):
    """One thing that happened to a payment. Written in the same transaction as what it tells, and never changed."""

    model_config = ConfigDict(frozen=True)

    id: str
    # Not an enumeration: while a deployment is under way, a reader may meet a type that it doesn't know yet.
    type: str = Field(examples=["payment.succeeded"])
    actor: Actor
    refund_id: str | None = None
    """Of an event whose type begins with `refund.`."""
    reference: str | None = None
    """The processor's own name for what it did."""
    data: dict[str, JsonValue]
    """By type: amounts in the currency's minor unit, codes, operations. Nothing personal."""
    created_at: datetime


class FeedEvent(TimelineEvent):
    """The same in the feed of all payments' events."""

    sequence: int
    """Without gaps, from 1: whoever has seen all up to here has missed none."""
    payment_id: str
