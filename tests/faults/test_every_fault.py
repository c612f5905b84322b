"""Each fault of the processor on each operation of a payment: afterwards its journal and the ledger agree."""

import pytest

from tests.harness import Stack, new_key

ONCE = [
    "timeout_before_execution",
    "timeout_after_execution",
    "late_execution",
    "reset_after_execution",
    "unavailable",
    "rate_limited",
    "malformed_reply",
    "slow",
]


@pytest.mark.parametrize("operation", ["authorize", "capture"])
@pytest.mark.parametrize("fault", ONCE)
async def test_payment_is_charged_once_after_a(stack: Stack, fault: str, operation: str) -> None:
    key = new_key(f"{fault}-{operation}")
    await stack.fault(fault, payment_id=key, operation=operation)
    reply = await stack.pay(key, wait=30)
    assert reply.status_code == 201, reply.text
    assert reply.json()["status"] == "succeeded"
    assert reply.json()["outcome_unknown"] is None
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)
