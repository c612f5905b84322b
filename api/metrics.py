"""`/metrics`, for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from api.calling import read
from api.problems import Code, responses
from api.services import Services, services_of
from payments.settlement import Difference

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}} | responses(Code.DATABASE_UNAVAILABLE),
)
async def metrics(services: Annotated[Services, Depends(services_of)]) -> Response:
    """What people want to be woken for. All from the database, so each API process says the same."""
    cases = services.cases
    registry = CollectorRegistry()
    unexplained = Gauge(
        "unexplained_minor_units",
        "What open cases of reconciliation put in question, in the currency's minor unit. Zero in health",
        ["currency"],
        registry=registry,
    )
    for each in await read(cases.unexplained()):
        unexplained.labels(currency=each.currency).set(each.amount)
    open_cases = Gauge(
        "reconciliation_open_cases",
        "Differences between the books and the processor that nobody has resolved",
        ["difference"],
        registry=registry,
    )
    counts = await read(cases.open_cases())
    for difference in Difference:
        open_cases.labels(difference=difference).set(counts.get(difference, 0))
    until = await read(cases.reconciled_until())
    if until is not None:
        Gauge(
            "reconciled_until_timestamp_seconds",
            "How far the books have been compared with the processor's record",
            registry=registry,
        ).set(until.timestamp())
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
