"""`/v1/webhook_endpoints/{id}/deliveries`: what was sent, what was answered, and sending it again."""

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, TypeAdapter

from api.calling import read
from api.listing import LINK, Paging, no_repeats, page
from api.problems import Code, ProblemError, responses
from api.services import Services, authenticated, services_of
from api.webhook_endpoints import EndpointId, found
from payments.history import Place
from payments.webhooks import DeliveryStatus, WebhookDelivery

router = APIRouter(
    prefix="/v1/webhook_endpoints/{endpoint_id}/deliveries",
    tags=["webhook endpoints"],
    dependencies=[Depends(authenticated), Depends(no_repeats)],
)

_DELIVERIES: Final = TypeAdapter(tuple[WebhookDelivery, ...])
# As PostgreSQL counts.
_EVENT: Final = re.compile(r"evt_([0-9]{1,18})")


class DeliveryQuery(Paging):
    """The parameters of a list of deliveries."""

    model_config = ConfigDict(extra="forbid")

    status: DeliveryStatus | None = None


class DeliveryList(BaseModel):
    """A page of deliveries, the newest event first."""

    data: list[WebhookDelivery]
    next_cursor: str | None


class Redelivery(BaseModel):
    """It will be sent again."""

    id: str
    status: DeliveryStatus = DeliveryStatus.PENDING


_LISTED: Final[dict[int | str, dict[str, Any]]] = LINK | responses(
    Code.UNAUTHENTICATED,
    Code.CURSOR_INVALID,
    Code.WEBHOOK_ENDPOINT_NOT_FOUND,
    Code.VALIDATION_FAILED,
    Code.CARD_NUMBER_REFUSED,
    Code.DATABASE_UNAVAILABLE,
)


@router.get("", response_model=DeliveryList, responses=_LISTED)
async def list_deliveries(
    request: Request,
    endpoint_id: EndpointId,
    query: Annotated[DeliveryQuery, Query()],
    services: Annotated[Services, Depends(services_of)],
) -> Response:
    """Each event for this endpoint, with its last attempts and what was answered."""
    found(await read(services.endpoints.endpoint(endpoint_id)))

    async def fetch(after: Place | None, limit: int) -> tuple[WebhookDelivery, ...]:
        # The event's id and the feed's number grow together, but are not the same: the place holds both.
        below = None if after is None else int(after.id)
        return await services.endpoints.deliveries(endpoint_id, query.status, below, limit)

    return await page(request, query, services.cursors, _DELIVERIES, fetch, place=_place)


@router.post(
    "/{event_id}/redeliver",
    status_code=202,
    response_model=Redelivery,
    responses=responses(
        Code.UNAUTHENTICATED,
        Code.WEBHOOK_ENDPOINT_NOT_FOUND,
        Code.DELIVERY_NOT_FOUND,
        Code.VALIDATION_FAILED,
        Code.CARD_NUMBER_REFUSED,
        Code.DATABASE_UNAVAILABLE,
    ),
)
async def redeliver(
    endpoint_id: EndpointId, event_id: str, services: Annotated[Services, Depends(services_of)]
) -> Response:
    """Send this event again, with the same `webhook-id`, whatever became of it. It comes after what its payment has
    waiting, and may come out of order. A disabled endpoint gets it once it is enabled."""
    found(await read(services.endpoints.endpoint(endpoint_id)))
    match = _EVENT.fullmatch(event_id)
    if match is None or not await read(services.endpoints.redeliver(endpoint_id, int(match[1]))):
        raise ProblemError(
            Code.DELIVERY_NOT_FOUND, "No event with this id was to be sent to this endpoint. List its deliveries."
        )
    await services.serving.changed(endpoint_id)
    return Response(Redelivery(id=event_id).model_dump_json(), 202, media_type="application/json")


def _place(delivery: WebhookDelivery) -> Place:
    return Place(created_at=delivery.created_at, id=str(delivery.sequence))
