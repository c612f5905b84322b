"""Webhooks that we send: endpoints, deliveries, attempts, as people and programs read them. Pure."""

import re
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from payments.messages import Message

ENDPOINTS_MAX: Final = 20
URL_LENGTH_MAX: Final = 2_000
_PLAIN: Final = re.compile(r"[!-~]+")


@unique
class EndpointStatus(StrEnum):
    """Whether an endpoint gets events. A disabled one keeps its place: enabled again, it goes on from there."""

    ENABLED = "enabled"
    DISABLED = "disabled"


@unique
class DisabledReason(StrEnum):
    """Who disabled it, and why."""

    BY_REQUEST = "by_request"
    """Somebody, over the API."""
    GONE = "gone"
    """It has answered 410."""
    FAILING = "failing"
    """For five days nothing has succeeded."""


@unique
class DeliveryStatus(StrEnum):
    """What became of an event's delivery."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    """It was answered with 2xx."""
    FAILED = "failed"
    """Given up: it failed again and again while the endpoint took others."""


class WebhookEndpoint(BaseModel):
    """Where events are sent to."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(examples=["we_3f6c1d0a9be24752"])
    url: str = Field(examples=["https://shop.example/webhooks/payments"])
    description: str | None = None
    events: tuple[str, ...] | None = None
    """The types that it gets; null for all."""
    status: EndpointStatus
    disabled_reason: DisabledReason | None = None
    status_since: datetime
    failing_since: datetime | None = None
    """Nothing has succeeded since then."""
    created_at: datetime
    updated_at: datetime


class Attempt(BaseModel):
    """One request, and what came of it."""

    model_config = ConfigDict(frozen=True)

    number: int
    at: datetime
    duration_ms: int
    response_status: int | None = None
    response_body: str | None = None
    """Its beginning."""
    error: str | None = None
    """Why it counts as failed."""


class WebhookDelivery(BaseModel):
    """One event on its way to one endpoint."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(examples=["evt_4711"])
    """The event's, which is also the header `webhook-id`."""
    sequence: int
    """The event's number in the feed."""
    type: str = Field(examples=["payment.succeeded"])
    payment_id: str
    status: DeliveryStatus
    next_attempt_at: datetime | None = None
    """Null of one that has ended, or that waits until an earlier event of its payment has."""
    attempt_count: int
    attempts: tuple[Attempt, ...]
    """The last ones."""
    created_at: datetime
    ended_at: datetime | None = None


class Reply(BaseModel):
    """What an endpoint made of a request."""

    model_config = ConfigDict(frozen=True)

    status: int | None = None
    body: str | None = None
    error: str | None = None
    """Why it counts as failed; None when it succeeded."""
    retry_after: timedelta | None = None
    duration: timedelta

    @property
    def gone(self) -> bool:
        """The endpoint wants nothing any more."""
        return self.status == 410


class Serve(Message):
    """Input of `WebhookWorkflow`."""

    endpoint_id: Annotated[str, Field(pattern=r"^we_[0-9a-f]{1,64}$")]


class Deliver(Message):
    """Input of `deliver`."""

    endpoint_id: str
    probe: bool = False
    """Try one event of an endpoint that is down now, not only when its time has come: somebody asks for it."""


class Served(Message):
    """Output of `deliver`: how the endpoint stands."""

    host: str = ""
    there: bool = True
    """It wasn't deleted."""
    disabled: DisabledReason | None = None
    delivered: int = 0
    """How many this time."""
    failed: int = 0
    """How many attempts, this time."""
    waiting: int = 0
    failing_since: datetime | None = None
    down: bool = False
    """Everything fails, so that only one is tried at a time."""
    pause_seconds: float = 0.0
    """There is nothing to be done before that."""


def url_problem(url: str, *, http: bool) -> str | None:
    """What is wrong with an endpoint's address, as a sentence for its sender; None when it is usable.

    Where it leads is seen only when it is connected to: names may be given other addresses at any time.
    """
    if len(url) > URL_LENGTH_MAX or not _PLAIN.fullmatch(url) or "\\" in url:
        return f"must have at most {URL_LENGTH_MAX} printable ASCII characters, and no space or backslash"
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "is no address"
    rules = (
        (parts.scheme == "https" or (http and parts.scheme == "http"), "must begin with https://"),
        (named, "names no host, or no port that there is"),
        ("@" not in parts.netloc, "must hold no user name or password"),
        ("#" not in url, "must have no fragment"),
    )
    return next((words for holds, words in rules if not holds), None)
