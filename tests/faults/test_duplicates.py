"""The same request many times at once, over two API processes."""

import asyncio
from collections import Counter

from tests.harness import Stack, new_key, running


async def test_fifty_concurrent_duplicates_over_two_api_processes_charge_once(stack: Stack) -> None:
    key = new_key()
    second = stack.another_api("second-api")
    async with running(second):
        other = Stack(stack.servers, stack.worker, second)
        # Persistently: a machine that is busy with other tests may say 503, which says nothing of the payment.
        replies = await asyncio.gather(
            *(stack.pay_persistently(key, wait=30) for _ in range(25)),
            *(other.pay_persistently(key, wait=30) for _ in range(25)),
        )
        await other.close()
    assert Counter(reply.status_code for reply in replies) == {201: 50}
    assert len({reply.content for reply in replies}) == 1
    assert sum("Idempotent-Replayed" not in reply.headers for reply in replies) <= 1
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_fifty_concurrent_requests_of_two_amounts_charge_one_of_them(stack: Stack) -> None:
    key = new_key()
    replies = await asyncio.gather(
        *(stack.pay_persistently(key, wait=30, amount=1000 + number % 2) for number in range(50))
    )
    paid = [reply for reply in replies if reply.status_code == 201]
    refused = [reply for reply in replies if reply.status_code == 422]
    assert len(paid) == len(refused) == 25
    assert len({reply.content for reply in paid}) == 1
    assert {reply.json()["code"] for reply in refused} == {"idempotency_key_reused"}
    journal = await stack.journal(key)
    assert [entry["operation"] for entry in journal] == ["authorize", "capture"]
    assert journal[1]["amount"] == paid[0].json()["amount"]
    await stack.assert_books_agree(key)


async def test_fifty_concurrent_payments_are_each_charged_once(stack: Stack) -> None:
    keys = [new_key() for _ in range(50)]
    replies = await asyncio.gather(*(stack.pay_persistently(key, wait=60) for key in keys))
    assert Counter(reply.status_code for reply in replies) == {201: 50}
    await stack.assert_books_agree(*keys)
    async with stack.database() as db:
        captured = await db.fetchval("SELECT sum(amount_captured) FROM payments WHERE id = ANY($1)", keys)
    assert captured == 50 * 4990
