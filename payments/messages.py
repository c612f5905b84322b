"""What crosses Temporal: one object in, one object out, for the workflow, its updates and its activities.

Histories outlive deployments: a field may be added with a default, none may be removed or change its meaning.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from payments.operations import Executed
from payments.payment import Failure, Payment
from payments.request import RecordedRequest
from payments.state import PaymentStatus


class Message(BaseModel):
    """Immutable, and tolerant of fields that a newer deployment added."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Start(Message):
    """The workflow's input. The request travels here, not in the update: an update not yet accepted is not durable."""

    request: RecordedRequest
    fingerprint: str
    again: bool = False
    """There was a run of this payment before, whatever the ledger remembers of it."""
    nonce: str = ""
    """New for each HTTP request, so that the one which started the payment can be told from its repetitions."""


class Pay(Message):
    """The update that waits for the payment's answer."""

    fingerprint: str


class PayAnswer(Message):
    """The decided payment, with the nonce of who started it: any other caller is told that it's a replay.

    Without a payment the ledger must be asked: the key belongs to another request, or this run never got so far.
    """

    payment: Payment | None
    nonce: str


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


class Decided(Message):
    """There is nothing to charge: decided before, or declined. No payment: the key belongs to another request."""

    state: Literal["decided"] = "decided"
    payment: Payment | None


Reservation = Annotated[Held | Decided, Field(discriminator="state")]
"""Output of `reserve`."""


class Charged(Message):
    """Input of `record`: the hold, and the charge that is to be written down."""

    held: Held
    charge: Executed


class Undo(Message):
    """Input of `release` and `undo_charge`."""

    held: Held
    ending: Ending
