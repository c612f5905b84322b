"""The auditor finds nothing in an honest session, and each planted violation by the check that is for it."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from prove.auditor.auditing import audit, connected
from tests.harness import open_stack
from tests.integration.told import Teller, write
from tests.integration.told_session import a_varied_session


@pytest_asyncio.fixture(scope="module")
async def teller(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Teller]:
    async with open_stack(tmp_path_factory.mktemp("shop")) as stack:
        yield await a_varied_session(stack)


async def test_an_honest_session_has_no_violation_and_every_check_has_looked_at_it(
    teller: Teller, tmp_path: Path
) -> None:
    log = write(tmp_path / "told.jsonl", teller.lines)
    async with connected(teller.stack.servers.postgres.dsn) as db:
        found = await audit(db, teller.stack.servers.sandbox.url, log)
    assert found.violations == ()
    assert [check.name for check in found.checks if not check.looked_at] == []
