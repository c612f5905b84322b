"""What a processor allows: holds, captures, voids and refunds. Each rule checks everything before it writes."""

import secrets
from typing import Any, NoReturn

from sandbox.store import Authorization, Store
from sandbox.words import ID_PREFIX, SUBJECT_FIELD, Decline, MoneyRequest, Refusal, iso_time

CAPTURE_DECLINED = "pm_sandbox_captureDeclined"
TIMEOUT_AFTER_CHARGE = "pm_sandbox_timeoutAfterCharge"
UNAVAILABLE_ONCE = "pm_sandbox_unavailableOnce"

APPROVED_METHODS = {"pm_card_visa", "pm_paypal", CAPTURE_DECLINED, TIMEOUT_AFTER_CHARGE, UNAVAILABLE_ONCE}
DECLINED_METHODS = {
    "pm_card_chargeDeclined": ("card_declined", "Your card was declined."),
    "pm_card_chargeDeclinedInsufficientFunds": ("insufficient_funds", "Your card has insufficient funds."),
    "pm_card_authenticationRequired": ("authentication_required", "This payment needs authentication."),
}


def execute(store: Store, request: MoneyRequest, now: float, *, decline: bool = False) -> dict[str, Any]:
    """Do what is asked, in the caller's transaction; a decline is recorded and raised."""
    id_ = f"{ID_PREFIX[request.operation]}_{secrets.token_hex(12)}"
    try:
        rule = _declined_by_fault if decline else _RULES[request.operation]
        rule(store, request, id_)
    except Decline as refusal:
        store.add_operation({**_operation(request, id_, "declined", now), "error": refusal.error})
        raise
    body = _operation(request, id_, "succeeded", now)
    store.add_operation(body)
    return body


def _operation(request: MoneyRequest, id_: str, status: str, now: float) -> dict[str, Any]:
    body: dict[str, Any] = {"id": id_, "operation": request.operation, "key": request.key, "status": status}
    if request.operation != "authorize":
        body[SUBJECT_FIELD[request.operation]] = request.subject
    body["payment_id"] = request.payment_id
    return body | {"amount": request.amount, "currency": request.currency, "created_at": iso_time(now)}


def _declined_by_fault(_store: Store, _request: MoneyRequest, _id: str) -> None:
    raise Decline("card_declined", "Your card was declined.")


def _authorize(store: Store, request: MoneyRequest, id_: str) -> None:
    if request.subject in DECLINED_METHODS:
        raise Decline(*DECLINED_METHODS[request.subject])
    if request.subject not in APPROVED_METHODS:
        known = ", ".join(sorted(APPROVED_METHODS | set(DECLINED_METHODS)))
        raise Refusal("payment_method_invalid", f"No such payment method; the sandbox knows {known}.")
    store.add_authorization(id_, request)


def _capture(store: Store, request: MoneyRequest, id_: str) -> None:
    hold = _open_hold(store, request)
    if request.amount > hold.amount:
        _too_large(request, hold.amount, "held")
    if hold.payment_method == CAPTURE_DECLINED:
        raise Decline("capture_declined", "The issuer refused the capture.")
    store.capture(hold.id, id_, request.amount)


def _void(store: Store, request: MoneyRequest, _id: str) -> None:
    hold = _open_hold(store, request)
    if request.amount != hold.amount:
        raise Refusal("amount_mismatch", f"The hold is {hold.amount}, not {request.amount}.")
    store.void(hold.id)


def _refund(store: Store, request: MoneyRequest, _id: str) -> None:
    hold = store.authorization_of_capture(request.subject)
    if hold is None or hold.payment_id != request.payment_id:
        raise Refusal("capture_not_found", f"Payment {request.payment_id} has no capture {request.subject}.")
    _same_currency(request, hold)
    if request.amount > hold.captured - hold.refunded:
        _too_large(request, hold.captured - hold.refunded, "left to refund")
    store.refund(hold.id, request.amount)


def _open_hold(store: Store, request: MoneyRequest) -> Authorization:
    hold = store.authorization(request.subject)
    if hold is None or hold.payment_id != request.payment_id:
        raise Refusal(
            "authorization_not_found", f"Payment {request.payment_id} has no authorization {request.subject}."
        )
    if hold.voided:
        raise Refusal("authorization_voided", f"{hold.id} has been voided.")
    if hold.capture is not None:
        raise Refusal("authorization_captured", f"{hold.id} has been captured.")
    _same_currency(request, hold)
    return hold


def _same_currency(request: MoneyRequest, hold: Authorization) -> None:
    if request.currency != hold.currency:
        raise Refusal("currency_mismatch", f"The hold is in {hold.currency}, not in {request.currency}.")


def _too_large(request: MoneyRequest, limit: int, what: str) -> NoReturn:
    raise Refusal("amount_too_large", f"{request.amount} is more than the {limit} {what}.")


_RULES = {"authorize": _authorize, "capture": _capture, "void": _void, "refund": _refund}
