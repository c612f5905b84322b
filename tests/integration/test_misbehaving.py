"""Every fault of one payment really happens: the campaign counts those that do, and is worth nothing without."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from random import Random
from typing import Final

import aiohttp
import pytest
import pytest_asyncio
from temporalio.client import Client

from prove.catalogue import Fault
from prove.faults import clients, processor, values
from prove.field import Field
from prove.shop import open_shop
from prove.stack import open_stack
from prove.told import Told

SEED: Final = 42
# Each is of payments of its own, and most of them wait for something.
AT_ONCE: Final = 6
FAULTS: Final = (*processor.FAULTS, *clients.FAULTS, *values.FAULTS)


@pytest_asyncio.fixture(scope="module")
async def field(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Field]:
    """A small stack and its clients."""
    data: Path = tmp_path_factory.mktemp("misbehaving")
    told = Told(data / "told.jsonl")
    async with open_stack(data, 1, 1) as stack, open_shop(stack, told, SEED) as shop, aiohttp.ClientSession() as http:
        temporal = await Client.connect(stack.temporal.address)
        yield Field(stack, shop, SEED, temporal, http)
    told.close()


@pytest_asyncio.fixture(scope="module")
async def came_of(field: Field) -> dict[str, str | None]:
    """What came of each fault."""
    several = asyncio.Semaphore(AT_ONCE)

    async def one(fault: Fault) -> str | None:
        async with several:
            return await fault.inject(field, Random(f"{SEED}-{fault.name}"))

    return dict(zip((f.name for f in FAULTS), await asyncio.gather(*map(one, FAULTS)), strict=True))


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS])
async def test_fault_happens(came_of: dict[str, str | None], name: str) -> None:
    assert came_of[name]
