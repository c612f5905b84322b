"""Builds the HTTP application from services that are handed in."""

from typing import Final
from urllib.parse import unquote_plus

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api import (
    balances,
    cases,
    events,
    health,
    holds,
    metrics,
    payments,
    problems,
    refunds,
    timeline,
    transactions,
    webhook_deliveries,
    webhook_endpoints,
    webhooks,
)
from api.endpoint_requests import EndpointPatch, EndpointRequest, RotateRequest
from api.reading import refuse_card_number
from api.services import Services
from payments.captures import CaptureRequest
from payments.cards import holds_card_number
from payments.refunds import RefundRequest
from payments.request import PaymentRequest

VERSION: Final = "0.1.0"
_DESCRIPTION: Final = """
A payment is charged exactly once or not at all, and everybody can see which.

Amounts are integers in the currency's minor unit: 4990 is EUR 49.90, and JPY 4990. Every error is an RFC 9457 problem
whose `code` is stable. After a 5xx, a lost reply or a 202, send the same request with the same key again, or GET the
payment.
"""


def create_app(services: Services) -> FastAPI:
    """The API over these services."""
    # Without redirects: an address with a slash too many is unknown, not a reason to send a payment twice.
    app = FastAPIOffline(
        title="paysaga", version="0.1.0", description=_DESCRIPTION, redoc_url=None, redirect_slashes=False
    )
    app.state.services = services
    app.include_router(payments.router)
    app.include_router(refunds.router)
    app.include_router(holds.router)
    app.include_router(timeline.router)
    app.include_router(transactions.router)
    app.include_router(balances.router)
    app.include_router(events.router)
    app.include_router(webhooks.router)
    app.include_router(cases.router)
    app.include_router(webhook_endpoints.router)
    app.include_router(webhook_deliveries.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.add_middleware(_RefuseCardNumbers)
    problems.install(app)
    _document(app)
    return app


class _RefuseCardNumbers:
    """Refuses a card number in the address before anything logs it. Bodies and keys are checked where they are read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # Not `Request.url`, which takes a decoded `#` or `?` in the path for the beginning of something else.
            query = unquote_plus(scope["query_string"].decode("latin-1"))
            if holds_card_number(scope["path"]) or holds_card_number(query):
                await problems.problem_response(Request(scope), refuse_card_number())(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _document(app: FastAPI) -> None:
    """Bodies are read by hand, and problems rendered by hand: tell OpenAPI of both."""
    schema = app.openapi()
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    of_endpoints = (EndpointRequest, EndpointPatch, RotateRequest)
    for model in (PaymentRequest, RefundRequest, CaptureRequest, cases.Resolution, *of_endpoints, problems.Problem):
        described = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(described.pop("$defs", {}))
        schemas[model.__name__] = described
    app.openapi_schema = schema
