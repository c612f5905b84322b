"""Whoever is cut off in a campaign is not forgotten: neither a client nor a process."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from random import Random
from typing import Any, cast

import aiohttp
import pytest

from prove.field import Field
from prove.load import CUSTOMERS_AT_ONCE, Load
from prove.shop import Reply, Shop
from prove.stack import Stack
from prove.told import Told

SOON = 0.05


class ASilentShop(Shop):
    """Its requests have no answer until there is a status."""

    def __init__(self, told: Told) -> None:
        super().__init__(cast("Stack", None), told, cast("aiohttp.ClientSession", None), Random(1))
        self.status: int | None = None
        self.sent: list[tuple[str, str, Any]] = []

    async def send(self, call: str, path: str, **request: Any) -> Reply:
        self.sent.append((call, path, request.get("body")))
        return Reply(self.status, retry_after=0.01)


class AQueue(Load):
    """Customers keep their places until they are let go."""

    def __init__(self, payments: int) -> None:
        super().__init__(cast("Field", None), payments, 0.01)
        self.go = asyncio.Event()

    async def _customer(self, number: int) -> None:
        await self.go.wait()
        self._places.release()


ASKS: dict[str, Callable[[Shop], Awaitable[Reply]]] = {
    "refund": lambda shop: shop.refund_until_answered("p", "r", 5),
    "capture": lambda shop: shop.capture_until_answered("p", "ship", 5),
    "cancel": lambda shop: shop.cancel_until_answered("p"),
    "get": lambda shop: shop.get_until_answered("p"),
}


@pytest.fixture
def shop(tmp_path: Path) -> Generator[ASilentShop]:
    told = Told(tmp_path / "told.jsonl")
    yield ASilentShop(told)
    told.close()


@pytest.mark.parametrize("call", ASKS)
async def test_client_who_is_cut_off_asks_the_same_again_in_the_end(shop: ASilentShop, call: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            await ASKS[call](shop)
    assert len(shop.waiting) == 1
    before = len(shop.sent)
    shop.status = 200
    await shop.answer_who_waits()
    assert shop.sent[before:] == shop.sent[:1]
    assert shop.waiting == {}


async def test_client_who_was_answered_does_not_ask_again(shop: ASilentShop) -> None:
    shop.status = 409
    await shop.refund_until_answered("p", "r")
    await shop.answer_who_waits()
    assert len(shop.sent) == 1


async def test_what_has_been_taken_down_comes_up_though_nobody_waits_for_it(tmp_path: Path) -> None:
    stack, is_up = Stack(tmp_path), asyncio.Event()

    async def restarted() -> str:
        await asyncio.sleep(SOON * 2)
        is_up.set()
        return "restarted"

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stack.to_its_end(restarted()), SOON)
    assert not is_up.is_set()
    await stack.all_is_up()
    assert is_up.is_set()


async def test_customers_who_have_not_come_yet_are_waited_for_as_long_as_some_come() -> None:
    queue = AQueue(CUSTOMERS_AT_ONCE * 2)
    queue.enough.set()
    coming = asyncio.create_task(queue.run())
    with pytest.raises(TimeoutError):
        await queue.until_all_have_come(SOON * 2)
    assert queue.begun == CUSTOMERS_AT_ONCE
    queue.go.set()
    await queue.until_all_have_come(SOON * 20)
    assert queue.begun == CUSTOMERS_AT_ONCE * 2
    await coming
