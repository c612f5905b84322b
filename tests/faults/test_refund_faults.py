"""Each fault of the processor on a refund that was asked for: it is made once, and nothing is guessed meanwhile."""

import asyncio

import pytest

from tests.faults.test_every_fault import FAULTS
from tests.harness import Stack, new_key
from tests.timelines import said, timeline
from tests.workflow.test_cancellation import closed_status


@pytest.mark.parametrize("fault", FAULTS)
async def test_refund_is_made_once_whatever_the_processor_does(stack: Stack, fault: str) -> None:
    key = new_key(f"refund-{fault}")
    await stack.pay(key)
    await stack.fault(fault, payment_id=key, operation="refund")
    reply = await stack.refund_persistently(key, "r", amount=1000, wait=20)
    assert (reply.status_code, reply.json()["status"], reply.json()["outcome_unknown"]) == (201, "succeeded", None)
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
    payment = await stack.get(key)
    assert (payment["status"], payment["amount_refundable"]) == ("partially_refunded", 3990)
    await stack.assert_books_agree(key)


async def test_refund_whose_outcome_is_unknown_holds_its_amount_until_the_record_decides(stack: Stack) -> None:
    key = new_key()
    await stack.pay(key)
    for _ in range(2):
        await stack.fault("unavailable", payment_id=key, operation="refund")
    reply = await stack.refund(key, "first", amount=4000, wait=1)
    assert (reply.status_code, reply.json()["status"]) == (202, "pending")
    assert "Retry-After" in reply.headers
    assert reply.json()["outcome_unknown"]["operation"] == "refund"
    payment = await stack.get(key)
    assert (payment["status"], payment["amount_refunded"], payment["amount_refundable"]) == ("succeeded", 0, 990)
    too_much = await stack.refund(key, "second", amount=991)
    assert (too_much.status_code, too_much.json()["code"]) == (409, "refund_exceeds_refundable")
    done = await stack.refund_persistently(key, "first", amount=4000)
    assert done.json()["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
    await stack.assert_books_agree(key)


async def test_refund_of_another_amount_is_believed_only_by_the_record(stack: Stack) -> None:
    key = new_key()
    await stack.pay(key)
    await stack.fault("wrong_amount", payment_id=key, operation="refund")
    assert (await stack.refund(key, "r", amount=1000)).json()["status"] == "succeeded"
    await stack.assert_books_agree(key)


_CLOSE = "UPDATE accounts SET closed_at = now() WHERE name = 'refunds_payable' AND currency = $1"
_OPEN = "UPDATE accounts SET closed_at = NULL WHERE currency = $1"


async def test_refund_that_the_books_refuse_is_asked_for_at_the_processor_when_they_take_it(stack: Stack) -> None:
    key, currency = new_key(), "TOP"
    await stack.pay(key, currency=currency)
    async with stack.database() as db:
        await db.execute("INSERT INTO accounts VALUES ('refunds', $1, now()) ON CONFLICT DO NOTHING", currency)
    # It has no row yet, so nobody can say how it stands.
    assert (await stack.refund(key, "r", amount=1000, wait=1)).status_code == 503
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    async with stack.database() as db:
        await db.execute(_OPEN, currency)
    assert (await stack.refund_persistently(key, "r", amount=1000)).json()["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
    await stack.assert_books_agree(key)


async def test_books_that_refuse_a_refund_that_was_made_keep_trying_until_they_take_it(stack: Stack) -> None:
    key, currency = new_key(), "WST"
    await stack.pay(key, currency=currency)
    await stack.fault("slow", payment_id=key, operation="refund", seconds=2)
    assert (await stack.refund(key, "r", amount=1000, wait=1)).status_code == 202
    async with stack.database() as db:
        await db.execute(_CLOSE, currency)
    await stack.until_journal_has(key, "refund")
    assert (await stack.refund(key, "r", amount=1000, wait=1)).status_code == 202
    async with stack.database() as db:
        await db.execute(_OPEN, currency)
    assert (await stack.refund_persistently(key, "r", amount=1000)).json()["status"] == "succeeded"
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
    await stack.assert_books_agree(key)


async def test_refund_and_its_repetitions_during_a_restart_of_postgresql_are_one(own_stack: Stack) -> None:
    stack, key = own_stack, new_key()
    await stack.pay(key)
    await stack.fault("slow", payment_id=key, operation="refund", seconds=1)
    asking = [asyncio.create_task(stack.refund_persistently(key, "r", amount=1000, wait=5)) for _ in range(3)]
    await asyncio.sleep(0.5)
    await stack.servers.postgres.kill()
    await asyncio.sleep(1)
    await stack.servers.postgres.start()
    replies = await asyncio.gather(*asking)
    assert {(reply.status_code, reply.json()["status"]) for reply in replies} == {(201, "succeeded")}
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
    await stack.assert_books_agree(key)


async def test_refund_of_an_undone_charge_that_fails_later_is_made_again_until_it_stands(stack: Stack) -> None:
    key = new_key("undone")
    await stack.fault("wrong_amount", payment_id=key, operation="capture")
    await stack.fault("refund_fails_later", payment_id=key, operation="refund", seconds=0.5, times=2)
    failed = (await stack.pay(key)).json()
    assert (failed["status"], failed["amount_captured"], failed["amount_refunded"]) == ("failed", 4990, 4990)
    expected = ["authorize", "capture", "refund"]
    for _ in range(2):
        expected += ["refund_failed"]
        await until_journal_is(stack, key, expected)
        expected += ["refund"]
        # Told more than once, as processors do.
        await asyncio.gather(stack.check(key), stack.check(key))
        await until_journal_is(stack, key, expected)
    await stack.check(key)
    await closed_status(stack, key)
    assert await stack.journal_operations(key) == expected
    keys = [entry["key"] for entry in await stack.journal(key) if entry["operation"] == "refund"]
    assert len(set(keys)) == 3
    assert await stack.get(key) == failed
    assert [type_ for type_, _ in said(await timeline(stack, key))][-2:] == ["payment.refunded_again"] * 2
    await stack.assert_books_agree(key)


async def until_journal_is(stack: Stack, key: str, operations: list[str]) -> None:
    async with asyncio.timeout(20):
        while await stack.journal_operations(key) != operations:
            await asyncio.sleep(0.05)


async def test_refund_of_an_undone_charge_that_fails_before_the_books_have_it_is_made_again(stack: Stack) -> None:
    key, currency = new_key("undone"), "TOP"
    await stack.fault("wrong_amount", payment_id=key, operation="capture")
    await stack.fault("refund_fails_later", payment_id=key, operation="refund", seconds=0.5)
    async with stack.database() as db:
        await db.execute("INSERT INTO accounts VALUES ('suspense', $1, now()) ON CONFLICT DO NOTHING", currency)
    await stack.pay(key, currency=currency, wait=1)
    await until_journal_is(stack, key, ["authorize", "capture", "refund", "refund_failed"])
    async with stack.database() as db:
        await db.execute("UPDATE accounts SET closed_at = NULL WHERE name = 'suspense' AND currency = $1", currency)
    failed = await stack.until_decided(key)
    assert (failed["status"], failed["amount_captured"], failed["amount_refunded"]) == ("failed", 4990, 4990)
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund", "refund_failed", "refund"]
    first, second = [entry["key"] for entry in await stack.journal(key) if entry["operation"] == "refund"]
    async with stack.database() as db:
        posted = await db.fetch("SELECT operation_key FROM ledger_transactions WHERE payment_id = $1", key)
    # What came back before it was written down stands in no account: it moved nothing in the end.
    assert {row["operation_key"] for row in posted} & {first, second} == {second}
    events = (await stack.http.get(f"/v1/payments/{key}/timeline")).json()["data"]
    assert ("payment.refunded_again", "workflow") in said(events)
    # After its end it is seen that the second one stands.
    await stack.check(key)
    await closed_status(stack, key)
    assert len(await stack.journal_operations(key)) == 5


async def test_undoing_goes_on_under_another_key_when_the_processor_refused_its_refund(stack: Stack) -> None:
    key = new_key("undone")
    await stack.fault("wrong_amount", payment_id=key, operation="capture")
    await stack.fault("decline", payment_id=key, operation="refund", times=2)
    await stack.pay(key, wait=1)
    assert (await stack.until_decided(key))["status"] == "failed"
    assert await stack.journal_operations(key) == ["authorize", "capture", "refund"]
    await stack.assert_books_agree(key)
