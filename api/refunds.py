"""`/v1/payments/{payment_id}/refunds`."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel

from api import describing
from api.finding import recorded
from api.payments import POLL_AFTER
from api.problems import Code, ProblemError, payment_not_found, problem_response, responses
from api.reading import body_of, idempotency_key, wait_seconds
from api.refunding import REFUSAL_CODES, Ended, Pending
from api.services import Services, authenticated, services_of
from payments.identifiers import idempotency_key_problem
from payments.payment import Refund
from payments.refunds import RefundRequest

router = APIRouter(prefix="/v1/payments/{payment_id}/refunds", tags=["refunds"], dependencies=[Depends(authenticated)])


class RefundList(BaseModel):
    """All refunds of a payment, the oldest first: those that were refused, too."""

    data: list[Refund]


@router.post(
    "",
    status_code=201,
    response_model=Refund,
    openapi_extra=describing.CREATE_REFUND,
    responses=describing.REFUNDED
    | responses(
        Code.IDEMPOTENCY_KEY_MISSING,
        Code.IDEMPOTENCY_KEY_INVALID,
        Code.MALFORMED_JSON,
        Code.UNAUTHENTICATED,
        Code.PAYMENT_NOT_FOUND,
        Code.PAYMENT_NOT_REFUNDABLE,
        Code.REFUND_EXCEEDS_REFUNDABLE,
        Code.PAYLOAD_TOO_LARGE,
        Code.UNSUPPORTED_MEDIA_TYPE,
        Code.VALIDATION_FAILED,
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.CARD_NUMBER_REFUSED,
        Code.TEMPORAL_UNAVAILABLE,
        Code.DATABASE_UNAVAILABLE,
    ),
)
async def create_refund(
    request: Request,
    payment_id: str,
    services: Annotated[Services, Depends(services_of)],
    key: Annotated[str, Depends(idempotency_key)],
    body: Annotated[RefundRequest, Depends(body_of(RefundRequest))],
) -> Response:
    """Give back what was charged, or a part of it, once. Safe to send again with the same key."""
    record = await recorded(services, payment_id, Code.PAYMENT_NOT_REFUNDABLE)
    answer = await services.refunds.refund(record, key, body, wait_seconds(request))
    headers = {"Location": f"/v1/payments/{quote(payment_id, safe='')}/refunds"}
    match answer:
        case Pending(refund):
            return Response(refund.model_dump_json(), 202, headers | POLL_AFTER, "application/json")
        case Ended(refund, replayed):
            if replayed:
                headers["Idempotent-Replayed"] = "true"
            code = REFUSAL_CODES.get(refund.failure.code) if refund.failure else None
            if refund.failure is not None and code is not None:
                return problem_response(request, ProblemError(code, refund.failure.message, headers=headers))
            return Response(refund.model_dump_json(), 201, headers, "application/json")


@router.get(
    "",
    response_model=RefundList,
    responses=responses(
        Code.UNAUTHENTICATED, Code.PAYMENT_NOT_FOUND, Code.CARD_NUMBER_REFUSED, Code.DATABASE_UNAVAILABLE
    ),
)
async def list_refunds(payment_id: str, services: Annotated[Services, Depends(services_of)]) -> Any:
    """All refunds of the payment."""
    payment = None if idempotency_key_problem(payment_id) else await services.payments.find(payment_id)
    if payment is None:
        raise payment_not_found()
    return Response(RefundList(data=list(payment.refunds)).model_dump_json(), media_type="application/json")
