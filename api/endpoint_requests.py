"""What is sent to manage webhook endpoints."""

import base64
import secrets
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from api.problems import Code, FieldError, ProblemError
from payments.webhooks import URL_LENGTH_MAX, EndpointStatus, url_problem

# Standard Webhooks: 24 to 64 bytes.
_SECRET_BYTES: Final = 32
_SEQUENCE_MAX: Final = 2**63 - 1
_DAY: Final = 24 * 3600

Url = Annotated[str, Field(min_length=1, max_length=URL_LENGTH_MAX, description="https, without user name or fragment")]
Description = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
EventType = Annotated[str, Field(pattern=r"^[a-z_]{1,50}\.[a-z_]{1,50}$", examples=["payment.succeeded"])]
# A type that doesn't exist yet is no mistake: the next version may have it.
EventTypes = Annotated[tuple[EventType, ...], Field(min_length=1, max_length=50)]
_EVENTS: Final = Field(default=None, description="The types that it gets; null for all")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EndpointRequest(_Strict):
    """A new endpoint."""

    url: Url
    description: Description | None = None
    events: EventTypes | None = _EVENTS
    after: Annotated[
        int | None,
        Field(ge=0, le=_SEQUENCE_MAX, strict=True, description="A `sequence` of `/v1/events`: send what came after it"),
    ] = None


class EndpointPatch(_Strict):
    """What is to be changed."""

    url: Url | None = None
    description: Description | None = None
    events: EventTypes | None = _EVENTS
    status: EndpointStatus | None = None


class RotateRequest(_Strict):
    """How long the secrets before this one sign, too."""

    expires_in_seconds: Annotated[int, Field(ge=0, le=7 * _DAY, strict=True)] = _DAY

    @property
    def others_for(self) -> timedelta:
        """The same."""
        return timedelta(seconds=self.expires_in_seconds)


def new_secret() -> str:
    """In Standard Webhooks' form."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def checked_url(url: str, *, http: bool) -> None:
    """Raises `ProblemError`."""
    if problem := url_problem(url, http=http):
        errors = [FieldError(pointer="/url", detail=problem)]
        raise ProblemError(Code.VALIDATION_FAILED, "The address can't be sent to. See `errors`.", errors=errors)


def documented(model: str, example: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    """The OpenAPI description of a body that is read by hand."""
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema, "example": example}}}
    }
