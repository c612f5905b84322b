"""`/v1/webhook_endpoints`: where webhooks are sent to."""

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.calling import read
from api.endpoint_requests import EndpointPatch, EndpointRequest, RotateRequest, checked_url, documented, new_secret
from api.listing import no_repeats
from api.problems import Code, FieldError, ProblemError, responses, webhook_endpoint_not_found
from api.reading import body_of
from api.services import Services, authenticated, services_of
from ledger.outbox import EndpointChange
from payments.webhooks import ENDPOINTS_MAX, WebhookEndpoint

router = APIRouter(
    prefix="/v1/webhook_endpoints",
    tags=["webhook endpoints"],
    dependencies=[Depends(authenticated), Depends(no_repeats)],
)

# PostgreSQL takes no NUL, for instance.
_ID: Final = re.compile(r"we_[0-9a-f]{1,64}")
_READ: Final = (Code.UNAUTHENTICATED, Code.VALIDATION_FAILED, Code.CARD_NUMBER_REFUSED, Code.DATABASE_UNAVAILABLE)
_FOUND: Final = (*_READ, Code.WEBHOOK_ENDPOINT_NOT_FOUND)
_WRITTEN: Final = (Code.MALFORMED_JSON, Code.PAYLOAD_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE)


def known_form(endpoint_id: str) -> str:
    """Dependency: raises `ProblemError` for an id that none can have."""
    if not _ID.fullmatch(endpoint_id):
        raise webhook_endpoint_not_found()
    return endpoint_id


EndpointId = Annotated[str, Depends(known_form)]


class EndpointWithSecret(WebhookEndpoint):
    """An endpoint, and what it verifies signatures with. Shown this once."""

    secret: str = Field(examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])


class EndpointList(BaseModel):
    """All endpoints, the oldest first."""

    data: list[WebhookEndpoint]


class Deleted(BaseModel):
    """It gets nothing any more."""

    id: str
    deleted: bool = True


@router.post(
    "",
    status_code=201,
    response_model=EndpointWithSecret,
    openapi_extra=documented("EndpointRequest", {"url": "https://shop.example/webhooks/payments"}),
    responses=responses(*_READ, *_WRITTEN, Code.WEBHOOK_ENDPOINT_LIMIT),
)
async def create_endpoint(
    services: Annotated[Services, Depends(services_of)],
    body: Annotated[EndpointRequest, Depends(body_of(EndpointRequest))],
) -> Response:
    """Send events there from now on, or from `after`. Sent twice, there are two, and each gets every event: after a
    lost reply, list them and delete one."""
    checked_url(body.url, http=services.private_webhooks)
    wanted, secret = EndpointChange(url=body.url, description=body.description, events=body.events), new_secret()
    # So that "from now on" is after what has been done before.
    await read(services.feed.extend_feed())
    try:
        endpoint = await read(services.endpoints.add_endpoint(wanted, secret, body.after))
    except ValueError as error:
        errors = [FieldError(pointer="/after", detail=str(error))]
        raise ProblemError(Code.VALIDATION_FAILED, "No such place in the feed. See `errors`.", errors=errors) from None
    if endpoint is None:
        raise ProblemError(Code.WEBHOOK_ENDPOINT_LIMIT, f"There are {ENDPOINTS_MAX} endpoints. Delete one first.")
    await services.serving.changed(endpoint.id)
    return _json(EndpointWithSecret(**endpoint.model_dump(), secret=secret), 201)


@router.get("", response_model=EndpointList, responses=responses(*_READ))
async def list_endpoints(services: Annotated[Services, Depends(services_of)]) -> Response:
    """All of them. Secrets are never shown again."""
    return _json(EndpointList(data=list(await read(services.endpoints.endpoints()))))


@router.get("/{endpoint_id}", response_model=WebhookEndpoint, responses=responses(*_FOUND))
async def get_endpoint(endpoint_id: EndpointId, services: Annotated[Services, Depends(services_of)]) -> Response:
    """How it stands."""
    return _json(found(await read(services.endpoints.endpoint(endpoint_id))))


@router.patch(
    "/{endpoint_id}",
    response_model=WebhookEndpoint,
    openapi_extra=documented("EndpointPatch", {"status": "enabled"}),
    responses=responses(*_FOUND, *_WRITTEN),
)
async def change_endpoint(
    endpoint_id: EndpointId,
    services: Annotated[Services, Depends(services_of)],
    body: Annotated[EndpointPatch, Depends(body_of(EndpointPatch))],
) -> Response:
    """Change what is given. Enabled again, it goes on where it stopped, and what waits is sent at once."""
    fields = body.model_dump(exclude_unset=True)
    for name in ("url", "status"):
        if name in fields and fields[name] is None:
            errors = [FieldError(pointer=f"/{name}", detail="must not be null")]
            raise ProblemError(Code.VALIDATION_FAILED, "The body is not a valid request. See `errors`.", errors=errors)
    if body.url is not None:
        checked_url(body.url, http=services.private_webhooks)
    endpoint = found(await read(services.endpoints.change_endpoint(endpoint_id, EndpointChange(**fields))))
    await services.serving.changed(endpoint_id)
    return _json(endpoint)


@router.delete("/{endpoint_id}", response_model=Deleted, responses=responses(*_FOUND))
async def delete_endpoint(endpoint_id: EndpointId, services: Annotated[Services, Depends(services_of)]) -> Response:
    """Send nothing there any more. What was sent stays in the books; what waits is not sent."""
    if not await read(services.endpoints.delete_endpoint(endpoint_id)):
        raise webhook_endpoint_not_found()
    await services.serving.changed(endpoint_id)
    return _json(Deleted(id=endpoint_id))


@router.post(
    "/{endpoint_id}/rotate_secret",
    response_model=EndpointWithSecret,
    openapi_extra=documented("RotateRequest", {"expires_in_seconds": 86400}, required=False),
    responses=responses(*_FOUND, *_WRITTEN),
)
async def rotate_secret(
    endpoint_id: EndpointId,
    services: Annotated[Services, Depends(services_of)],
    body: Annotated[RotateRequest, Depends(body_of(RotateRequest, optional=True))],
) -> Response:
    """A new secret. Those before sign, too, for a while, so that no event is refused meanwhile. Sent twice, there is
    one more: the last one shown is the newest."""
    secret = new_secret()
    if not await read(services.endpoints.rotate_secret(endpoint_id, secret, body.others_for)):
        raise webhook_endpoint_not_found()
    endpoint = found(await read(services.endpoints.endpoint(endpoint_id)))
    return _json(EndpointWithSecret(**endpoint.model_dump(), secret=secret))


def found(endpoint: WebhookEndpoint | None) -> WebhookEndpoint:
    """Raises `ProblemError` when there is none."""
    if endpoint is None:
        raise webhook_endpoint_not_found()
    return endpoint


def _json(answer: BaseModel, status: int = 200) -> Response:
    headers: dict[str, Any] = {"Cache-Control": "no-store"} if isinstance(answer, EndpointWithSecret) else {}
    return Response(answer.model_dump_json(), status, headers, "application/json")
