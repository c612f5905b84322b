"""Ports to what is read of the books: lists, balances, the feed of events. Each method raises `LedgerUnavailable`."""

from abc import ABC, abstractmethod
from typing import Protocol

from pydantic import BaseModel, ConfigDict, computed_field

from payments.history import PaymentFilter, Place, Transaction, TransactionFilter
from payments.money import Money
from payments.payment import Payment
from payments.timeline import FeedEvent


class History(Protocol):
    """What is listed.

    Pages of at most `limit`, the newest first, beginning after a place. Whatever was there before the first page was
    read stands on exactly one of them, whatever is written meanwhile.
    """

    async def payments(self, wanted: PaymentFilter, after: Place | None, limit: int) -> tuple[Payment, ...]:
        """Payments as they stand now, with their refunds."""
        ...

    async def transactions(self, wanted: TransactionFilter, after: Place | None, limit: int) -> tuple[Transaction, ...]:
        """Lines of the history."""
        ...


class _Balanced(BaseModel, ABC):
    """Amounts that come to a balance."""

    model_config = ConfigDict(frozen=True)

    currency: str

    @computed_field
    @property
    @abstractmethod
    def balance(self) -> int:
        """In the currency's minor unit."""

    @computed_field
    @property
    def balance_decimal(self) -> str:
        """In the currency's major unit."""
        return Money(amount=self.balance, currency=self.currency).decimal


class Balance(_Balanced):
    """What went through an account, in the currency's minor unit."""

    account: str
    debits: int
    credits: int

    @computed_field
    @property
    def balance(self) -> int:
        """Debits less credits: positive for what is owed to us, negative for what we took in."""
        return self.debits - self.credits


class CustomerBalance(_Balanced):
    """What a customer paid and got back, in the currency's minor unit."""

    captured: int
    refunded: int

    @computed_field
    @property
    def balance(self) -> int:
        """What we kept."""
        return self.captured - self.refunded


class Balances(Protocol):
    """What went through the accounts."""

    async def balances(self) -> tuple[Balance, ...]:
        """Of every account in every currency, at this moment: debits equal credits in each currency."""
        ...

    async def balances_of(self, customer: str) -> tuple[CustomerBalance, ...]:
        """What the customer paid and got back, by currency."""
        ...


class Feed(Protocol):
    """All events of all payments."""

    async def extend_feed(self) -> int:
        """Give numbers to events that have none yet; returns to how many."""
        ...

    async def events(self, after: int, limit: int) -> tuple[FeedEvent, ...]:
        """Those with a number above `after`, the lowest first, at most `limit`."""
        ...
