"""The port to a payment processor. docs/adapters.md tells how to write an adapter for it."""

from datetime import timedelta
from typing import Protocol

from payments.operations import Operation, Outcome


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
