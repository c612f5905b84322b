"""What a processor allows: holds, captures, voids and refunds. Each rule checks everything before it writes."""

import secrets
from typing import Any, NoReturn

from sandbox import actions, events, holds
from sandbox.action_rows import Action
from sandbox.faults import Fault
from sandbox.moment import Moment
from sandbox.store import Authorization, SentBack
from sandbox.words import EFFECT, ID_PREFIX, SUBJECT_FIELD, Decline, MoneyRequest, Refusal, iso_time

AUTHENTICATION_REQUIRED = "pm_card_authenticationRequired"
CAPTURE_DECLINED = "pm_sandbox_captureDeclined"
REFUND_FAIL = "pm_card_refundFail"
TIMEOUT_AFTER_CHARGE = "pm_sandbox_timeoutAfterCharge"
UNAVAILABLE_ONCE = "pm_sandbox_unavailableOnce"

APPROVED_METHODS = {
    "pm_card_visa",
    "pm_paypal",
    AUTHENTICATION_REQUIRED,
    CAPTURE_DECLINED,
    REFUND_FAIL,
    TIMEOUT_AFTER_CHARGE,
    UNAVAILABLE_ONCE,
}
DECLINED_METHODS = {
    "pm_card_chargeDeclined": ("card_declined", "Your card was declined."),
    "pm_card_chargeDeclinedInsufficientFunds": ("insufficient_funds", "Your card has insufficient funds."),
}


def execute(at: Moment, request: MoneyRequest, fault: Fault | None) -> dict[str, Any]:
    """Do what is asked, in the caller's transaction; a decline is recorded and raised."""
    body = _operation(at, request)
    try:
        return _carry_out(at, request, body, fault)
    except Decline as refusal:
        at.store.add_operation(body | {"status": "declined", "error": refusal.error})
        raise


def look_up(at: Moment, key: str) -> dict[str, Any] | None:
    """What has become of the request with this key by now."""
    # One that waits for its customer has done nothing yet, so it is no operation yet.
    action = at.store.actions.pending_under(key)
    if action:
        return action.body
    body = at.store.operation(key)
    if body is None or (body["operation"], body["status"]) != ("authorize", "succeeded"):
        return body
    hold = at.store.authorization(body["id"])
    return body | {"hold": holds.state(hold)} if hold else body


def _carry_out(at: Moment, request: MoneyRequest, body: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
    if fault and fault.name == "decline":
        raise Decline("card_declined", "Your card was declined.")
    match request.operation:
        case "authorize":
            return _authorize(at, request, body)
        case "capture":
            return _capture(at, request, body)
        case "void":
            return _void(at, request, body)
        case "refund":
            return _refund(at, request, body, fault)


def _operation(at: Moment, request: MoneyRequest) -> dict[str, Any]:
    id_ = f"{ID_PREFIX[request.operation]}_{secrets.token_hex(12)}"
    body: dict[str, Any] = {"id": id_, "operation": request.operation, "key": request.key, "status": "succeeded"}
    if request.operation != "authorize":
        body[SUBJECT_FIELD[request.operation]] = request.subject
    body["payment_id"] = request.payment_id
    return body | {"amount": request.amount, "currency": request.currency, "created_at": iso_time(at.now)}


def _done(at: Moment, body: dict[str, Any], *, effect: bool = True) -> dict[str, Any]:
    at.store.add_operation(body, effect=effect)
    if at.terms.tells_all:
        events.tell(at, f"{EFFECT[body['operation']]}.succeeded", body)
    return body


def _authorize(at: Moment, request: MoneyRequest, body: dict[str, Any]) -> dict[str, Any]:
    if request.subject in DECLINED_METHODS:
        raise Decline(*DECLINED_METHODS[request.subject])
    if request.subject not in APPROVED_METHODS:
        known = ", ".join(sorted(APPROVED_METHODS | set(DECLINED_METHODS)))
        raise Refusal("payment_method_invalid", f"No such payment method; the sandbox knows {known}.")
    if request.subject == AUTHENTICATION_REQUIRED:
        return actions.begin(at, request, body)
    return _done(at, holds.place(at, request, body))


def _capture(at: Moment, request: MoneyRequest, body: dict[str, Any]) -> dict[str, Any]:
    if action := _unconfirmed(at, request):
        raise Refusal("authorization_unconfirmed", f"The customer has not confirmed {action.id}.")
    hold = _open_hold(at, request)
    if request.amount > hold.amount:
        _too_large(request, hold.amount, "held")
    if hold.payment_method == CAPTURE_DECLINED:
        raise Decline("capture_declined", "The issuer refused the capture.")
    at.store.capture(hold.id, body["id"], request.amount)
    return _done(at, body)


def _void(at: Moment, request: MoneyRequest, body: dict[str, Any]) -> dict[str, Any]:
    if action := _unconfirmed(at, request):
        _same_money(request, action.request.amount, action.request.currency)
        actions.end(at, action, actions.CANCELED)
        return _done(at, body, effect=False)
    hold = _open_hold(at, request)
    _same_money(request, hold.amount, hold.currency)
    at.store.void(hold.id)
    return _done(at, body)


def _refund(at: Moment, request: MoneyRequest, body: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
    hold = at.store.authorization_of_capture(request.subject)
    if hold is None or hold.payment_id != request.payment_id:
        raise Refusal("capture_not_found", f"Payment {request.payment_id} has no capture {request.subject}.")
    _same_currency(request, hold.currency)
    if request.amount > hold.captured - hold.refunded:
        _too_large(request, hold.captured - hold.refunded, "left to refund")
    at.store.refund(hold.id, request.amount)
    if fault and fault.name == "refund_fails_later":
        at.store.send_refund_back(SentBack(body["id"], hold.id, body), at.now + fault.seconds)
    elif hold.payment_method == REFUND_FAIL:
        at.store.send_refund_back(SentBack(body["id"], hold.id, body), at.now + at.terms.refund_fails_after)
    return _done(at, body)


def _unconfirmed(at: Moment, request: MoneyRequest) -> Action | None:
    """The authorization, if it waits for its customer; one whose customer never confirmed is as good as voided."""
    action = at.store.actions.get(request.subject)
    if action is None or action.request.payment_id != request.payment_id or action.status == actions.CONFIRMED:
        return None
    if action.status in actions.ENDS:
        raise Refusal("authorization_voided", actions.ENDS[action.status][1])
    return action


def _open_hold(at: Moment, request: MoneyRequest) -> Authorization:
    hold = at.store.authorization(request.subject)
    if hold is None or hold.payment_id != request.payment_id:
        raise Refusal(
            "authorization_not_found", f"Payment {request.payment_id} has no authorization {request.subject}."
        )
    if hold.voided:
        raise Refusal("authorization_voided", f"{hold.id} has been voided.")
    if hold.capture is not None:
        raise Refusal("authorization_captured", f"{hold.id} has been captured.")
    if hold.lapsed:
        raise Refusal("authorization_expired", f"{hold.id} has expired.")
    _same_currency(request, hold.currency)
    return hold


def _same_money(request: MoneyRequest, amount: int, currency: str) -> None:
    _same_currency(request, currency)
    if request.amount != amount:
        raise Refusal("amount_mismatch", f"The hold is {amount}, not {request.amount}.")


def _same_currency(request: MoneyRequest, currency: str) -> None:
    if request.currency != currency:
        raise Refusal("currency_mismatch", f"The hold is in {currency}, not in {request.currency}.")


def _too_large(request: MoneyRequest, limit: int, what: str) -> NoReturn:
    raise Refusal("amount_too_large", f"{request.amount} is more than the {limit} {what}.")
