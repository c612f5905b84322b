"""Workers killed with -9 while payments are paid at once: others decide them within twelve seconds."""

import asyncio
import time

from tests.harness import Stack, new_key
from tests.workflow.test_cancellation import handle_of

# What is promised to who waits at the checkout when a worker dies.
PROMISED_SECONDS = 12


async def test_payments_of_a_killed_worker_are_decided_within_twelve_seconds(own_stack: Stack) -> None:
    keys = [new_key() for _ in range(20)]
    for key in keys:
        # Keeps them in the one local activity, in which nothing is written down in Temporal.
        await own_stack.fault("slow", payment_id=key, operation="capture", seconds=1.5)
    waiting = [asyncio.create_task(own_stack.pay(key, wait=30)) for key in keys]
    await asyncio.gather(*(own_stack.until_journal_has(key, "authorize") for key in keys))
    await own_stack.worker.kill()
    killed = time.monotonic()
    await own_stack.worker.start()
    replies = await asyncio.gather(*waiting)
    assert time.monotonic() - killed <= PROMISED_SECONDS
    assert [reply.json()["status"] for reply in replies] == ["succeeded"] * len(keys)
    for key in keys:
        assert await own_stack.journal_operations(key) == ["authorize", "capture"]
    await own_stack.assert_books_agree(*keys)


async def test_cancellation_after_a_charge_with_which_the_worker_died_comes_too_late(own_stack: Stack) -> None:
    keys = by_api, by_temporal = new_key(), new_key()
    for key in keys:
        await own_stack.fault("timeout_after_execution", payment_id=key, operation="capture")
        assert (await own_stack.pay(key, wait=0)).status_code == 202
    await asyncio.gather(*(own_stack.until_journal_has(key, "capture") for key in keys))
    await own_stack.worker.kill()
    await (await handle_of(own_stack, by_temporal)).cancel()
    canceling = asyncio.create_task(own_stack.cancel(by_api, wait=30))
    # They are there before the next worker, to which it looks as if nothing had been done.
    await asyncio.sleep(0.5)
    await own_stack.worker.start()
    reply = await canceling
    assert (reply.status_code, reply.json()["code"]) == (409, "payment_not_cancelable")
    for key in keys:
        assert (await own_stack.until_decided(key))["status"] == "succeeded"
        assert await own_stack.journal_operations(key) == ["authorize", "capture"]
    await own_stack.assert_books_agree(*keys)
