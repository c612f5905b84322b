"""The schedule keeps reconciliation going: each run goes on where the last one ended, whatever was down meanwhile."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from payments.settlement import Reconcile, Report
from paysaga.schedule import SCHEDULE_ID, reconciling
from tests.harness import Stack, new_key, open_stack, running
from tests.integration.reconciled import reconcile, run


@pytest_asyncio.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    async with open_stack(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


async def every(client: Client) -> timedelta | None:
    try:
        described = await client.get_schedule_handle(SCHEDULE_ID).describe()
    except RPCError:
        return None
    return described.schedule.spec.intervals[0].every


async def until_every(client: Client, wanted: timedelta | None) -> None:
    async with asyncio.timeout(20):
        while await every(client) != wanted:
            await asyncio.sleep(0.05)


async def test_worker_sets_the_schedule_and_another_setting_changes_it(shop: Stack) -> None:
    client = await shop.temporal()
    for seconds in ("300", "60"):
        async with running(
            shop.another_worker(f"worker-{seconds}", PAYSAGA_RECONCILE_EVERY_SECONDS=seconds), hurry=True
        ):
            await until_every(client, timedelta(seconds=int(seconds)))
    async with running(shop.another_worker("worker-0", PAYSAGA_RECONCILE_EVERY_SECONDS="0"), hurry=True):
        await until_every(client, None)


async def test_schedule_that_an_operator_has_paused_stays_paused(shop: Stack) -> None:
    client = await shop.temporal()
    async with reconciling(client, timedelta(hours=1)):
        await until_every(client, timedelta(hours=1))
    await client.get_schedule_handle(SCHEDULE_ID).pause(note="by an operator")
    async with reconciling(client, timedelta(hours=2)):
        await until_every(client, timedelta(hours=2))
    described = await client.get_schedule_handle(SCHEDULE_ID).describe()
    assert (described.schedule.state.paused, described.schedule.state.note) == (True, "by an operator")
    async with reconciling(client, timedelta(0)):
        await until_every(client, None)


async def test_scheduled_runs_follow_one_another_without_a_gap(shop: Stack) -> None:
    client = await shop.temporal()
    assert (await shop.pay(new_key())).status_code == 201
    async with reconciling(client, timedelta(seconds=1)):
        async with asyncio.timeout(60):
            while len(reports := await done(client)) < 3:
                await asyncio.sleep(0.2)
    async with reconciling(client, timedelta(0)):
        await until_every(client, None)
    assert all(not report.found for report in reports)
    for earlier, later in pairwise(reports):
        assert later.period.start == earlier.period.end - timedelta(hours=1)
        assert later.period.end > earlier.period.end
    # What happened in the last two minutes is on its way.
    assert reports[-1].period.end < datetime.now(UTC) - timedelta(minutes=2)


async def done(client: Client) -> list[Report]:
    query = "WorkflowType = 'ReconciliationWorkflow' AND ExecutionStatus = 'Completed'"
    names = [each.id async for each in client.list_workflows(query) if each.id.startswith("reconciliation-scheduled")]
    found = [await client.get_workflow_handle(name, result_type=Report).result() for name in names]
    return sorted(found, key=lambda report: report.period.end)


async def test_run_whose_worker_is_killed_ends_with_the_same_report(shop: Stack) -> None:
    start = datetime.now(UTC)
    keys = [new_key() for _ in range(5)]
    for key in keys:
        await shop.pay(key)
    client = await shop.temporal()
    for seconds in (0.0, 0.05, 0.1, 0.2):
        asked = Reconcile(period=(await reconcile(shop, start)).period)
        id_ = new_key("reconciliation")
        going = asyncio.create_task(run(shop, asked, id_))
        await asyncio.sleep(seconds)
        await shop.worker.kill()
        await shop.worker.start()
        report = await going
        assert (report.matched, report.found) == (5, {})
        described = await client.get_workflow_handle(id_).describe()
        assert described.status is WorkflowExecutionStatus.COMPLETED
    async with shop.database() as db:
        assert await db.fetchval("SELECT count(*) FROM settlement_items") == 0


async def test_database_that_restarts_meanwhile_makes_no_differences(shop: Stack) -> None:
    start = datetime.now(UTC)
    await shop.pay(new_key())
    going = asyncio.create_task(reconcile(shop, start))
    await shop.servers.postgres.kill()
    await shop.servers.postgres.start()
    report = await going
    assert (report.matched, report.found) == (1, {})
