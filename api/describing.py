"""What the OpenAPI document says of `POST /v1/payments` beyond what FastAPI reads from the code."""

from typing import Any, Final

from payments.payment import Payment

CREATE_PAYMENT: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/PaymentRequest"},
                "examples": {
                    "card": {
                        "summary": "EUR 49.90 by card",
                        "value": {
                            "amount": 4990,
                            "currency": "EUR",
                            "payment_method": "pm_card_visa",
                            "customer": "cus_42",
                            "order_id": "order-1001",
                        },
                    },
                    "paypal": {
                        "summary": "JPY 500 by PayPal (no decimals in JPY)",
                        "value": {"amount": 500, "currency": "JPY", "payment_method": "pm_paypal"},
                    },
                },
            }
        },
    },
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "Chosen by the client once for this payment; it becomes the payment's id. A retry sends the "
            "same key and body and gets the first answer, for ever. No personal data in it.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^/\\?#%]+$"},
            "example": "order-1001-try-1",
        },
        {
            "name": "Prefer",
            "in": "header",
            "description": "`wait=N`: wait up to N seconds for the decision (default 10, at most 60). `respond-async`: "
            "don't wait.",
            "schema": {"type": "string"},
            "example": "wait=5",
        },
    ],
}
_SUCCEEDED: Final[dict[str, Any]] = {
    "id": "order-1001-try-1",
    "status": "succeeded",
    "amount": 4990,
    "currency": "EUR",
    "amount_authorized": 4990,
    "amount_captured": 4990,
    "amount_refunded": 0,
    "amount_refundable": 4990,
    "capture": "automatic",
    "payment_method": "pm_card_visa",
    "customer": "cus_42",
    "order_id": "1001",
    "description": "Two books",
    "metadata": {},
    "processor": "sandbox",
    "processor_reference": "cap_1f0e",
    "failure": None,
    "outcome_unknown": None,
    "conflicted": False,
    "refunds": [],
    "created_at": "2026-11-23T10:00:00.000000Z",
    "updated_at": "2026-11-23T10:00:00.250000Z",
}
_NOT_CHARGED: Final = {
    "amount_authorized": 0,
    "amount_captured": 0,
    "amount_refundable": 0,
    "processor_reference": None,
}
_INSUFFICIENT_FUNDS: Final = {"code": "insufficient_funds", "message": "Your card has insufficient funds."}
_DECLINED: Final = _SUCCEEDED | _NOT_CHARGED | {"status": "declined", "failure": _INSUFFICIENT_FUNDS}
_NO_WORD: Final = {"operation": "capture", "since": "2026-11-23T10:00:05Z", "next_check_at": "2026-11-23T10:00:06Z"}
_UNKNOWN: Final = _SUCCEEDED | _NOT_CHARGED | {"status": "processing", "outcome_unknown": _NO_WORD}


def _examples(**payments: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"examples": {name: {"value": payment} for name, payment in payments.items()}}}


_HEADERS: Final = {
    "Location": {"description": "Where the payment is", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "`true` when this is the answer to an earlier request with this key",
        "schema": {"type": "string"},
    },
}

CREATED: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "description": "Decided: `succeeded`, `declined`, `failed` or `canceled`",
        "headers": _HEADERS,
        "content": _examples(succeeded=_SUCCEEDED, declined=_DECLINED),
    },
    202: {
        "description": "Not decided yet: GET its Location",
        "model": Payment,
        "headers": _HEADERS,
        "content": _examples(outcome_unknown=_UNKNOWN),
    },
}
