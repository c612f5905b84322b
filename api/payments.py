"""`/v1/payments`."""

from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, TypeAdapter

from api import describing
from api.listing import LINK, PaymentQuery, no_repeats, page
from api.problems import Code, ProblemError, payment_not_found, problem_response, responses
from api.reading import body_of, idempotency_key, wait_seconds
from api.services import Services, authenticated, services_of
from api.starting import Decided, Undecided
from payments.identifiers import idempotency_key_problem
from payments.payment import ORDER_ALREADY_PAID, Payment
from payments.request import PaymentRequest

router = APIRouter(prefix="/v1/payments", tags=["payments"], dependencies=[Depends(authenticated)])

# How soon it makes sense to GET a payment that is not decided.
POLL_AFTER: Final = {"Retry-After": "1"}
_PAYMENTS: Final = TypeAdapter(tuple[Payment, ...])


class PaymentList(BaseModel):
    """A page of payments, the newest first."""

    data: list[Payment]
    next_cursor: str | None


@router.post(
    "",
    status_code=201,
    response_model=Payment,
    openapi_extra=describing.CREATE_PAYMENT,
    responses=describing.CREATED
    | responses(
        Code.IDEMPOTENCY_KEY_MISSING,
        Code.IDEMPOTENCY_KEY_INVALID,
        Code.MALFORMED_JSON,
        Code.UNAUTHENTICATED,
        Code.ORDER_ALREADY_PAID,
        Code.PAYLOAD_TOO_LARGE,
        Code.UNSUPPORTED_MEDIA_TYPE,
        Code.VALIDATION_FAILED,
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.CARD_NUMBER_REFUSED,
        Code.TEMPORAL_UNAVAILABLE,
        Code.DATABASE_UNAVAILABLE,
    ),
)
async def create_payment(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    key: Annotated[str, Depends(idempotency_key)],
    body: Annotated[PaymentRequest, Depends(body_of(PaymentRequest))],
) -> Response:
    """Charge once, or not at all. Safe to send again with the same key, whatever the first answer was."""
    answer = await services.payments.pay(key, body, wait_seconds(request))
    headers = {"Location": f"/v1/payments/{quote(key, safe='')}"}
    match answer:
        case Undecided(payment):
            return payment_response(payment, 202, headers | POLL_AFTER)
        case Decided(payment, replayed):
            if replayed:
                headers["Idempotent-Replayed"] = "true"
            if payment.failure is not None and payment.failure.code == ORDER_ALREADY_PAID:
                refusal = ProblemError(Code.ORDER_ALREADY_PAID, payment.failure.message, headers=headers)
                return problem_response(request, refusal)
            return payment_response(payment, 201, headers)


@router.get(
    "",
    response_model=PaymentList,
    dependencies=[Depends(no_repeats)],
    responses=LINK
    | responses(
        Code.UNAUTHENTICATED,
        Code.CURSOR_INVALID,
        Code.VALIDATION_FAILED,
        Code.CARD_NUMBER_REFUSED,
        Code.DATABASE_UNAVAILABLE,
    ),
)
async def list_payments(
    request: Request,
    query: Annotated[PaymentQuery, Query()],
    services: Annotated[Services, Depends(services_of)],
) -> Response:
    """Payments as they stand now, the newest first: also those that were declined, or undone."""
    history = services.history
    return await page(
        request, query, services.cursors, _PAYMENTS, lambda after, limit: history.payments(query, after, limit)
    )


@router.get(
    "/{payment_id}",
    response_model=Payment,
    responses=responses(
        Code.UNAUTHENTICATED,
        Code.PAYMENT_NOT_FOUND,
        Code.CARD_NUMBER_REFUSED,
        Code.TEMPORAL_UNAVAILABLE,
        Code.DATABASE_UNAVAILABLE,
    ),
)
async def get_payment(payment_id: str, services: Annotated[Services, Depends(services_of)]) -> Response:
    """The payment as it stands now."""
    payment = None if idempotency_key_problem(payment_id) else await services.payments.find(payment_id)
    if payment is None:
        raise payment_not_found()
    return payment_response(payment, 200, {})


def payment_response(payment: Payment, status: int, headers: dict[str, str]) -> Response:
    """The payment as the caller sees it."""
    return Response(payment.model_dump_json(), status, headers, media_type="application/json")
