"""What the OpenAPI document says of the POSTs beyond what FastAPI reads from the code."""

from typing import Any, Final

from payments.payment import Payment, Refund


def _headers(key: str, example: str) -> list[dict[str, Any]]:
    return [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": key,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^/\\?#%]+$"},
            "example": example,
        },
        {
            "name": "Prefer",
            "in": "header",
            "description": "`wait=N`: wait up to N seconds for the outcome (default 10, at most 60). `respond-async`: "
            "don't wait.",
            "schema": {"type": "string"},
            "example": "wait=5",
        },
    ]


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
    "parameters": _headers(
        "Chosen by the client once for this payment; it becomes the payment's id. A retry sends the same key and body "
        "and gets the first answer, for ever. No personal data in it.",
        "order-1001-try-1",
    ),
}
CREATE_REFUND: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/RefundRequest"},
                "examples": {
                    "part": {"summary": "A part of it", "value": {"amount": 1000, "reason": "one book was damaged"}},
                    "rest": {"summary": "All that is left", "value": {}},
                },
            }
        },
    },
    "parameters": _headers(
        "Chosen by the client once for this refund; it becomes the refund's id, which is the payment's own. A retry "
        "sends the same key and body. No personal data in it.",
        "return-77",
    ),
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
    "capture_before": None,
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
    "Location": {"description": "Where it is", "schema": {"type": "string"}},
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

_REFUND: Final[dict[str, Any]] = {
    "id": "return-77",
    "payment_id": "order-1001-try-1",
    "amount": 1000,
    "currency": "EUR",
    "status": "succeeded",
    "reason": "one book was damaged",
    "failure": None,
    "processor_reference": "re_77c2",
    "outcome_unknown": None,
    "created_at": "2026-11-24T09:00:00.000000Z",
    "updated_at": "2026-11-24T09:00:00.200000Z",
}

REFUNDED: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "description": "`succeeded`, or `failed` when the processor refused it",
        "headers": _HEADERS,
        "content": _examples(succeeded=_REFUND),
    },
    202: {
        "description": "`pending`: reserved, and the processor's word is not known yet. Send the same request again",
        "model": Refund,
        "headers": _HEADERS,
        "content": _examples(pending=_REFUND | {"status": "pending", "processor_reference": None}),
    },
}

CAPTURE: Final[dict[str, Any]] = {
    "requestBody": {
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/CaptureRequest"},
                "examples": {
                    "all": {"summary": "All that is held", "value": {}},
                    "part": {"summary": "A part of it; the rest is released", "value": {"amount": 3000}},
                },
            }
        }
    },
    "parameters": _headers("Chosen by the client once for this capture. A retry sends the same.", "ship-1001"),
}
CANCEL: Final[dict[str, Any]] = {
    "parameters": _headers("Chosen by the client once for this cancellation. A retry sends the same.", "cancel-1001"),
}
HELD: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Done",
        "headers": _HEADERS,
        "content": _examples(captured=_SUCCEEDED | {"capture": "manual"}),
    },
    202: {
        "description": "The processor's word is not known yet. Send the same request again, or GET the payment",
        "model": Payment,
        "content": _examples(outcome_unknown=_UNKNOWN | {"status": "authorized", "capture": "manual"}),
    },
}
RECEIVE_WEBHOOK: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Sandbox-Signature",
            "in": "header",
            "description": "Of the processor `sandbox`, once: the time of sending in seconds since 1970, at most five "
            "minutes from now, and the HMAC-SHA256 of `<t>.<raw body>` in hexadecimal.",
            "schema": {"type": "string"},
            "example": "t=1795444800,v1=" + "0123456789abcdef" * 4,
        },
    ],
    "requestBody": {
        "required": True,
        "description": "An event in the processor's own form, at most 64 KiB.",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "examples": {
                    "refund": {
                        "summary": "A refund failed after it had succeeded",
                        "value": {
                            "id": "evt_5f0c",
                            "type": "refund.failed",
                            "created_at": "2026-11-23T10:00:00.000000Z",
                            "data": {"id": "re_81", "payment_id": "order-1001-try-1", "status": "failed"},
                        },
                    }
                },
            }
        },
    },
}
RESOLVE_CASE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Resolution"},
                "examples": {
                    "by hand": {
                        "summary": "What was done about it",
                        "value": {"reason": "Refunded at the processor by hand, ticket 4711."},
                    }
                },
            }
        },
    },
}
