"""`/v1/payments/{payment_id}/timeline`."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel

from api.calling import read
from api.problems import Code, payment_not_found, responses
from api.services import Services, authenticated, services_of
from payments.identifiers import idempotency_key_problem
from payments.timeline import Actor, TimelineEvent

router = APIRouter(
    prefix="/v1/payments/{payment_id}/timeline", tags=["timeline"], dependencies=[Depends(authenticated)]
)


class Timeline(BaseModel):
    """Everything that happened to a payment, the oldest first."""

    data: list[TimelineEvent]


def _event(number: int, type_: str, actor: Actor, refund_id: str | None = None, **more: Any) -> TimelineEvent:
    at = datetime(2026, 11, 23, 10, 0, microsecond=number * 1000, tzinfo=UTC)
    return TimelineEvent(
        id=f"evt_{number}",
        type=type_,
        actor=actor,
        refund_id=refund_id,
        reference=more.pop("reference", None),
        data=more | {"currency": "EUR"},
        created_at=at,
    )


_REFUNDED: Final = Timeline(
    data=[
        _event(71, "payment.created", Actor.CLIENT, amount=4990),
        _event(96, "payment.succeeded", Actor.WORKFLOW, reference="cap_1f0e", amount_captured=4990),
        _event(840, "refund.created", Actor.OPERATOR, "return-77", amount=1000),
        _event(861, "refund.succeeded", Actor.PROCESSOR, "return-77", reference="re_77c2", amount=1000),
        _event(862, "payment.partially_refunded", Actor.WORKFLOW, amount_refunded=1000),
    ]
)
_TOLD: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The oldest first. Empty for a payment that was started this very moment",
        "content": {
            "application/json": {"examples": {"partially_refunded": {"value": _REFUNDED.model_dump(mode="json")}}}
        },
    }
}


@router.get(
    "",
    response_model=Timeline,
    responses=_TOLD
    | responses(
        Code.UNAUTHENTICATED,
        Code.PAYMENT_NOT_FOUND,
        Code.CARD_NUMBER_REFUSED,
        Code.TEMPORAL_UNAVAILABLE,
        Code.DATABASE_UNAVAILABLE,
    ),
)
async def get_timeline(payment_id: str, services: Annotated[Services, Depends(services_of)]) -> Response:
    """What happened to the payment, in order: when, caused by whom, and the processor's references."""
    if idempotency_key_problem(payment_id):
        raise payment_not_found()
    events = await read(services.ledger.timeline(payment_id))
    # A payment's first event is written with its row. Before that nothing has happened but its start.
    if not events and await services.payments.find(payment_id) is None:
        raise payment_not_found()
    return Response(Timeline(data=list(events)).model_dump_json(), media_type="application/json")
