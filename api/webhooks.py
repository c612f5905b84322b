"""`/v1/webhooks/{processor}`."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from api import describing
from api.problems import Code, responses
from api.reading import raw_body
from api.services import Services, services_of

# Without the Bearer key: the signature is the key.
router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

# An event has some hundred bytes; the largest that processors send have some thousand.
BODY_BYTES_MAX: Final = 64 * 1024


class Received(BaseModel):
    """The event is stored."""

    received: Literal[True] = True


@router.post(
    "/{processor}",
    openapi_extra=describing.RECEIVE_WEBHOOK,
    responses=responses(
        Code.WEBHOOK_REFUSED,
        Code.NOT_FOUND,
        Code.PAYLOAD_TOO_LARGE,
        Code.CARD_NUMBER_REFUSED,
        Code.DATABASE_UNAVAILABLE,
    ),
)
async def receive_webhook(
    request: Request, processor: str, services: Annotated[Services, Depends(services_of)]
) -> Received:
    """For the processor: takes an event, once however often it comes. Anything but 200 asks it to send it again."""
    services.webhooks.reader(processor)
    body = await raw_body(request, BODY_BYTES_MAX)
    await services.webhooks.receive(processor, request.headers.items(), body)
    return Received()
