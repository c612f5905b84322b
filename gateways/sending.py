"""The port to whoever is sent webhooks."""

from datetime import datetime
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from payments.timeline import FeedEvent
from payments.webhooks import Reply

# Standard Webhooks: 15 to 30 seconds. Who has much to do with an event should answer first.
TIMEOUT_SECONDS: Final = 15.0


class Outgoing(BaseModel):
    """One event for one endpoint."""

    model_config = ConfigDict(frozen=True)

    url: str
    secrets: tuple[str, ...] = Field(repr=False)
    """All that sign, the newest first."""
    event: FeedEvent


class WebhookSender(Protocol):
    """What paysaga needs to send webhooks."""

    async def send(self, outgoing: Outgoing, now: datetime) -> Reply:
        """Send it once, and say what came of it, within `TIMEOUT_SECONDS`. Raises nothing: whatever an endpoint does is
        a reply."""
        ...
