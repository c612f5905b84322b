"""What the API is given: it opens nothing itself."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from api.capturing import Holds
from api.cursors import Cursors
from api.reading import authenticate
from api.receiving import Webhooks
from api.refunding import Refunds
from api.serving import Serving
from api.starting import Payments
from ledger.outbox import Endpoints
from ledger.port import Ledger
from ledger.reading import Balances, Feed, History
from ledger.reconciliation import Cases

# For the OpenAPI description; the check itself is ours, so that its errors are problems too.
_bearer = HTTPBearer(auto_error=False, description="The API key")


@dataclass(frozen=True)
class Services:
    """Built by the composition root."""

    payments: Payments
    refunds: Refunds
    holds: Holds
    webhooks: Webhooks
    ledger: Ledger
    history: History
    balances: Balances
    feed: Feed
    cases: Cases
    endpoints: Endpoints
    serving: Serving
    private_webhooks: bool
    """Webhooks may go to private addresses, and without TLS."""
    cursors: Cursors
    api_key: str
    check_database: Callable[[], Awaitable[None]]
    """Raises when PostgreSQL or its schema is not there."""
    check_temporal: Callable[[], Awaitable[None]]
    """Raises when Temporal is not there."""


def services_of(request: Request) -> Services:
    """The services of the app that serves this request."""
    return cast("Services", request.app.state.services)


async def authenticated(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    _documented: Annotated[object, Depends(_bearer)],
) -> None:
    """Dependency of every route for clients. Raises `ProblemError`."""
    authenticate(request, services.api_key)
