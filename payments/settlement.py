"""Reconciliation's words: what a processor says has moved, and where that differs from our books. Pure."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from payments.money import Money

# As in the books: below 2^63, whatever a processor says.
_AMOUNT_MAX: Final = 10**18


class ItemOperation(StrEnum):
    """What a line of the processor's record is about."""

    CAPTURE = "capture"
    REFUND = "refund"
    REFUND_REVERSAL = "refund_reversal"
    """A refund that had succeeded came back."""
    HOLD = "hold"
    """Moves nothing; its `state` says whether the customer's money is still held."""


Reference = Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]


class SettlementItem(BaseModel):
    """One line of the processor's record: something that surely happened there."""

    model_config = ConfigDict(frozen=True)

    operation: ItemOperation
    reference: Reference
    """The processor's own, unique for the operation."""
    payment_id: Annotated[str, Field(pattern=r"^[ -~]{1,255}$")] | None = None
    """As the processor says: there may be no such payment."""
    amount: Annotated[int, Field(strict=True, gt=0, le=_AMOUNT_MAX)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    executed_at: AwareDatetime | None = None
    operation_key: Reference | None = None
    """The key that it was sent with, if it was sent by us."""
    state: Literal["open", "captured", "ended"] | None = None
    """Of a hold: how it stands now."""
    line: int = 0
    """Where it stands in a file, the first line being 1; 0 otherwise."""


class Source(StrEnum):
    """Where the processor's side comes from."""

    RECORD = "record"
    """Its own record, asked over its API."""
    FILE = "file"
    """A settlement report."""


class Difference(StrEnum):
    """In which way the books and the processor differ."""

    MISSING_HERE = "missing_here"
    """The processor moved money of a payment of ours, and the books don't have it."""
    MISSING_THERE = "missing_there"
    """The books have it, the processor's record doesn't."""
    AMOUNT_DIFFERS = "amount_differs"
    CURRENCY_DIFFERS = "currency_differs"
    STATE_DIFFERS = "state_differs"
    """A refund came back, a hold is still held or isn't any more, or no workflow runs for a payment that isn't done."""
    DUPLICATE = "duplicate"
    """Charged twice for one payment, or told twice by the report."""
    UNEXPLAINED = "unexplained"
    """Money of a payment that nobody here has heard of."""


MEANING: Final[Mapping[Difference, str]] = MappingProxyType(
    {
        Difference.MISSING_HERE: "moved at the processor, not in the books",
        Difference.MISSING_THERE: "in the books, not at the processor",
        Difference.AMOUNT_DIFFERS: "another amount at the processor",
        Difference.CURRENCY_DIFFERS: "another currency at the processor",
        Difference.STATE_DIFFERS: "another state at the processor, or no workflow for it",
        Difference.DUPLICATE: "charged or told twice",
        Difference.UNEXPLAINED: "of a payment that nobody here knows",
    }
)


class CaseStatus(StrEnum):
    """How a case stands."""

    OPEN = "open"
    CLOSED = "closed"
    """A later reconciliation has found that both sides agree."""
    RESOLVED = "resolved"
    """Somebody has looked at it and said why it is all right."""


class Case(BaseModel):
    """A difference that did not heal by itself, with what is known of it. Amounts are in minor units."""

    model_config = ConfigDict(frozen=True)

    id: str
    difference: Difference
    status: CaseStatus
    source: Source
    processor: str
    operation: str
    """Of the processor's record; `workflow` when it is about a payment that nothing goes on with."""
    reference: str
    payment_id: str | None
    amount_here: int | None
    currency_here: str | None
    amount_there: int | None
    currency_there: str | None
    evidence: dict[str, str | int | None]
    """What each side says, and where."""
    reconciliation: str
    """The run that found it; its workflow has this ID."""
    created_at: datetime
    resolved_at: datetime | None = None
    reason: str | None = None


class Period(BaseModel):
    """From the first moment up to, not including, the second."""

    model_config = ConfigDict(frozen=True)

    start: AwareDatetime
    end: AwareDatetime


class Begin(BaseModel):
    """What is reconciled, and with what."""

    model_config = ConfigDict(frozen=True)

    id: str
    period: Period
    source: Source = Source.RECORD


class Reconcile(BaseModel):
    """What `ReconciliationWorkflow` is started with: a run is named by its workflow ID."""

    model_config = ConfigDict(frozen=True)

    period: Period | None = None
    """None: from where the last one ended until now, as the schedule wants it."""
    source: Source = Source.RECORD


class Unexplained(BaseModel):
    """What open cases add up to in a currency, in its minor unit."""

    model_config = ConfigDict(frozen=True)

    currency: str
    amount: int

    @property
    def money(self) -> Money:
        """As people read it."""
        return Money(amount=self.amount, currency=self.currency)


class Report(BaseModel):
    """How a reconciliation ended."""

    model_config = ConfigDict(frozen=True)

    id: str
    period: Period
    source: Source
    matched: int = 0
    """Movements on which both sides agree."""
    healed: int = 0
    """Differences that went away because their payments were told to look."""
    found: dict[Difference, int] = Field(default_factory=dict[Difference, int])
    """Differences that are left; each is a case."""
    new_cases: int = 0
    closed_cases: int = 0
    """Open cases of which this run has found that both sides agree by now."""
    unexplained: tuple[Unexplained, ...] = ()
    """What all open cases add up to."""


class End(BaseModel):
    """A run that is over, but for writing it down."""

    model_config = ConfigDict(frozen=True)

    begin: Begin
    healed: int
