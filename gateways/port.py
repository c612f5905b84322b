"""The port to a payment processor. docs/adapters.md tells how to write an adapter for it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field

from payments.operations import Operation, Outcome
from payments.settlement import Period, SettlementItem


class GatewayError(Exception):
    """The processor gave no definitive word. `retry_after` is the processor's own wish, when it stated one."""

    def __init__(self, reason: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class NotExecuted(GatewayError):
    """Surely nothing happened: it was never sent, or was refused unread (connection refused, 429, bad credentials)."""


class OutcomeUnknown(GatewayError):
    """It may have happened: a timeout after sending, a 5xx, a torn connection, a reply that can't be read."""


class PaymentGateway(Protocol):
    """What paysaga needs of a processor.

    An adapter must send `key_of(operation)` as the processor's idempotency key, must not retry by itself, and must
    call everything unknown that it can't map: a wrong `OutcomeUnknown` costs a look-up, a wrong `Declined` or
    `NotExecuted` costs a customer's money.
    """

    @property
    def name(self) -> str:
        """The processor's name, as it appears in payments and in ledger accounts."""
        ...

    @property
    def key_window(self) -> timedelta:
        """How long the processor surely answers a repeated key with the first result."""
        ...

    async def submit(self, operation: Operation) -> Outcome:
        """Ask the processor to do it, within the adapter's own total deadline.

        Raises `NotExecuted` or `OutcomeUnknown`.
        """
        ...

    async def find(self, operation: Operation) -> Outcome | None:
        """What the processor's own record says about this operation's key; None when it knows nothing of it (yet).

        Of a hold it also says how that stands now, and of one that waits for its customer whether it still does.

        Raises `OutcomeUnknown` when the record can't be read.
        """
        ...


class ProcessorRecord(Protocol):
    """What paysaga needs of a processor to reconcile with it. Each method raises `OutcomeUnknown` when the record can't
    be read."""

    @property
    def name(self) -> str:
        """As of its gateway."""
        ...

    def items(self, period: Period) -> AsyncIterator[tuple[SettlementItem, ...]]:
        """Everything that moved or held money in the period, each once, some at a time; whoever asked for it."""
        ...

    async def items_of(self, key: str) -> tuple[SettlementItem, ...]:
        """What happened under one of our keys, at any time."""
        ...


@dataclass(frozen=True)
class ReportProblem:
    """A line of a settlement report that can't be read, and why."""

    line: int
    what: str


class Concern(StrEnum):
    """What a processor's event is about."""

    AUTHORIZATION = "authorization"
    """A hold: its customer confirmed it or gave up, it lapsed, somebody released it."""
    REFUND = "refund"
    OTHER = "other"
    """Nothing that a payment could find out by asking."""


class ProcessorEvent(BaseModel):
    """One thing that a processor says has happened, in printable ASCII. It is a reason to ask the processor how the
    payment stands, and never believed by itself."""

    model_config = ConfigDict(frozen=True)

    id: Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]
    """The same each time the processor sends it, and never of two events."""
    type: Annotated[str, Field(pattern=r"^[!-~]{1,100}$")]
    """In the processor's own words."""
    payment_id: Annotated[str, Field(pattern=r"^[ -~]{1,255}$")]
    concerns: Concern


class WebhookRefused(Exception):
    """A request that the processor surely has not sent just now, or that can't be read. Says what is wrong with it."""


class WebhookReader(Protocol):
    """What paysaga needs of a processor's webhooks."""

    def read(self, headers: Sequence[tuple[str, str]], body: bytes, now: datetime) -> ProcessorEvent:
        """The event in a request, by its raw body and its headers (names in lower case, repeated ones repeated).

        Raises `WebhookRefused` unless the processor has signed exactly these bytes, at about `now`.
        """
        ...
