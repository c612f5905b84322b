"""Answers before the payment is decided: 202, what a GET then says, and other requests under the running key."""

import asyncio
import time
from typing import Any

import pytest

from tests.harness import Stack, a_request, new_key
from tests.refusals import assert_problem, pointers


async def start_slow_payment(stack: Stack, word: str, seconds: float = 2, **fields: Any) -> str:
    """A payment that runs, and will for a while."""
    key = new_key(word)
    await stack.fault("slow", payment_id=key, operation="capture", seconds=seconds)
    assert (await stack.pay(key, wait=0, **fields)).status_code == 202
    return key


@pytest.mark.parametrize("prefer", ["wait=0", "wait=1", "respond-async"])
async def test_undecided_payment_is_accepted_and_decided_later(stack: Stack, prefer: str) -> None:
    key = new_key("async")
    await stack.fault("slow", payment_id=key, operation="capture", seconds=1.5)
    reply = await stack.pay(key, headers={"Prefer": prefer}, customer="cus_1")
    assert reply.status_code == 202
    assert reply.headers["Location"] == f"/v1/payments/{key}"
    assert int(reply.headers["Retry-After"]) >= 1
    assert "Idempotent-Replayed" not in reply.headers
    said, found = reply.json(), await stack.get(key)
    assert (said["id"], said["status"], said["amount"], said["customer"]) == (key, "processing", 4990, "cus_1")
    assert (said["amount_captured"], said["failure"]) == (0, None)
    assert set(found) == set(said)
    assert found["status"] == "processing"
    decided = await stack.until_decided(key)
    assert decided["status"] == "succeeded"
    again = await stack.pay(key, customer="cus_1")
    assert (again.status_code, again.json()) == (201, decided)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await stack.journal_operations(key) == ["authorize", "capture"]


@pytest.mark.parametrize(
    ("prefer", "least", "most"),
    [("wait=0", 0, 1.0), ("Respond-Async", 0, 1.0), ("respond-async, wait=9", 0, 1.0), ("Wait = 1", 0.9, 2.0)],
)
async def test_answer_takes_as_long_as_the_caller_wants_to_wait(
    stack: Stack, prefer: str, least: float, most: float
) -> None:
    key = new_key("wait")
    await stack.fault("slow", payment_id=key, operation="capture", seconds=3)
    began = time.monotonic()
    reply = await stack.pay(key, headers={"Prefer": prefer})
    assert reply.status_code == 202
    assert least <= time.monotonic() - began <= most


@pytest.mark.parametrize(
    "prefer",
    ["", "wait", "wait=", "wait=soon", "wait=-1", "wait=1.5", "wait=99999999999", "return=minimal", ",,;=", "é"],
)
async def test_preference_that_cannot_be_read_is_ignored(stack: Stack, prefer: str) -> None:
    headers = [(b"Prefer", prefer.encode()), (b"Idempotency-Key", new_key("prefer").encode())]
    reply = await stack.http.post("/v1/payments", json=a_request(), headers=headers)
    assert reply.status_code == 201, reply.text


async def test_duplicate_of_a_running_payment_waits_for_its_answer(stack: Stack) -> None:
    key = await start_slow_payment(stack, "joined", seconds=1)
    replies = await asyncio.gather(*(stack.pay(key) for _ in range(3)))
    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.content for reply in replies}) == 1
    assert {reply.headers.get("Idempotent-Replayed") for reply in replies} == {"true"}
    assert await stack.journal_operations(key) == ["authorize", "capture"]


@pytest.mark.parametrize("wait", [0, 1, 30])
async def test_other_request_under_a_running_key_is_refused_at_once(stack: Stack, wait: int) -> None:
    key = await start_slow_payment(stack, "running", seconds=1.3, customer="cus_secret")
    began = time.monotonic()
    reply = await stack.pay(key, wait=wait, amount=7777, customer="cus_other")
    # At once when the payment has its row, else when Temporal is asked.
    assert time.monotonic() - began < 2
    problem = assert_problem(reply, 422, "idempotency_key_reused", "4990", "7777", "cus_secret", "cus_other")
    assert sorted(pointers(problem)) == ["/amount", "/customer"]
    assert (await stack.until_decided(key))["amount_captured"] == 4990
    assert await stack.journal_operations(key) == ["authorize", "capture"]


async def test_payment_without_a_row_is_processing_and_refuses_another_request(stack: Stack) -> None:
    """The claim waits for a lock on the table, so that the workflow is started and the row is not there yet."""
    key = new_key("no-row")
    async with stack.database() as db, stack.database() as reader, db.transaction():
        await db.execute("LOCK TABLE payments IN SHARE MODE")
        reply = await stack.pay(key, wait=1, customer="cus_secret")
        assert (reply.status_code, reply.json()["status"]) == (202, "processing")
        assert await reader.fetchval("SELECT count(*) FROM payments WHERE id = $1", key) == 0
        found = await stack.get(key)
        assert (found["status"], found["amount"], found["customer"]) == ("processing", 4990, "cus_secret")
        other = await stack.pay(key, wait=1, amount=7777)
        problem = assert_problem(other, 422, "idempotency_key_reused", "7777", "4990", "cus_secret")
        assert sorted(pointers(problem)) == ["/amount", "/customer"]
        assert await stack.journal(key) == []
    assert (await stack.until_decided(key))["amount_captured"] == 4990
    assert await stack.journal_operations(key) == ["authorize", "capture"]


async def test_unknown_outcome_is_shown_until_it_is_known(stack: Stack) -> None:
    key = new_key("unknown")
    await stack.fault("timeout_after_execution", payment_id=key, operation="capture")
    assert (await stack.pay(key, wait=0)).status_code == 202
    async with asyncio.timeout(20):
        while (payment := await stack.get(key))["outcome_unknown"] is None:
            assert payment["status"] == "processing"
            await asyncio.sleep(0.05)
    unknown = payment["outcome_unknown"]
    assert (payment["status"], payment["amount_captured"]) == ("processing", 0)
    assert set(unknown) == {"operation", "since", "next_check_at"}
    assert unknown["operation"] == "capture"
    assert unknown["since"] < unknown["next_check_at"]
    decided = await stack.until_decided(key)
    assert (decided["status"], decided["outcome_unknown"]) == ("succeeded", None)
    assert (await stack.pay(key)).json()["outcome_unknown"] is None
    assert await stack.journal_operations(key) == ["authorize", "capture"]
