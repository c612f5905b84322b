"""Servers are started once for each test process; a test that breaks them starts a stack of its own."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from paysaga.dev.ports import free_ports
from paysaga.dev.services import ApiProcess, WorkerProcess
from tests.harness import Servers, Stack, open_servers, open_stack, running

# Those that take longest first: the process that began one of them last would keep the others waiting. Integration
# before workflow: the former looks for card numbers in what is stored, the latter signals one, which Temporal keeps.
_FIRST = ("campaign", "e2e", "faults", "integration", "workflow", "replay")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests into the order in which they are given out, whole files at a time."""
    items.sort(key=lambda item: _FIRST.index(item.path.parent.name) if item.path.parent.name in _FIRST else len(_FIRST))


@pytest_asyncio.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Servers]:
    """PostgreSQL (migrated), Temporal and the sandbox processor."""
    async with open_servers(tmp_path_factory.mktemp("servers")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session")
async def stack(servers: Servers) -> AsyncGenerator[Stack]:
    """The servers with a worker and an API. Tests share it: each uses keys of its own and breaks nothing."""
    worker = WorkerProcess(servers.env(), log=servers.data / "worker.log")
    api = ApiProcess(servers.env(), free_ports(1)[0], log=servers.data / "api.log")
    async with running(worker, api, hurry=True):
        shared = Stack(servers, worker, api)
        yield shared
        await shared.close()


@pytest_asyncio.fixture
async def own_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    """A stack that a test may break."""
    async with open_stack(tmp_path_factory.mktemp("stack")) as opened:
        yield opened
