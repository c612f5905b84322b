"""What we ask a processor to do, and what can come of it. Values: only an outage or an unknown outcome raises."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from payments.identifiers import OperationKind, operation_key
from payments.money import Money


class _Operation(BaseModel):
    model_config = ConfigDict(frozen=True)

    payment_id: str
    money: Money
    n: int = 1
    """The attempt. A new one may start only after a definitive failure of the last."""


class Authorize(_Operation):
    """Place a hold on the customer's card or wallet."""

    kind: Literal[OperationKind.AUTHORIZE] = OperationKind.AUTHORIZE
    payment_method: str


class Capture(_Operation):
    """Charge what is held."""

    kind: Literal[OperationKind.CAPTURE] = OperationKind.CAPTURE
    authorization: str


class Void(_Operation):
    """Release what is held."""

    kind: Literal[OperationKind.VOID] = OperationKind.VOID
    authorization: str


class Refund(_Operation):
    """Give back what was charged, or a part of it."""

    kind: Literal[OperationKind.REFUND] = OperationKind.REFUND
    capture: str
    refund_id: str | None = None
    """The id of a refund that somebody asked for; None when the payment itself is undone."""


Operation = Authorize | Capture | Void | Refund


def key_of(operation: Operation) -> str:
    """The idempotency key that the processor gets for this operation, the same on every retry."""
    refund_id = operation.refund_id if isinstance(operation, Refund) else None
    return operation_key(operation.kind, operation.payment_id, operation.n, refund_id)


class Executed(BaseModel):
    """The processor did it, and says so in its own words: what it echoes is compared with what was asked."""

    model_config = ConfigDict(frozen=True)

    outcome: Literal["executed"] = "executed"
    reference: str
    payment_id: str
    amount: int
    currency: str
    expires_at: datetime | None = None
    """When the processor lets a hold lapse; None for what lasts, or when it doesn't say."""
    hold: Literal["open", "captured", "ended"] | None = None
    """Of a hold that was looked up: how it stands now. Ended: released, or lapsed."""

    def differs_from(self, operation: Operation) -> str | None:
        """What the processor's echo has different from what was sent; None when they agree."""
        sent = (operation.payment_id, operation.money.amount, operation.money.currency)
        if (self.payment_id, self.amount, self.currency) == sent:
            return None
        confirmed = Money(amount=self.amount, currency=self.currency)
        whose = "" if self.payment_id == operation.payment_id else f" for another payment, {self.payment_id!r}"
        return f"{operation.kind} of {operation.money} was asked for, the processor confirmed {confirmed}{whose}"


class Declined(BaseModel):
    """The processor refused for good, and did nothing. A decline is not an outage: it isn't retried."""

    model_config = ConfigDict(frozen=True)

    outcome: Literal["declined"] = "declined"
    code: str
    message: str
    lapsed: bool = False
    """It was too late: the hold, or the customer's time to confirm it, had ended at the processor."""


class RequiresAction(BaseModel):
    """Nothing is held yet: the customer must confirm with their bank first. Only a hold can wait for that."""

    model_config = ConfigDict(frozen=True)

    outcome: Literal["requires_action"] = "requires_action"
    reference: str
    """What waits: voiding it ends the waiting, or releases the hold if the customer was faster."""
    url: str
    """Where the customer confirms."""
    expires_at: datetime | None = None
    """When it is too late; None when the processor doesn't say."""

    def as_hold(self, payment_id: str, money: Money) -> Executed:
        """What would be held if the customer confirmed."""
        return Executed(reference=self.reference, payment_id=payment_id, amount=money.amount, currency=money.currency)


class Conflicted(BaseModel):
    """The processor confirmed something other than what was asked. Nothing may be recorded as if it were fine."""

    model_config = ConfigDict(frozen=True)

    outcome: Literal["conflicted"] = "conflicted"
    detail: str


Outcome = Annotated[Executed | Declined | RequiresAction, Field(discriminator="outcome")]
"""What a processor's word can be."""

Settled = Annotated[Executed | Declined | Conflicted, Field(discriminator="outcome")]
"""The same after comparing the echo."""
