"""Ports to reconciliation's rows. Each method raises `LedgerUnavailable`; those that write may be repeated."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from payments.history import Place
from payments.settlement import Begin, Case, CaseStatus, Difference, Period, Report, SettlementItem, Unexplained


class Healing(BaseModel):
    """A payment whose own workflow mends a difference, if it is told to look."""

    model_config = ConfigDict(frozen=True)

    payment_id: str
    known: bool
    """It has a row; one that doesn't was lost here."""
    about_refund: bool


class Reconciliations(Protocol):
    """What the runs write down."""

    async def begin(self, begin: Begin, processor: str) -> Report | None:
        """Write the run's row, if it isn't there; its report, if it has ended already."""
        ...

    async def next_period(self, named: str, end: datetime) -> Period:
        """From where the last run ended whose name begins so, and a little before, to this end."""
        ...

    async def forget_items(self, run: str) -> None:
        """Begin the processor's side anew."""
        ...

    async def add_items(self, run: str, items: Sequence[SettlementItem]) -> None:
        """What the processor's side says of the period."""
        ...

    async def file_is_taken(self, run: str, lines: int) -> None:
        """All lines of the file are there: so many."""
        ...

    async def keys_to_look_up(self, run: str, limit: int) -> tuple[str, ...]:
        """Keys of operations that the processor is to be asked for one by one."""
        ...

    async def add_looked_up(self, run: str, items: Sequence[SettlementItem]) -> None:
        """What it says of them. Replaces what was looked up before."""
        ...

    async def not_done(self, after: str, before: datetime, limit: int) -> tuple[str, ...]:
        """Payments that a workflow must be at work on, unchanged since then; the ids above `after`."""
        ...

    async def without_row(self, payments: Sequence[str]) -> tuple[str, ...]:
        """Those of these payments that were never claimed here, each once."""
        ...

    async def replace_stopped(self, run: str, stopped: Mapping[str, str]) -> None:
        """Those of them that no workflow is at work on, and how their last one ended."""
        ...

    async def differences_that_heal(self, run: str, limit: int) -> tuple[Healing, ...]:
        """By payment."""
        ...

    async def finish(self, begin: Begin, healed: int) -> Report:
        """Make cases of what is left, close those that agree by now, and write the report; all at once."""
        ...


class Cases(Protocol):
    """What operators see of it."""

    async def cases(self, status: CaseStatus | None, after: Place | None, limit: int) -> tuple[Case, ...]:
        """The newest first, beginning after a place."""
        ...

    async def case(self, id_: str) -> Case | None:
        """One of them."""
        ...

    async def resolve(self, id_: str, reason: str) -> Case | None:
        """End an open one for this reason. One that has ended stays as it is."""
        ...

    async def unexplained(self) -> tuple[Unexplained, ...]:
        """What open cases put in question, in every currency that was ever used."""
        ...

    async def open_cases(self) -> Mapping[Difference, int]:
        """How many there are."""
        ...

    async def reconciled_until(self) -> datetime | None:
        """As far as the processor was asked."""
        ...
