"""Servers killed with -9 and started again while payments are under way: each is charged once, and the books agree."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.harness import Stack, new_key, open_stack

PAYMENTS = 8


@pytest_asyncio.fixture(scope="module")
async def breakable(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    """A stack whose servers these tests kill and start again."""
    async with open_stack(tmp_path_factory.mktemp("restarts")) as opened:
        yield opened


async def payments_under_way(stack: Stack, operation: str) -> list[str]:
    """Payments spread over this operation: some wait for the processor's slow reply, some are not there yet."""
    keys = [new_key(f"restart-{operation}") for _ in range(PAYMENTS)]
    for number, key in enumerate(keys):
        await stack.fault("slow", payment_id=key, operation=operation, seconds=0.5 * number)
    replies = await asyncio.gather(*(stack.pay_persistently(key, wait=0) for key in keys))
    assert {reply.status_code for reply in replies} <= {201, 202}
    await asyncio.sleep(0.7)
    return keys


async def assert_all_charged_once(stack: Stack, keys: list[str]) -> None:
    decided = await asyncio.gather(*(stack.until_decided(key, 60) for key in keys))
    assert [payment["status"] for payment in decided] == ["succeeded"] * len(keys)
    for key in keys:
        assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(*keys)


async def until_ready(stack: Stack) -> None:
    async with asyncio.timeout(30):
        while (await stack.http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("operation", ["authorize", "capture"])
async def test_postgresql_killed_in_mid_payment(breakable: Stack, operation: str) -> None:
    keys = await payments_under_way(breakable, operation)
    await breakable.servers.postgres.kill()
    await asyncio.sleep(1)
    await breakable.servers.postgres.start()
    await until_ready(breakable)
    await assert_all_charged_once(breakable, keys)


@pytest.mark.parametrize("operation", ["authorize", "capture"])
async def test_temporal_killed_in_mid_payment(breakable: Stack, operation: str) -> None:
    keys = await payments_under_way(breakable, operation)
    await breakable.servers.temporal.kill()
    await asyncio.sleep(1)
    await breakable.servers.temporal.start()
    await until_ready(breakable)
    await assert_all_charged_once(breakable, keys)


async def test_processor_killed_in_mid_payment(breakable: Stack) -> None:
    keys = await payments_under_way(breakable, "capture")
    await breakable.servers.sandbox.kill()
    await asyncio.sleep(1)
    await breakable.servers.sandbox.start()
    await assert_all_charged_once(breakable, keys)


async def test_everything_killed_at_once_in_mid_payment(breakable: Stack) -> None:
    keys = await payments_under_way(breakable, "capture")
    servers = breakable.servers
    everything = [breakable.api, breakable.worker, servers.temporal, servers.postgres, servers.sandbox]
    await asyncio.gather(*(server.kill() for server in everything))
    await asyncio.gather(*(server.start() for server in reversed(everything)))
    await assert_all_charged_once(breakable, keys)
