"""Every fault of one payment really happens: the campaign counts those that do, and is worth nothing without."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from random import Random
from typing import Final

import aiohttp
import pytest
import pytest_asyncio
from temporalio.client import Client

from prove.catalogue import Fault
from prove.faults import bad_requests, clients, lies, processor, signals, values, webhooks
from prove.field import Field
from prove.shop import open_shop
from prove.stack import open_stack
from prove.told import Told

SEED: Final = 42
_COUNTED: Final = "SELECT (SELECT count(*) FROM payments) || ' ' || (SELECT count(*) FROM refunds)"
# Each is of payments of its own, and most of them wait for something.
AT_ONCE: Final = 6
FILES: Final = (processor, clients, values, bad_requests, signals, lies)
FAULTS: Final = (*(fault for file in FILES for fault in file.FAULTS), *webhooks.FAULTS)


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

    # Some of these concern all webhooks of the processor.
    webhooks_at_once = asyncio.Semaphore(1)

    async def one(fault: Fault) -> str | None:
        async with webhooks_at_once if fault in webhooks.FAULTS else several:
            return await fault.inject(field, Random(f"{SEED}-{fault.name}"))

    return dict(zip((f.name for f in FAULTS), await asyncio.gather(*map(one, FAULTS)), strict=True))


async def test_bad_requests_leave_the_books_as_they_are(field: Field, came_of: dict[str, str | None]) -> None:
    assert len(came_of) == len(FAULTS)
    async with field.database() as db:
        before = await db.fetchval(_COUNTED)
        await bad_requests.refuse_all(field)
        assert await db.fetchval(_COUNTED) == before


async def test_what_must_be_refused_was_refused(field: Field, came_of: dict[str, str | None]) -> None:
    assert len(came_of) == len(FAULTS)
    field.shop.told.flush()
    lines = [json.loads(line) for line in field.shop.told.path.read_text().splitlines()]
    bad = [line for line in lines if line["kind"] == "answer" and line["call"] == "bad" and line["status"] is not None]
    assert len(bad) > 100
    assert [line for line in bad if line["status"] not in line["expected"]] == []


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS])
async def test_fault_happens(came_of: dict[str, str | None], name: str) -> None:
    assert came_of[name]
