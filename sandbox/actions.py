"""What a customer must confirm at the bank before a hold is placed, and what can become of it."""

from typing import Any

from sandbox import events, holds
from sandbox.action_rows import Action
from sandbox.moment import Moment
from sandbox.words import Decline, MoneyRequest, Refusal, iso_time

PENDING = "requires_action"
CONFIRMED = "confirmed"
ABANDONED = "abandoned"
EXPIRED = "expired"
CANCELED = "canceled"
# The ends without a hold, with what the authorization is then declined for.
ENDS = {
    ABANDONED: ("authentication_failed", "The customer gave up the authentication."),
    EXPIRED: ("authentication_expired", "The customer did not confirm in time."),
    CANCELED: ("authentication_canceled", "The authorization was voided before the customer confirmed."),
}


def begin(at: Moment, request: MoneyRequest, body: dict[str, Any]) -> dict[str, Any]:
    expires_at = at.now + at.terms.action_period
    body = body | {
        "status": PENDING,
        "next_action": {"type": "redirect_to_url", "url": f"{request.base_url}/actions/{body['id']}"},
        "expires_at": iso_time(expires_at),
    }
    at.store.actions.add(Action(body["id"], request, body, PENDING, expires_at))
    return body


def find(at: Moment, id_: str) -> Action:
    action = at.store.actions.get(id_)
    if action is None:
        raise Refusal("action_not_found", "There is nothing to confirm here.", status=404)
    return action


def confirm(at: Moment, id_: str, *, late: bool = False) -> Action:
    """Place the hold, once. `late`: even if it is over, as a bank may that has not heard of it."""
    action = find(at, id_)
    if action.status == CONFIRMED:
        return action
    if action.status in ENDS and not late:
        raise _is_over(action)
    body = holds.place(at, action.request, _decided(action, "succeeded"))
    at.store.add_operation(body, executed_at=iso_time(at.now))
    events.tell(at, "authorization.succeeded", body)
    return at.store.actions.decide(action, CONFIRMED)


def abandon(at: Moment, id_: str) -> Action:
    action = find(at, id_)
    if action.status == ABANDONED:
        return action
    if action.status != PENDING:
        raise _is_over(action)
    return end(at, action, ABANDONED)


def end(at: Moment, action: Action, how: str) -> Action:
    error = Decline(*ENDS[how]).error
    body = _decided(action, "declined") | {"error": error}
    at.store.add_operation(body, executed_at=iso_time(at.now))
    events.tell(at, "authorization.declined", body)
    return at.store.actions.decide(action, how)


def operation_status(action: Action) -> str:
    if action.status == PENDING:
        return PENDING
    return "succeeded" if action.status == CONFIRMED else "declined"


def _decided(action: Action, status: str) -> dict[str, Any]:
    body = {name: value for name, value in action.body.items() if name not in {"next_action", "expires_at"}}
    return body | {"status": status}


def _is_over(action: Action) -> Refusal:
    if action.status == CONFIRMED:
        return Refusal("action_confirmed", "The customer has confirmed already.", status=409)
    code, message = ENDS[action.status]
    return Refusal(code, message, status=409)
