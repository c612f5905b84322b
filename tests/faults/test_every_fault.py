"""Each fault of the processor on each operation of a payment: afterwards its journal and the ledger agree.

All payments run at once, since most of the time is spent waiting for replies that never come.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.harness import Stack, new_key

FAULTS = [
    "timeout_before_execution",
    "timeout_after_execution",
    "late_execution",
    "reset_after_execution",
    "unavailable",
    "rate_limited",
    "malformed_reply",
    "slow",
]
# Nobody else in these tests pays in it.
CLOSED = "VUV"
# The paths on which an operation happens at all, with what they end in.
PATHS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "authorize": ({}, "succeeded", ["authorize", "capture"]),
    "capture": ({}, "succeeded", ["authorize", "capture"]),
    "void": ({"payment_method": "pm_sandbox_captureDeclined"}, "declined", ["authorize", "void"]),
    "refund": ({"currency": CLOSED}, "failed", ["authorize", "capture", "refund"]),
}
CASES = [(operation, fault) for operation in PATHS for fault in FAULTS]


@dataclass
class Faulty:
    """The payments, by what went wrong with them."""

    stack: Stack
    keys: dict[tuple[str, str], str]
    replies: dict[tuple[str, str], httpx2.Response]


@pytest_asyncio.fixture(scope="module")
async def faulty(stack: Stack) -> Faulty:
    """One payment for each case; the books refuse to record some, so that those are undone."""
    await stack.close_account(CLOSED)
    keys = {case: new_key("-".join(case)) for case in CASES}
    for (operation, fault), key in keys.items():
        await stack.fault(fault, payment_id=key, operation=operation)
    replies = await asyncio.gather(
        *(stack.pay_persistently(key, wait=50, **PATHS[operation][0]) for (operation, _), key in keys.items())
    )
    return Faulty(stack, keys, dict(zip(keys, replies, strict=True)))


@pytest.mark.parametrize(("operation", "fault"), CASES)
async def test_payment_ends_as_without_the_fault(faulty: Faulty, operation: str, fault: str) -> None:
    _, status, operations = PATHS[operation]
    reply, key = faulty.replies[operation, fault], faulty.keys[operation, fault]
    assert reply.status_code == 201, reply.text
    assert reply.json()["status"] == status
    assert reply.json()["outcome_unknown"] is None
    assert await faulty.stack.journal_operations(key) == operations
    await faulty.stack.assert_books_agree(key)


async def test_every_fault_has_struck(faulty: Faulty) -> None:
    left = (await faulty.stack.processor.get("/faults")).json()["data"]
    assert not {fault["payment_id"] for fault in left} & set(faulty.keys.values())


async def test_hold_of_another_amount_is_released_and_nothing_charged(stack: Stack) -> None:
    key = new_key()
    await stack.fault("wrong_amount", payment_id=key, operation="authorize")
    payment = (await stack.pay_persistently(key)).json()
    assert (payment["status"], payment["conflicted"]) == ("failed", True)
    assert payment["failure"]["code"] == "processor_conflict"
    assert await stack.journal_operations(key) == ["authorize", "void"]
    await stack.assert_books_agree(key)


async def test_charge_of_another_amount_is_given_back_and_not_recorded_as_a_sale(stack: Stack) -> None:
    key = new_key()
    await stack.fault("wrong_amount", payment_id=key, operation="capture")
    payment = (await stack.pay_persistently(key)).json()
    assert (payment["status"], payment["conflicted"]) == ("failed", True)
    assert (payment["amount_captured"], payment["amount_refunded"]) == (4990, 4990)
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
    await stack.assert_books_agree(key)
    async with stack.database() as db:
        accounts = await db.fetch(
            "SELECT DISTINCT account FROM entries e JOIN ledger_transactions t ON t.sequence = e.transaction"
            " WHERE payment_id = $1",
            key,
        )
    assert {row["account"] for row in accounts} == {"processor_receivable:sandbox", "suspense"}


@pytest.mark.parametrize("operation", ["void", "refund"])
async def test_undoing_of_another_amount_is_believed_only_by_the_record(stack: Stack, operation: str) -> None:
    fields, status, operations = PATHS[operation]
    key = new_key()
    await stack.close_account(CLOSED)
    await stack.fault("wrong_amount", payment_id=key, operation=operation)
    assert (await stack.pay_persistently(key, **fields)).json()["status"] == status
    assert await stack.journal_operations(key) == operations
    await stack.assert_books_agree(key)


async def test_refund_that_fails_thrice_is_tried_until_the_money_is_back(stack: Stack) -> None:
    key = new_key()
    await stack.close_account(CLOSED)
    await stack.fault("unavailable", payment_id=key, operation="refund", times=3)
    assert (await stack.pay_persistently(key, currency=CLOSED, wait=1)).status_code == 202
    payment = await stack.until_decided(key)
    assert (payment["status"], payment["amount_refunded"]) == ("failed", 4990)
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
    await stack.assert_books_agree(key)


@pytest.mark.parametrize("operation", ["authorize", "capture"])
async def test_decline_charges_nothing_and_keeps_no_hold(stack: Stack, operation: str) -> None:
    key = new_key()
    await stack.fault("decline", payment_id=key, operation=operation)
    payment = (await stack.pay_persistently(key)).json()
    assert (payment["status"], payment["failure"]["code"]) == ("declined", "card_declined")
    assert payment["amount_captured"] == 0
    await stack.assert_books_agree(key)


async def test_three_faults_in_a_row_on_each_operation_still_charge_once(stack: Stack) -> None:
    key = new_key()
    for operation in ("authorize", "capture"):
        for fault in ("reset_after_execution", "unavailable", "malformed_reply"):
            await stack.fault(fault, payment_id=key, operation=operation)
    assert (await stack.pay_persistently(key, wait=40)).json()["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)
