"""What crosses Temporal: one object in, one object out, for the workflow, its updates and its activities.

Histories outlive deployments: a field may be added with a default, none may be removed or change its meaning.
"""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from payments.captures import CaptureRequest
from payments.cards import holds_card_number
from payments.identifiers import idempotency_key_problem
from payments.money import Money
from payments.operations import Executed, RequiresAction
from payments.payment import Failure, Payment, Refund, RefundStatus
from payments.refunds import RefundRequest
from payments.request import RecordedRequest
from payments.state import PaymentStatus

Requester = Literal["client", "operator"]
"""Who asks: a program over HTTP, or a person (or another program) by signal or with Temporal's own means."""


class Message(BaseModel):
    """Immutable, and tolerant of fields that a newer deployment added."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Start(Message):
    """The workflow's input. The request travels here, not in the update: an update not yet accepted is not durable.

    Without a request it wakes a payment that the ledger knows, for a message that comes along.
    """

    request: RecordedRequest | None = None
    fingerprint: str = ""
    again: bool = False
    """There was a run of this payment before, whatever the ledger remembers of it."""
    nonce: str = ""
    """New for each HTTP request, so that the one which started the payment can be told from its repetitions."""
    quiet_seconds: Annotated[int, Field(ge=0)] = 0
    """How long it stays open for refunds once it is charged; then it sleeps until it is woken."""


class Pay(Message):
    """The update that waits for the payment's answer."""

    fingerprint: str


class PayAnswer(Message):
    """The decided payment, with the nonce of who started it: any other caller is told that it's a replay.

    Without a payment the ledger must be asked: the key belongs to another request, or this run never got so far.
    """

    payment: Payment | None
    nonce: str
    waits: bool = False
    """The customer must confirm first. The ledger has what they need for it."""


class Reserve(Message):
    """Input of `pay_at_once` and `reserve`."""

    payment_id: str
    request: RecordedRequest
    first_run: str
    """`first_execution_run_id`, which a reset keeps. It differs from the run's own ID in every run but the first."""
    again: bool = False


class Ending(Message):
    """How a payment that can't be finished is undone, and what it is then."""

    step: Literal["release", "undo-charge"]
    status: PaymentStatus
    failure: Failure | None = None
    conflicted: bool = False
    gives_up: bool = False
    """Nobody has captured the hold: not honoured when somebody has begun to."""
    by: Requester | None = None
    """Who asked for it; None when nobody did."""


class CaptureOrder(Message):
    """Which capture of a hold was asked for first. Written into the payment's row before the processor is asked."""

    key: str
    fingerprint: str
    amount: int
    asked_at: datetime
    """Nobody can have sent it before."""


class Held(Message):
    """A payment whose key is ours and whose money is held. Input of `charge`."""

    state: Literal["held"] = "held"
    payment_id: str
    request: RecordedRequest
    claimed_at: datetime
    hold: Executed
    """By the processor's word, which may differ from what was asked: then `ending` says so."""
    ours: bool
    """The run that holds it claimed it: no other run can have sent the charge."""
    ending: Ending | None = None
    """Set when the payment can't go on: an earlier run had begun to undo it, or the hold isn't what was asked for."""
    capturing: CaptureOrder | None = None
    """Of a hold that was captured on request: how much of it. Else it is charged in full."""
    confirmed_at: datetime | None = None
    """When the customer's confirmation was seen, if it took one."""
    confirmed: bool = True
    """False: the customer hasn't, so nothing is held as far as is known. Only for undoing."""

    @property
    def charge(self) -> Money:
        """What is to be captured."""
        amount = self.request.amount if self.capturing is None else self.capturing.amount
        return Money(amount=amount, currency=self.request.currency)

    @property
    def sent_since(self) -> datetime:
        """When the charge can have been sent at the earliest."""
        return (self.capturing and self.capturing.asked_at) or self.confirmed_at or self.claimed_at


class Decided(Message):
    """There is nothing to charge: decided before, or declined. No payment: the key belongs to another request."""

    state: Literal["decided"] = "decided"
    payment: Payment | None
    before: bool = False
    """It was decided by an earlier run or try: since then it may have been refunded."""
    held: Held | None = None
    """Of an authorized payment: what waits to be captured."""


class Waiting(Message):
    """The customer must confirm with their bank before anything is held."""

    state: Literal["waiting"] = "waiting"
    payment: Payment
    action: RequiresAction
    ending: Ending | None = None
    """Set when an earlier run had begun to undo the payment."""


AtOnce = Annotated[Decided | Waiting, Field(discriminator="state")]
"""Output of `pay_at_once`, if any."""

Reservation = Annotated[Held | Decided | Waiting, Field(discriminator="state")]
"""Output of `reserve`."""


class Charged(Message):
    """Input of `record`: the hold, and the charge that is to be written down."""

    held: Held
    charge: Executed


class Undo(Message):
    """Input of `release` and `undo_charge`."""

    held: Held
    ending: Ending


def _usable(key: str) -> str:
    problem = idempotency_key_problem(key)
    if problem is not None:
        raise ValueError(problem)
    return key


class RequestRefund(RefundRequest):
    """The signal and the update `request_refund`. Strict, as it is sent by people, too."""

    refund_id: Annotated[str, AfterValidator(_usable)]
    nonce: str = ""
    """New for each HTTP request, as in `Start`."""

    @model_validator(mode="after")
    def _no_card_number(self) -> Self:
        if holds_card_number(self.refund_id) or holds_card_number(self.reason or ""):
            raise ValueError("must not hold a card number")
        return self


class RefundOrder(Message):
    """Input of `refund`: what was asked for, or why it is refused whatever the books say."""

    payment_id: str
    refund_id: str
    fingerprint: str
    amount: int | None = None
    reason: str | None = None
    requested_by: Requester
    refused: Failure | None = None
    nonce: str = ""

    def refused_for(self, failure: Failure, currency: str, now: datetime) -> Refund:
        """The refund that this does not become."""
        return Refund(
            id=self.refund_id,
            payment_id=self.payment_id,
            amount=self.amount or 0,
            currency=currency,
            status=RefundStatus.FAILED,
            reason=self.reason,
            failure=failure,
            created_at=now,
            updated_at=now,
        )


class Refunded(Message):
    """Output of `refund`: the refund, and the payment as it leaves it."""

    refund: Refund
    fingerprint: str
    """Of the request that this refund's id belongs to, which may be another one."""
    payment: Payment


class RefundAnswer(Message):
    """Output of the update `request_refund`. Another nonce than one's own tells a replay."""

    refund: Refund
    fingerprint: str
    nonce: str


class Standing(Message):
    """A payment as the ledger has it: what a run that was woken begins with."""

    payment: Payment
    request: RecordedRequest
    fingerprint: str
    answer: Payment | None
    pending: tuple[str, ...] = ()
    """Ids of refunds that an earlier run left without an outcome."""
    held: Held | None = None
    """Of an authorized payment: what waits to be captured, is being captured, or is being released."""


class RequestCapture(CaptureRequest):
    """The update `capture`."""

    key: Annotated[str, AfterValidator(_usable)]

    def order(self, held: int, now: datetime) -> CaptureOrder:
        """Of so much that is held; without an amount all of it."""
        return CaptureOrder(
            key=self.key,
            fingerprint=CaptureRequest(amount=self.amount).fingerprint(),
            amount=held if self.amount is None else self.amount,
            asked_at=now,
        )


class BeginCapture(Message):
    """Input of `begin_capture`."""

    payment_id: str
    order: CaptureOrder


class PaymentAnswer(Message):
    """Output of the updates `capture` and `cancel`: the payment as they leave it, and whose capture it was."""

    payment: Payment
    capturing: CaptureOrder | None
