"""`paysaga api --with-worker`: one process that serves the API and runs the payments."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from paysaga.dev.ports import free_port
from paysaga.dev.services import ApiProcess, WorkerProcess
from tests.harness import Stack, new_key, open_servers, running


@pytest_asyncio.fixture(scope="module")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    """A stack whose only process of ours is the API."""
    data = tmp_path_factory.mktemp("one-process")
    async with open_servers(data) as servers:
        api = ApiProcess(servers.env(), free_port(), log=data / "api.log", with_worker=True)
        async with running(api):
            stack = Stack(servers, WorkerProcess(servers.env(), log=data / "never-started.log"), api)
            yield stack
            await stack.close()


async def test_payments_are_paid_by_the_process_that_took_them(alone: Stack) -> None:
    keys = [new_key() for _ in range(10)]
    replies = await asyncio.gather(*(alone.pay(key) for key in keys))
    assert [reply.json()["status"] for reply in replies] == ["succeeded"] * 10
    await alone.assert_books_agree(*keys)


async def test_graceful_stop_finishes_the_charge_in_flight(alone: Stack) -> None:
    key = new_key()
    await alone.fault("slow", payment_id=key, operation="capture", seconds=3)
    assert (await alone.pay(key, wait=1)).status_code == 202
    await alone.api.stop()
    assert alone.api.child.exit_code == 0, alone.api.child.output()
    assert await alone.journal_operations(key) == ["authorize", "capture"]
    await alone.api.start()
    assert (await alone.until_decided(key))["status"] == "succeeded"
    await alone.assert_books_agree(key)


async def test_payments_under_way_when_it_is_killed_are_charged_once(alone: Stack) -> None:
    keys = [new_key() for _ in range(6)]
    for key in keys:
        await alone.fault("slow", payment_id=key, operation="capture", seconds=1)
    assert {(await alone.pay(key, wait=0)).status_code for key in keys} == {202}
    await asyncio.gather(*(alone.until_journal_has(key, "authorize") for key in keys))
    await alone.api.kill()
    await alone.api.start()
    for key in keys:
        assert (await alone.until_decided(key))["status"] == "succeeded"
        assert await alone.journal_operations(key) == ["authorize", "capture"]
    await alone.assert_books_agree(*keys)
