"""One identity: the client's idempotency key is the workflow ID and `payments.id`; processors get its hash."""

import hashlib
import re
from enum import StrEnum
from typing import Final

# 1-255 printable ASCII characters that can stand in one segment of a URL path.
_KEY: Final = re.compile(r"[ -~]{1,255}")
_KEY_REFUSED: Final = re.compile(r"[/\\?#%]")


class OperationKind(StrEnum):
    """What a processor can be asked to do with money."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


def idempotency_key_problem(key: str) -> str | None:
    """What is wrong with a client's idempotency key, as a sentence for its sender; None when it is usable."""
    if not _KEY.fullmatch(key):
        return "The key must have 1 to 255 printable ASCII characters."
    if _KEY_REFUSED.search(key) or key in {".", ".."}:
        return "The key becomes part of a URL path: it must not contain / \\ ? # % and must not be . or .."
    return None


def operation_key(kind: OperationKind, payment_id: str, n: int = 1, refund_id: str | None = None) -> str:
    """The key sent to the processor for the n-th attempt of an operation; every retry of an attempt sends the same.

    A hash, because processors limit a key's length (Stripe: 255) and a client's own key may hold personal data.
    """
    # No key has a line break, so that no two pairs look alike.
    subject = payment_id if refund_id is None else f"{payment_id}\n{refund_id}"
    return f"{kind}-{n}-{_digest(subject)[:32]}"


def refund_activity_id(refund_id: str) -> str:
    """A refund's activity in the Temporal Web UI: of a length that Temporal takes, whatever the client chose."""
    return f"refund-{_digest(refund_id)[:24]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
