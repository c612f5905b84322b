"""What somebody who captures a hold sends. Pure."""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict

from payments.money import Amount

# A capture that is asked for in the last moment must still reach the processor, after an outage of ours, too.
HOLD_MARGIN: Final = timedelta(hours=1)


def capture_before(hold_expires_at: datetime | None) -> datetime | None:
    """When a hold is released that nobody has captured; None when the processor doesn't say how long it lasts."""
    return hold_expires_at and hold_expires_at - HOLD_MARGIN


class CaptureRequest(BaseModel):
    """A capture, as sent to `POST /v1/payments/{id}/capture`. Without an amount all that is held is charged.

    Unknown fields are refused: a misspelt `amount` would charge everything.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Amount | None = None

    def fingerprint(self) -> str:
        """SHA-256 (64 hex digits) of what is asked for."""
        return hashlib.sha256(json.dumps({"amount": self.amount}).encode()).hexdigest()


class CancelRequest(BaseModel):
    """A cancellation, as sent to `POST /v1/payments/{id}/cancel`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
