"""Webhooks while everything that they need is killed: each event arrives, and each payment's in their order."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.harness import Stack, new_key, open_stack
from tests.webhook_receiver import OK, Received, Receiver, receiving

BOTH = ["payment.created", "payment.succeeded"]
PAYMENTS = 12


async def restart_postgresql(stack: Stack) -> None:
    await stack.servers.postgres.kill()
    await stack.servers.postgres.start()


async def restart_temporal(stack: Stack) -> None:
    await stack.servers.temporal.kill()
    await asyncio.sleep(2)
    await stack.servers.temporal.start()


async def restart_worker(stack: Stack) -> None:
    await stack.worker.kill()
    await stack.worker.start()


async def stop_worker(stack: Stack) -> None:
    await stack.worker.stop()
    assert stack.worker.child.exit_code == 0, stack.worker.child.output()
    await stack.worker.start()


@pytest_asyncio.fixture(scope="module")
async def shop(tmp_path_factory: Any) -> AsyncGenerator[Stack]:
    settings = {"PAYSAGA_WEBHOOKS_TO_PRIVATE_ADDRESSES": "true"}
    async with open_stack(tmp_path_factory.mktemp("webhooks-out"), env=settings) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module")
async def receiver() -> AsyncGenerator[Receiver]:
    async def slow(got: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        got.answered = 200
        writer.write(OK)
        await writer.drain()

    async with receiving(slow) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module")
async def endpoint(shop: Stack, receiver: Receiver) -> str:
    reply = await shop.http.post("/v1/webhook_endpoints", json={"url": receiver.url})
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]


@pytest.mark.parametrize("trouble", [restart_postgresql, restart_temporal, restart_worker, stop_worker])
async def test_nothing_is_lost_and_no_order_changed(
    shop: Stack, receiver: Receiver, endpoint: str, trouble: Callable[[Stack], Awaitable[None]]
) -> None:
    keys = [new_key("told") for _ in range(PAYMENTS)]
    await asyncio.gather(*(shop.pay_persistently(key) for key in keys))
    await receiver.until(lambda: any(receiver.of(key) for key in keys))
    await trouble(shop)
    await receiver.until(lambda: all(BOTH[1] in receiver.taken(key) for key in keys), seconds=80)
    for key in keys:
        assert list(dict.fromkeys(receiver.taken(key))) == BOTH
    async with asyncio.timeout(30):
        while (await shop.http.get(f"/v1/webhook_endpoints/{endpoint}/deliveries?status=pending")).json()["data"]:
            await asyncio.sleep(0.1)
