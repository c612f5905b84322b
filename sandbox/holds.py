"""Money held on a card: placed, and let go of by time."""

from typing import Any

from sandbox import events
from sandbox.moment import Moment
from sandbox.store import Authorization
from sandbox.words import MoneyRequest, iso_time


def place(at: Moment, request: MoneyRequest, body: dict[str, Any]) -> dict[str, Any]:
    expires_at = at.now + at.terms.hold_period
    at.store.add_authorization(body["id"], request, expires_at)
    return body | {"expires_at": iso_time(expires_at), "hold": "open"}


def lapse(at: Moment, hold: Authorization) -> None:
    at.store.lapse(hold.id)
    body = at.store.operation_with_id(hold.payment_id, hold.id)
    events.tell(at, "authorization.expired", body | {"hold": "expired"})


def state(hold: Authorization) -> str:
    if hold.capture is not None:
        return "captured"
    if hold.voided:
        return "voided"
    return "expired" if hold.lapsed else "open"
