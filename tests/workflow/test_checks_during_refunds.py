"""The processor tells that a refund has failed before our own books say that it was made."""

import asyncio

import pytest

from tests.harness import Stack, new_key, open_stack


async def test_failure_that_is_told_before_the_refund_is_written_down_is_not_missed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data, key = tmp_path_factory.mktemp("early"), new_key()
    async with open_stack(data, env={"PAYSAGA_QUIET_PERIOD_SECONDS": "600"}) as stack:
        await stack.pay_persistently(key)
        await stack.fault("refund_fails_later", payment_id=key, operation="refund", seconds=0.1)
        await refunded_while_the_row_is_locked(stack, key)
        async with asyncio.timeout(15):
            while (await stack.get(key))["refunds"][0]["status"] != "failed":
                await asyncio.sleep(0.1)
        payment = await stack.get(key)  # the payment's row and its refunds are two readings
        assert (payment["status"], payment["amount_refundable"]) == ("succeeded", 4990)
        await stack.assert_books_agree(key)


async def refunded_while_the_row_is_locked(stack: Stack, key: str) -> None:
    async with stack.database() as db:
        # Whoever writes the refund's end waits here, as for a database that is slow.
        await db.execute("SELECT pg_advisory_lock(1)")
        await db.execute(_WAITS)
        refunding = asyncio.create_task(stack.refund(key, "r", amount=1000, wait=20))
        await stack.until_journal_has(key, "refund_failed")
        await stack.check(key)
        await asyncio.sleep(1)
        await db.execute("SELECT pg_advisory_unlock(1)")
        assert (await refunding).json()["status"] == "succeeded"
        await db.execute("DROP TRIGGER waits ON refunds")


_WAITS = """
    CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_lock(1);
        PERFORM pg_advisory_unlock(1);
        RETURN NEW;
    END $$;
    CREATE TRIGGER waits BEFORE UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION wait_for_test();
"""
