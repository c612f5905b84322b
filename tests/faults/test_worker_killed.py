"""A worker killed with -9 before and after each side effect of each path: one charge or none, and the books agree."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from paysaga.dev.ports import free_port
from paysaga.dev.process import Child
from paysaga.dev.services import ApiProcess, WorkerProcess, start_program
from tests.faults.crashing_worker import CAPTURED, PAID, REFUNDED, RELEASED, STEPWISE, UNDONE
from tests.harness import Stack, new_key, open_servers, running

CLOSED_CURRENCY = "ISK"
CASES = [
    (f"{path}-{when}-{effect}", expected)
    for path, effects, expected in (
        ("paid", PAID, ("succeeded", ["authorize", "capture"])),
        (STEPWISE, PAID, ("succeeded", ["authorize", "capture"])),
        ("released", RELEASED, ("declined", ["authorize", "void"])),
        ("undone", UNDONE, ("failed", ["authorize", "capture", "refund"])),
        ("captured", CAPTURED, ("succeeded", ["authorize", "capture"])),
        ("refunded", REFUNDED, ("refunded", ["authorize", "capture", "refund"])),
    )
    for effect in effects
    for when in ("before", "after")
]


class CrashingWorker(WorkerProcess):
    """A worker that kills itself."""

    name = "crashing worker"

    async def keep_running(self) -> None:
        """Start it again whenever it has killed itself."""
        while True:
            assert await self.wait() == -9, self.child.output()
            await self.start()

    async def _launch(self) -> Child:
        return await start_program("tests.faults.crashing_worker", log=self.log, env=self.env)

    async def _answers(self) -> bool:
        return True


@pytest_asyncio.fixture(scope="module")
async def payments(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[Stack, dict[str, str]]]:
    """All payments at once, each at its point when the worker is killed; then a new worker takes them over."""
    data = tmp_path_factory.mktemp("crashes")
    (data / "crashed").mkdir()
    async with AsyncExitStack() as exits:
        servers = await exits.enter_async_context(open_servers(data))
        api = ApiProcess(servers.env(), free_port(), log=data / "api.log")
        worker = CrashingWorker(servers.env(CRASHED=str(data / "crashed")), log=data / "worker.log")
        await exits.enter_async_context(running(api, worker))
        stack = Stack(servers, worker, api)
        exits.push_async_callback(stack.close)
        await stack.close_account(CLOSED_CURRENCY)
        keys = {case: new_key(f"crash-{case}") for case, _ in CASES}
        keeper = asyncio.create_task(worker.keep_running())
        await asyncio.gather(*(_start(stack, case, key) for case, key in keys.items()))
        await asyncio.gather(*(stack.until_decided(key, 100) for key in keys.values()))
        keeper.cancel()
        await asyncio.wait({keeper})
        assert len(list((data / "crashed").iterdir())) == len(CASES), "each payment must have killed the worker"
        yield stack, keys


async def _start(stack: Stack, case: str, key: str) -> None:
    fields: dict[str, Any] = {}
    if case.startswith("released"):
        fields = {"payment_method": "pm_sandbox_captureDeclined"}
    if case.startswith(STEPWISE):
        # Ends the try at once.
        await stack.fault("unavailable", payment_id=key, operation="authorize")
    if case.startswith("captured"):
        fields = {"capture": "manual"}
    if case.startswith("undone"):
        fields = {"currency": CLOSED_CURRENCY}
    reply = await stack.pay_persistently(key, wait=1, **fields)
    assert reply.status_code in {201, 202}, reply.text
    if case.startswith("captured"):
        while (reply := await stack.capture(key, "ship", wait=1)).status_code in {202, 409, 503}:
            await asyncio.sleep(1)
        assert (reply.status_code, reply.json()["status"]) == (200, "succeeded")
    if case.startswith("refunded"):
        await stack.until_decided(key, 100)
        reply = await stack.refund_persistently(key, "return", wait=1)
        assert (reply.status_code, reply.json()["status"]) == (201, "succeeded")


@pytest.mark.parametrize(("case", "expected"), CASES, ids=[case for case, _ in CASES])
async def test_payment_ends_as_if_nothing_had_happened_when_the_worker_is_killed(
    payments: tuple[Stack, dict[str, str]], case: str, expected: tuple[str, list[str]]
) -> None:
    stack, keys = payments
    status, operations = expected
    assert (await stack.get(keys[case]))["status"] == status
    assert await stack.journal_operations(keys[case]) == operations
    await stack.assert_books_agree(keys[case])
