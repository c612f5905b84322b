"""Scripted faults: which exist, which requests they can hit, and how they are taken."""

from dataclasses import dataclass
from typing import Any

from sandbox.requests import invalid, only_known, text, times
from sandbox.store import Store
from sandbox.words import OPERATIONS, MoneyRequest, Refusal

# These strike before the processor looks at the key, so they hit any request.
BEFORE_EXECUTION = frozenset({"timeout_before_execution", "unavailable", "rate_limited"})
# These let the processor execute, or replay the answer that it has stored.
AROUND_EXECUTION = frozenset(
    {
        "timeout_after_execution",
        "late_execution",
        "reset_after_execution",
        "malformed_reply",
        "wrong_amount",
        "slow",
    }
)
# These are decided by executing; they would be a lie about an operation that has already succeeded.
ONLY_EXECUTION = frozenset({"decline", "refund_fails_later"})
FAULTS = BEFORE_EXECUTION | AROUND_EXECUTION | ONLY_EXECUTION

# These put the execution off by `seconds`.
PUT_OFF = frozenset({"late_execution", "slow"})
DEFAULT_SECONDS = {"late_execution": 3.0, "slow": 2.0, "rate_limited": 1.0, "refund_fails_later": 5.0}
MAX_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that has hit a request."""

    name: str
    seconds: float = 0.0


def fault_from(body: dict[str, Any]) -> dict[str, Any]:
    """The fault as it is stored."""
    only_known(body, "payment_id", "operation", "fault", "times", "seconds")
    if body.get("fault") not in tuple(FAULTS):
        raise invalid("fault", f"must be one of {', '.join(sorted(FAULTS))}")
    operation = body.get("operation")
    if operation is not None and operation not in OPERATIONS:
        raise invalid("operation", f"must be one of {', '.join(OPERATIONS)}")
    if body["fault"] == "refund_fails_later" and operation != "refund":
        raise invalid("operation", "must be refund for refund_fails_later")
    return {
        "payment_id": None if body.get("payment_id") is None else text(body, "payment_id"),
        "operation": operation,
        "fault": body["fault"],
        "times": times(body.get("times", 1)),
        "seconds": _seconds(body.get("seconds"), body["fault"]),
    }


def take(store: Store, request: MoneyRequest, can_hit: frozenset[str]) -> Fault | None:
    """The oldest fault that can hit this request; it is used up by one in the caller's transaction."""
    for id_, name, seconds in store.matching_faults(request):
        if name in can_hit:
            store.use_fault(id_)
            return Fault(name, DEFAULT_SECONDS.get(name, 0.0) if seconds is None else seconds)
    return None


def refusal_of(fault: Fault) -> Refusal | None:
    """What the two faults that answer instead of the processor say."""
    if fault.name == "unavailable":
        message = "The processor is unavailable; send the same key again."
        return Refusal("unavailable", message, status=503, type_="api_error")
    if fault.name == "rate_limited":
        message = "Too many requests; wait, then send the same key again."
        headers = (("Retry-After", f"{fault.seconds:.0f}"),)
        return Refusal("rate_limited", message, status=429, type_="rate_limit_error", headers=headers)
    return None


def _seconds(value: object, fault: str) -> float | None:
    if value is None:
        return DEFAULT_SECONDS.get(fault)
    # The comparison also refuses NaN.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SECONDS:
        raise invalid("seconds", f"must be a number from 0 to {MAX_SECONDS}")
    if fault == "rate_limited" and value != int(value):
        raise invalid("seconds", "must be a whole number for rate_limited: it becomes the Retry-After")
    return float(value)
