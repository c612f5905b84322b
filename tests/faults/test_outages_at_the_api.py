"""PostgreSQL, Temporal or the worker is away: the API says so within three seconds, and nothing is half done."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from paysaga.dev.http import get_status
from paysaga.dev.ports import free_ports
from paysaga.dev.process import Server
from paysaga.dev.services import ApiProcess
from prove.faults.processes import frozen
from tests.harness import Stack, new_key, open_stack
from tests.refusals import assert_nothing_of, assert_problem, pointers

SECONDS = 3.0


@pytest.fixture(scope="module")
async def broken(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    """A stack for this module: each test breaks something and mends it."""
    async with open_stack(tmp_path_factory.mktemp("outages")) as opened:
        yield opened


@asynccontextmanager
async def stopped(*servers: Server) -> AsyncGenerator[None]:
    for server in servers:
        await server.hurry()
    try:
        yield
    finally:
        for server in reversed(servers):
            await server.start()


async def assert_unavailable(request: Awaitable[httpx2.Response], code: str) -> None:
    began = time.monotonic()
    reply = await request
    assert time.monotonic() - began < SECONDS
    assert_problem(reply, 503, code, "127.0.0.1", "password", "Connection")
    assert int(reply.headers["Retry-After"]) >= 1
    assert "Idempotent-Replayed" not in reply.headers


async def assert_not_ready(stack: Stack, **missing: str) -> None:
    began = time.monotonic()
    reply = await stack.http.get("/readyz")
    assert time.monotonic() - began < SECONDS
    assert reply.status_code == 503
    assert reply.json() == {"status": "unavailable", "database": "ok", "temporal": "ok"} | missing
    assert (await stack.http.get("/livez")).status_code == 200


async def assert_pays_once(stack: Stack, key: str, **fields: Any) -> None:
    reply = await stack.pay(key, wait=30, **fields)
    assert (reply.status_code, reply.json()["status"]) == (201, "succeeded"), reply.text
    assert await stack.journal_operations(key) == ["authorize", "capture"]
    await stack.assert_books_agree(key)


async def test_without_postgres_nothing_is_started_and_the_key_pays_afterwards(broken: Stack) -> None:
    key, paid = new_key("no-database"), new_key("paid")
    await broken.pay(paid)
    async with stopped(broken.servers.postgres):
        await assert_unavailable(broken.pay(key), "database_unavailable")
        await assert_unavailable(broken.pay(key, wait=30), "database_unavailable")
        await assert_unavailable(broken.pay(paid), "database_unavailable")
        await assert_unavailable(broken.http.get(f"/v1/payments/{paid}"), "database_unavailable")
        await assert_unavailable(broken.http.get(f"/v1/payments/{paid}/timeline"), "database_unavailable")
        await assert_unavailable(broken.http.get(f"/v1/payments/{key}"), "database_unavailable")
        await assert_not_ready(broken, database="unavailable")
    await assert_nothing_of(broken, key)
    await assert_pays_once(broken, key)
    assert (await broken.pay(paid)).headers["Idempotent-Replayed"] == "true"


async def test_bad_request_is_refused_as_ever_without_postgres_and_temporal(broken: Stack) -> None:
    async with stopped(broken.servers.postgres, broken.servers.temporal):
        assert_problem(await broken.pay(new_key(), amount=0), 422, "validation_failed")
        await assert_unavailable(broken.pay(new_key()), "database_unavailable")
        await assert_not_ready(broken, database="unavailable", temporal="unavailable")


async def test_without_temporal_decided_payments_are_answered_and_new_ones_pay_afterwards(broken: Stack) -> None:
    key, paid = new_key("no-temporal"), new_key("paid")
    first = await broken.pay(paid)
    async with stopped(broken.servers.temporal):
        await asyncio.gather(
            *(assert_unavailable(broken.pay(key, wait=wait), "temporal_unavailable") for wait in (0, None, 30))
        )
        await assert_unavailable(broken.http.get(f"/v1/payments/{key}"), "temporal_unavailable")
        await assert_unavailable(broken.http.get(f"/v1/payments/{key}/timeline"), "temporal_unavailable")
        assert (await broken.http.get(f"/v1/payments/{paid}/timeline")).status_code == 200
        replay = await broken.pay(paid)
        assert (replay.status_code, replay.content) == (201, first.content)
        assert replay.headers["Idempotent-Replayed"] == "true"
        assert await broken.get(paid) == first.json()
        assert_problem(await broken.pay(paid, amount=1), 422, "idempotency_key_reused")
        await assert_not_ready(broken, temporal="unavailable")
        assert await broken.journal(key) == []
    await assert_pays_once(broken, key)


async def test_temporal_that_hangs_is_unavailable_and_the_key_pays_once_afterwards(broken: Stack) -> None:
    key = new_key("frozen")
    await broken.pay(new_key())
    async with frozen(broken.servers.temporal):
        await asyncio.gather(
            assert_unavailable(broken.pay(key, wait=30), "temporal_unavailable"),
            assert_unavailable(broken.http.get(f"/v1/payments/{key}"), "temporal_unavailable"),
            assert_not_ready(broken, temporal="unavailable"),
        )
    await assert_pays_once(broken, key)


async def test_postgres_that_hangs_is_unavailable_and_the_key_pays_once_afterwards(broken: Stack) -> None:
    key = new_key("frozen")
    await broken.pay(new_key())
    async with frozen(broken.servers.postgres):
        # More often than there are connections: each that hangs must be given up.
        await asyncio.gather(
            *(assert_unavailable(broken.pay(key, wait=wait), "database_unavailable") for wait in range(12))
        )
        await asyncio.gather(
            assert_unavailable(broken.http.get(f"/v1/payments/{key}"), "database_unavailable"),
            assert_not_ready(broken, database="unavailable"),
        )
    await assert_nothing_of(broken, key)
    await assert_pays_once(broken, key)


class LiveApi(ApiProcess):
    """An API that counts as started as soon as it lives."""

    async def _answers(self) -> bool:
        return await get_status(f"{self.url}/livez") == 200


async def test_api_started_while_everything_is_down_serves_once_it_is_up(broken: Stack) -> None:
    key = new_key("early")
    api = LiveApi(broken.servers.env(), free_ports(1)[0], log=broken.servers.data / "early-api.log")
    authorization = {"Authorization": broken.http.headers["Authorization"]}
    async with httpx2.AsyncClient(base_url=api.url, headers=authorization) as http:
        early = Stack(broken.servers, broken.worker, api)
        try:
            # The worker is started anew, too: one that lost Temporal takes seconds to try again.
            async with stopped(broken.worker, broken.servers.postgres, broken.servers.temporal):
                await api.start()
                await assert_not_ready(early, database="unavailable", temporal="unavailable")
                await assert_unavailable(early.pay(key), "database_unavailable")
            assert (await http.get("/readyz")).status_code == 200
            await assert_pays_once(early, key)
        finally:
            await early.close()
            await api.stop()


async def test_without_a_worker_payments_wait_and_are_charged_once_when_it_is_back(broken: Stack) -> None:
    key = new_key("no-worker")
    async with stopped(broken.worker):
        accepted = await broken.pay(key, wait=1, customer="cus_secret")
        assert (accepted.status_code, accepted.json()["status"]) == (202, "processing")
        assert (await broken.pay(key, wait=0, customer="cus_secret")).status_code == 202
        found = await broken.get(key)
        assert (found["status"], found["customer"]) == ("processing", "cus_secret")
        problem = assert_problem(
            await broken.pay(key, wait=1, customer="cus_other"), 422, "idempotency_key_reused", "cus_secret"
        )
        assert pointers(problem) == ["/customer"]
        assert await broken.journal(key) == []
    assert (await broken.until_decided(key))["status"] == "succeeded"
    await assert_pays_once(broken, key, customer="cus_secret")
