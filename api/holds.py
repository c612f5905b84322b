"""`/v1/payments/{payment_id}/capture` and `/cancel`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from api import describing
from api.capturing import Done, Going
from api.finding import recorded
from api.payments import POLL_AFTER, payment_response
from api.problems import Code, responses
from api.reading import body_of, idempotency_key, wait_seconds
from api.services import Services, authenticated, services_of
from payments.captures import CancelRequest, CaptureRequest
from payments.payment import Payment

router = APIRouter(prefix="/v1/payments/{payment_id}", tags=["holds"], dependencies=[Depends(authenticated)])

_PROBLEMS = (
    Code.IDEMPOTENCY_KEY_MISSING,
    Code.IDEMPOTENCY_KEY_INVALID,
    Code.MALFORMED_JSON,
    Code.UNAUTHENTICATED,
    Code.PAYMENT_NOT_FOUND,
    Code.PAYLOAD_TOO_LARGE,
    Code.UNSUPPORTED_MEDIA_TYPE,
    Code.VALIDATION_FAILED,
    Code.CARD_NUMBER_REFUSED,
    Code.TEMPORAL_UNAVAILABLE,
    Code.DATABASE_UNAVAILABLE,
)


@router.post(
    "/capture",
    response_model=Payment,
    openapi_extra=describing.CAPTURE,
    responses=describing.HELD | responses(Code.PAYMENT_NOT_CAPTURABLE, Code.IDEMPOTENCY_KEY_REUSED, *_PROBLEMS),
)
async def capture_payment(
    request: Request,
    payment_id: str,
    services: Annotated[Services, Depends(services_of)],
    key: Annotated[str, Depends(idempotency_key)],
    body: Annotated[CaptureRequest, Depends(body_of(CaptureRequest, optional=True))],
) -> Response:
    """Charge what is held, or a part of it; the rest is released. Once: safe to send again with the same key."""
    record = await recorded(services, payment_id, Code.PAYMENT_NOT_CAPTURABLE)
    return _answer(await services.holds.capture(record, key, body, wait_seconds(request)))


@router.post(
    "/cancel",
    response_model=Payment,
    openapi_extra=describing.CANCEL,
    responses=describing.HELD | responses(Code.PAYMENT_NOT_CANCELABLE, *_PROBLEMS),
)
async def cancel_payment(
    request: Request,
    payment_id: str,
    services: Annotated[Services, Depends(services_of)],
    key: Annotated[str, Depends(idempotency_key)],
    _body: Annotated[CancelRequest, Depends(body_of(CancelRequest, optional=True))],
) -> Response:
    """Release what is held. A payment that was charged is not canceled but refunded."""
    record = await recorded(services, payment_id, Code.PAYMENT_NOT_CANCELABLE)
    return _answer(await services.holds.cancel(record, key, wait_seconds(request)))


def _answer(answer: Done | Going) -> Response:
    match answer:
        case Going(payment):
            return payment_response(payment, 202, POLL_AFTER)
        case Done(payment, replayed):
            return payment_response(payment, 200, {"Idempotent-Replayed": "true"} if replayed else {})
