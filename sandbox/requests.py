"""Checks the shape of requests; what is refused here is never stored under an idempotency key."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, cast

from sandbox.words import SUBJECT_FIELD, MoneyRequest, Operation, Refusal

MAX_TEXT = 255
# Far below what SQLite's integers hold, so that no sum of refunds can overflow.
MAX_AMOUNT = 10**15
MAX_TIMES = 1_000_000
_CURRENCY = re.compile(r"[A-Za-z]{3}")


def money_request(operation: Operation, keys: Sequence[str], raw: bytes, base_url: str = "") -> MoneyRequest:
    key = idempotency_key(keys)
    body = json_object(raw)
    return MoneyRequest(
        operation=operation,
        key=key,
        fingerprint=_fingerprint(operation, body),
        payment_id=text(body, "payment_id"),
        amount=_amount(body),
        currency=_currency(body),
        subject=text(body, SUBJECT_FIELD[operation]),
        base_url=base_url,
    )


def idempotency_key(keys: Sequence[str]) -> str:
    if not keys or not keys[0]:
        raise Refusal("idempotency_key_missing", "Send an Idempotency-Key header with every POST of money.")
    if len(keys) > 1 or len(keys[0]) > MAX_TEXT or not keys[0].isprintable():
        raise Refusal(
            "idempotency_key_invalid", f"Send one Idempotency-Key of at most {MAX_TEXT} printable characters."
        )
    return keys[0]


def json_object(raw: bytes) -> dict[str, Any]:
    try:
        body: object = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Refusal("malformed_json", "The body is not JSON.") from error
    if not isinstance(body, dict):
        raise Refusal("malformed_json", "The body must be a JSON object.")
    return cast("dict[str, Any]", body)


def text(body: dict[str, Any], field: str) -> str:
    value = body.get(field)
    # isprintable also keeps out lone surrogates, which no database can store.
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise invalid(field, f"must be a string of 1 to {MAX_TEXT} printable characters")
    return value


def times(value: object) -> int:
    if type(value) is not int or not 0 < value <= MAX_TIMES:
        raise invalid("times", f"must be an integer from 1 to {MAX_TIMES}")
    return value


def only_known(body: dict[str, Any], *known: str) -> None:
    """Of test knobs: a misspelt one would do nothing, and the test would prove nothing."""
    if unknown := sorted(set(body) - set(known)):
        raise invalid(unknown[0][:MAX_TEXT], f"is not known; there are {', '.join(known)}")


def invalid(field: str, problem: str) -> Refusal:
    return Refusal("validation_failed", f"{field}: {problem}.")


def _amount(body: dict[str, Any]) -> int:
    value = body.get("amount")
    if type(value) is not int or not 0 < value <= MAX_AMOUNT:
        raise invalid("amount", f"must be an integer from 1 to {MAX_AMOUNT}, in minor units")
    return value


def _currency(body: dict[str, Any]) -> str:
    value = text(body, "currency")
    if not _CURRENCY.fullmatch(value):
        raise invalid("currency", "must be a code of three letters")
    return value


def _fingerprint(operation: Operation, body: dict[str, Any]) -> str:
    canonical = json.dumps([operation, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
