"""Ports to the webhooks that we send: endpoints, as they are managed, and what is due, as it is sent.

Each method raises `LedgerUnavailable`. What is sent comes from the feed, so nothing of this waits on a payment.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from payments.timeline import FeedEvent
from payments.webhooks import DeliveryStatus, EndpointStatus, Reply, WebhookDelivery, WebhookEndpoint

# More than anybody wants to know exactly.
WAITING_SHOWN: Final = 10_000


class EndpointChange(BaseModel):
    """What is to be other than it is; what isn't set stays."""

    model_config = ConfigDict(frozen=True)

    url: str = ""
    description: str | None = None
    events: tuple[str, ...] | None = None
    status: EndpointStatus = EndpointStatus.ENABLED


class Endpoints(Protocol):
    """Managing endpoints."""

    async def add_endpoint(self, wanted: EndpointChange, secret: str, after: int | None) -> WebhookEndpoint | None:
        """A new one, which gets what comes after this number of the feed, or after its end. None when there are too
        many. Raises ValueError for a number that the feed doesn't have yet."""
        ...

    async def endpoints(self) -> tuple[WebhookEndpoint, ...]:
        """All that there are, the oldest first."""
        ...

    async def endpoint(self, endpoint_id: str) -> WebhookEndpoint | None:
        """One of them."""
        ...

    async def change_endpoint(self, endpoint_id: str, change: EndpointChange) -> WebhookEndpoint | None:
        """One with another address, or enabled anew, is tried at once."""
        ...

    async def delete_endpoint(self, endpoint_id: str) -> bool:
        """It gets nothing any more; False when there is none."""
        ...

    async def rotate_secret(self, endpoint_id: str, secret: str, others_for: timedelta) -> bool:
        """From now on this one signs; those before sign, too, for so long."""
        ...

    async def deliveries(
        self, endpoint_id: str, status: DeliveryStatus | None, below: int | None, limit: int
    ) -> tuple[WebhookDelivery, ...]:
        """Those below a number of the feed, the highest first."""
        ...

    async def redeliver(self, endpoint_id: str, position: int) -> bool:
        """Send this event again, whatever became of it; False when it was never to be sent there."""
        ...


class Due(BaseModel):
    """What an endpoint is to be sent now, and how it stands."""

    model_config = ConfigDict(frozen=True)

    endpoint: WebhookEndpoint
    secrets: tuple[str, ...] = Field(default=(), repr=False)
    """All that sign, the newest first."""
    events: tuple[FeedEvent, ...] = ()
    """At most one of each payment."""
    probe_at: datetime | None = None
    """Set while the endpoint is down."""


class Outbox(Protocol):
    """What is sent."""

    async def take_due(
        self, endpoint_id: str, being_sent: Sequence[int], room: int, now: datetime, *, probe: bool
    ) -> Due | None:
        """Write down what the feed has for this endpoint, and give what may be sent now, besides what is being sent;
        of one that is down a single event, when its time has come or for a `probe`. None: no such endpoint."""
        ...

    async def end_attempt(self, endpoint_id: str, sequence: int, reply: Reply, now: datetime, jitter: float) -> None:
        """Write down what came of one."""
        ...

    async def count_waiting(self, endpoint_id: str) -> int:
        """How many deliveries have not ended; more than `WAITING_SHOWN` are that many and one."""
        ...
