"""The port to the books. Every method may be called twice with the same arguments: the second call is a no-op."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict

from ledger.postings import Movement
from payments.messages import CaptureOrder, Ending, RefundOrder
from payments.operations import Executed, RequiresAction
from payments.payment import Failure, Payment, Refund
from payments.request import RecordedRequest
from payments.state import PaymentStatus
from payments.timeline import TimelineEvent


class LedgerError(Exception):
    """The ledger did not do what was asked; nothing of it was written."""


class LedgerUnavailable(LedgerError):
    """PostgreSQL can't be reached, or can't serve us now. The same call may succeed later."""


class LedgerRefused(LedgerError):
    """A rule of the books forbids it: the same call can never succeed while the books are as they are."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(f"{reason} ({rule})")
        self.rule = rule


# The rule that keeps a hold from being given up once somebody has begun to capture it.
CAPTURED_IS_NOT_CANCELED: Final = "captured_is_not_canceled"


class Claim(BaseModel):
    """A client's key taken for a request, before anything is held or charged."""

    model_config = ConfigDict(frozen=True)

    payment_id: str
    request: RecordedRequest
    processor: str
    run: str


class PaymentRecord(BaseModel):
    """The permanent row."""

    model_config = ConfigDict(frozen=True)

    payment: Payment
    """As it stands now."""
    request: RecordedRequest
    fingerprint: str
    first_run: str
    claimed_at: datetime
    undoing: Ending | None
    """How the payment is being undone, once that was begun: no run may charge it any more."""
    claimed_now: bool = False
    """This very call of `claim` wrote the row: nothing can have happened to the payment before."""
    hold: Executed | None = None
    """Of a payment that is captured on request: what the processor holds, or held."""
    capturing: CaptureOrder | None = None
    """The capture that was asked for first: no run may release the hold, unless the capture comes to nothing."""
    action_ended_at: datetime | None = None
    """When it was seen that the customer had confirmed, or that it was too late; None while that is open."""
    late_releases: int = 0
    """How many holds appeared after the payment's end and were released."""
    late_refunds: int = 0
    """How many refunds of the undone charge failed, before the payment's end or after it: the next has another key."""
    answer: Payment | None
    """As it stood when it was first decided: what every repetition of the request is told. None while undecided."""


class Decision(BaseModel):
    """How a payment ended, with the money that moved until then."""

    model_config = ConfigDict(frozen=True)

    payment_id: str
    status: PaymentStatus
    amount_authorized: int = 0
    processor_reference: str | None = None
    failure: Failure | None = None
    conflicted: bool = False
    movements: tuple[Movement, ...] = ()
    hold: Executed | None = None
    """Of a payment that becomes authorized."""
    unless_confirmed: bool = False
    """Nothing was held, so nothing is undone first: not for a payment that a customer is known to have confirmed."""


class RefundRecord(BaseModel):
    """A refund's permanent row, and the payment as it stands with it."""

    model_config = ConfigDict(frozen=True)

    refund: Refund
    fingerprint: str
    """Of the request that has this refund's id."""
    payment: Payment
    reserved_now: bool = False
    """This very call of `reserve_refund` wrote the row: nobody can have sent it to the processor before."""


class Ledger(Protocol):
    """What paysaga needs of the books. Each method raises `LedgerUnavailable`; those that write, `LedgerRefused`."""

    async def claim(self, claim: Claim) -> PaymentRecord:
        """Write the permanent row in a transaction of its own, or return the one that is there already.

        The answer of a payment whose order is held by another one is `failed` with code `order_already_paid`.
        """
        ...

    async def find(self, payment_id: str) -> PaymentRecord | None:
        """The row as it stands now, without the list of refunds, or None when this key was never claimed."""
        ...

    async def now(self) -> datetime:
        """By the clock that the rows' times are of."""
        ...

    async def find_payment(self, payment_id: str) -> Payment | None:
        """The payment as it stands now with its refunds, all of one moment, or None when this key was never claimed."""
        ...

    async def refunds(self, payment_id: str) -> tuple[Refund, ...]:
        """All refunds of the payment, the oldest first."""
        ...

    async def timeline(self, payment_id: str) -> tuple[TimelineEvent, ...]:
        """Everything that happened to the payment, the oldest first; nothing for a key that was never claimed."""
        ...

    async def mark_unknown(self, payment_id: str, operation: str, next_check: timedelta) -> None:
        """Show that an operation's outcome is not known and when it is asked for next, unless decided meanwhile."""
        ...

    async def require_action(self, payment_id: str, action: RequiresAction) -> PaymentRecord:
        """Show what the customer must do, unless that is over or the payment is being undone; the row as it is then."""
        ...

    async def end_action(self, payment_id: str) -> PaymentRecord:
        """The customer has confirmed: the payment goes on. Does nothing when that is known; the row as it is then."""
        ...

    async def count_late_release(self, payment_id: str, before: int) -> None:
        """One more hold was released that appeared after the payment's end, if there were so many before."""
        ...

    async def count_refused_refund(self, payment_id: str, before: int) -> None:
        """The refund of a charge that is being undone was refused for good, if there were so many before."""
        ...

    async def redo_refund(self, payment_id: str, before: int, failed: str, again: Movement) -> None:
        """The refund of an undone charge failed after the processor had confirmed it, and was made again: reverse the
        posting of the failed one's key, post the new one, and count it, if there were so many before."""
        ...

    async def begin_undoing(self, payment_id: str, ending: Ending) -> Payment | None:
        """Write down that the payment is being undone, before anything is undone. The first such word stays.

        Returns a payment that has ended already, of which nothing may be undone any more: a try of another step that
        was thought lost may have decided it. A hold that is being captured is not given up (`LedgerRefused`).
        """
        ...

    async def begin_capture(self, payment_id: str, order: CaptureOrder) -> PaymentRecord:
        """Write down how much of a hold is captured, before the processor is asked. The first such order stays; there
        is none for a payment that is not authorized, or is being undone."""
        ...

    async def decide(self, decision: Decision) -> Payment:
        """Post the movements and decide the payment, in one transaction; return it as it was decided.

        Movements that were recorded before are not posted again. A payment that was decided before stays as it is, and
        the first answer, which may be that it is authorized, stays for ever. What a customer has confirmed is refused
        (`LedgerRefused`) if the decision says so.
        """
        ...

    async def reserve_refund(self, order: RefundOrder) -> RefundRecord:
        """Write the refund's permanent row with its amount reserved, or return the one that has its id already.

        One that can't be made, or is to be refused, is written down as failed. Beyond `REFUSALS_MAX` such rows it is
        only returned.
        """
        ...

    async def find_refund(self, payment_id: str, refund_id: str) -> RefundRecord | None:
        """The refund's row as it stands now, or None when nobody asked for one under this id."""
        ...

    async def mark_refund_unknown(self, payment_id: str, refund_id: str, next_check: timedelta) -> None:
        """Show that a refund's outcome is not known and when it is asked for next, unless it has ended."""
        ...

    async def end_refund(self, payment_id: str, refund_id: str, end: Movement | Failure) -> RefundRecord:
        """A pending refund was made (post what moved) or refused (free what it reserved). One that has ended stays."""
        ...

    async def reverse_refund(self, payment_id: str, refund_id: str, failure: Failure) -> RefundRecord:
        """A refund that had succeeded failed at the processor after all: a correction in the books, and its amount can
        be refunded again. Does nothing to a refund that did not succeed."""
        ...


class WebhookEvent(BaseModel):
    """What is kept of a processor's event. Not its body, which may hold what doesn't belong here."""

    model_config = ConfigDict(frozen=True)

    processor: str
    id: str
    """One row for each, however often it comes."""
    type: str
    concerns: str
    """What it is about, as the processor's adapter says."""
    payment_id: str
    """As the processor says: there may be no such payment."""


class Delivery(StrEnum):
    """What became of an event."""

    DELIVERED = "delivered"
    """Its payment was told to ask the processor."""
    IGNORED = "ignored"
    """It can't matter: there is no such payment here, or nothing of it that the event could have changed."""


class Inbox(Protocol):
    """Events of processors, from their arrival until payments are told. Each method raises `LedgerUnavailable`."""

    async def store_event(self, event: WebhookEvent) -> bool:
        """Keep the event, for good; False when one of this processor and id is there already, which stays."""
        ...

    async def take_events(self, limit: int, lease: timedelta) -> tuple[WebhookEvent, ...]:
        """Undelivered ones, those first that have waited longest. Nobody else gets them while the lease runs; one that
        is not delivered until then comes again."""
        ...

    async def end_delivery(self, processor: str, ids: Sequence[str], delivery: Delivery) -> None:
        """They are done with. What was said of one before stays."""
        ...
