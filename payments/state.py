"""A payment's states and the moves between them: once, as a table. The ledger's constraints say the same again."""

from enum import StrEnum, unique
from typing import Final


@unique
class PaymentStatus(StrEnum):
    """Where a payment stands, as clients see it."""

    PROCESSING = "processing"
    """Not decided yet: nobody may assume that it was charged, nor that it wasn't."""
    REQUIRES_ACTION = "requires_action"
    """The customer must confirm with their bank; nothing is held yet."""
    AUTHORIZED = "authorized"
    """Held, not charged: waits for capture or cancel."""
    SUCCEEDED = "succeeded"
    """Charged and recorded."""
    PARTIALLY_REFUNDED = "partially_refunded"
    """Charged; some of it was given back."""
    REFUNDED = "refunded"
    """Charged; all of it was given back."""
    DECLINED = "declined"
    """The processor refused. Nothing was charged."""
    CANCELED = "canceled"
    """Canceled before the charge; the hold was released."""
    FAILED = "failed"
    """Could not be finished; everything that was done was undone."""
    EXPIRED = "expired"
    """Held and never captured, or never confirmed by the customer; what was held was released."""


TRANSITIONS: Final[dict[PaymentStatus, frozenset[PaymentStatus]]] = {
    PaymentStatus.PROCESSING: frozenset(
        {
            PaymentStatus.REQUIRES_ACTION,
            PaymentStatus.AUTHORIZED,
            PaymentStatus.SUCCEEDED,
            PaymentStatus.DECLINED,
            PaymentStatus.CANCELED,
            PaymentStatus.FAILED,
            PaymentStatus.EXPIRED,
        }
    ),
    # Back to processing: the customer has confirmed, and what is held is charged.
    PaymentStatus.REQUIRES_ACTION: frozenset(
        {
            PaymentStatus.PROCESSING,
            PaymentStatus.DECLINED,
            PaymentStatus.CANCELED,
            PaymentStatus.FAILED,
            PaymentStatus.EXPIRED,
        }
    ),
    PaymentStatus.AUTHORIZED: frozenset(
        {
            PaymentStatus.SUCCEEDED,
            PaymentStatus.DECLINED,
            PaymentStatus.CANCELED,
            PaymentStatus.FAILED,
            PaymentStatus.EXPIRED,
        }
    ),
    # The moves back are corrections: a refund that failed at the processor after it had succeeded.
    PaymentStatus.SUCCEEDED: frozenset({PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED}),
    PaymentStatus.PARTIALLY_REFUNDED: frozenset({PaymentStatus.REFUNDED, PaymentStatus.SUCCEEDED}),
    PaymentStatus.REFUNDED: frozenset({PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.SUCCEEDED}),
}
"""Every move that a payment can make today. A status that is not a key here is an end."""

OPEN: Final = frozenset({PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION, PaymentStatus.AUTHORIZED})
"""Something is still to be done at the processor before it is known whether the customer pays."""

CHARGED: Final = frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED})
"""The customer paid, whatever was given back since: what can be refunded is `amount_refundable`."""


NOT_CHARGED: Final = frozenset(
    {PaymentStatus.DECLINED, PaymentStatus.CANCELED, PaymentStatus.FAILED, PaymentStatus.EXPIRED}
)
"""Ended, and nothing of the customer's money is kept."""


def can_move(old: PaymentStatus, new: PaymentStatus) -> bool:
    """Whether a payment may go from one status to the other."""
    return new in TRANSITIONS.get(old, frozenset())
