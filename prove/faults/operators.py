"""People with access to Temporal: they cancel, terminate, reset and delete workflows, and restore old backups."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest, ResetWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from prove.catalogue import Fault, Inject, Lane
from prove.faults.misbehaving import misbehaves, until_true
from prove.faults.webhooks import outcomes, sent
from prove.field import Field
from prove.stack import TEMPORAL

# An operator's deed comes so long after the request: within, between or after the payment's steps, since its
# processor is slow.
MOMENTS: Final = (0.0, 2.0)
SLOW_SECONDS: Final = 1.2
# The shop goes on while the backup gets old.
BACKUP_AGE_SECONDS: Final = 3.0
LATE_SECONDS: Final = 2.5
LOSING_SECONDS: Final = 12.0
RPC_TIMEOUT: Final = timedelta(seconds=3)
PATIENCE_SECONDS: Final = 20.0

Deed = Callable[[Field, str], Awaitable[None]]


async def _cancel(field: Field, key: str) -> None:
    await field.workflow(key).cancel(rpc_timeout=RPC_TIMEOUT)


async def _terminate(field: Field, key: str) -> None:
    await field.workflow(key).terminate("by the campaign", rpc_timeout=RPC_TIMEOUT)


async def _reset(field: Field, key: str) -> None:
    """To its first task."""
    handle = field.workflow(key)
    described = await handle.describe(rpc_timeout=RPC_TIMEOUT)
    events = [event async for event in handle.fetch_history_events(rpc_timeout=RPC_TIMEOUT)]
    done = (e.event_id for e in events if e.HasField("workflow_task_completed_event_attributes"))
    if (first := next(done, None)) is None:
        raise RuntimeError("it has done no task yet")
    request = ResetWorkflowExecutionRequest(
        namespace=field.temporal.namespace,
        workflow_execution=WorkflowExecution(workflow_id=key, run_id=described.run_id),
        workflow_task_finish_event_id=first,
        request_id=str(uuid4()),
        reason="by the campaign",
    )
    await field.temporal.workflow_service.reset_workflow_execution(request, timeout=RPC_TIMEOUT)


def _to_a_payment_under_way(deed: Deed, verb: str) -> Inject:
    async def inject(field: Field, random: Random) -> str | None:
        key, body = field.key(verb), field.body(random)
        for operation in ("authorize", "capture"):
            await field.script("slow", payment_id=key, operation=operation, seconds=SLOW_SECONDS)
        field.ask_on(paying := asyncio.create_task(field.pay(key, body)))
        await asyncio.sleep(random.uniform(*MOMENTS))
        done = await _persistently(deed, field, key)
        await paying
        await field.shop.get(key)
        return f"{verb} {key}" if done else None

    return inject


async def _abandon(field: Field, random: Random) -> str | None:
    """Terminated, and no client ever asks again: only reconciliation can find it."""
    key, body = field.key("abandoned"), field.body(random)
    await field.script("slow", payment_id=key, operation=random.choice(["authorize", "capture"]), seconds=SLOW_SECONDS)
    await field.shop.pay(key, body, wait=0, patience=2)
    await asyncio.sleep(random.uniform(0.2, 1.0))
    field.gone.add(key)
    return f"terminated {key}" if await _persistently(_terminate, field, key) else None


async def _lose(field: Field, random: Random) -> str | None:
    """Terminated with its money under way, and neither a client nor a webhook ever tells of it again."""
    key, operation = field.key("lost"), random.choice(["authorize", "capture"])

    async def is_under_way() -> bool:
        return not await field.left_of_script(key)

    async def is_done() -> bool:
        return any(entry["operation"] == operation for entry in await field.journal(key))

    # Others of the processor's webhooks are lost meanwhile: not for long when this can't be started.
    async with sent(field, "drop"), asyncio.timeout(LOSING_SECONDS):
        # Later than anybody waits for it: a worker that was answered might finish what is terminated.
        await field.script("late_execution", payment_id=key, operation=operation, seconds=LATE_SECONDS)
        await field.shop.pay(key, field.body(random), wait=0, patience=2)
        field.gone.add(key)
        await until_true(is_under_way)
        if not await _persistently(_terminate, field, key):
            return None
        await until_true(is_done)
    events = (await field.ask_processor("GET", f"/events?payment_id={key}"))["data"]
    heard = await outcomes(field, [event["id"] for event in events])
    async with field.database() as db:
        status = await db.fetchval("SELECT status FROM payments WHERE id = $1", key)
    return f"lost {key} after its {operation}" if not heard and status == "processing" else None


async def _refund_terminated(field: Field, random: Random) -> str | None:
    """Terminated while its refund is under way, which nobody asks for again."""
    key, body = field.key("refunding"), field.body(random)
    if (await field.pay(key, body)).json.get("status") != "succeeded":
        return None
    await field.script("slow", payment_id=key, operation="refund", seconds=SLOW_SECONDS)
    await field.shop.refund(key, "refund", wait=0)
    await asyncio.sleep(random.uniform(0.1, 0.8))
    return f"terminated {key}" if await _persistently(_terminate, field, key) else None


async def _delete(field: Field, random: Random) -> str | None:
    """What Temporal does by itself after its retention: the closed workflow is forgotten. The key comes again."""
    key, body = field.key("forgotten"), field.body(random)
    if (await field.pay(key, body)).json.get("status") != "succeeded":
        return None
    handle, deadline = field.workflow(key), asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        with suppress(RPCError):
            described = await handle.describe(rpc_timeout=RPC_TIMEOUT)
            if described.status is not WorkflowExecutionStatus.RUNNING:
                break
        await asyncio.sleep(0.2)

    async def is_forgotten() -> bool:
        try:
            await handle.describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            return error.status is RPCStatusCode.NOT_FOUND
        return False

    request = DeleteWorkflowExecutionRequest(
        namespace=field.temporal.namespace, workflow_execution=WorkflowExecution(workflow_id=key)
    )
    with suppress(RPCError):
        await field.temporal.workflow_service.delete_workflow_execution(request, timeout=RPC_TIMEOUT)
        await until_true(is_forgotten)
        again = await field.shop.pay_until_answered(key, body)
        await field.shop.pay(key, body | {"amount": body["amount"] + 1})
        await field.shop.refund_until_answered(key, "after-it-was-forgotten", body["amount"] // 2)
        return f"deleted {key}, answered {again.status} again"
    return None


async def _restore_old_backup(field: Field, _random: Random) -> str | None:
    """To its end: half restored it would look as if Temporal had died by itself."""
    return await field.stack.to_its_end(_restore(field))


async def _restore(field: Field) -> str | None:
    """Temporal's database as it was some seconds ago: whatever began meanwhile is unknown to it, and what went on is
    done again. Workers are down meanwhile, as docs/deploying.md wants it: they would go on from what they remember."""
    stack, node = field.stack, field.stack.nodes[TEMPORAL]
    backup = stack.data / "temporal-backup"
    async with node.busy:
        await node.server.stop()
        await asyncio.to_thread(_copy, stack.temporal.database, backup)
        since = time.time()
        await node.server.start()
    before = len(field.payments)
    await asyncio.sleep(BACKUP_AGE_SECONDS)
    async with AsyncExitStack() as down:
        for each in (*stack.workers, node):
            await down.enter_async_context(each.busy)
            await each.server.kill()
            stack.deaths.append((time.time(), each.server.name))
        await asyncio.to_thread(_copy, backup / stack.temporal.database.name, stack.data)
        field.shop.told.note("interrupted", payment=None, since=since)
        await node.server.start()
        await asyncio.gather(*(worker.server.start() for worker in stack.workers))
    lost = len(field.payments) - before
    return f"restored a backup from before the last {lost} payments" if lost else None


def _copy(database: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for suffix in ("", "-wal", "-shm"):
        source = database.with_name(database.name + suffix)
        (target / source.name).unlink(missing_ok=True)
        if source.exists():
            shutil.copy2(source, target / source.name)


async def _reconcile_twice(field: Field, _random: Random) -> str | None:
    """Two people reconcile at once, and the schedule does as well."""
    results = await asyncio.gather(*(field.stack.run("reconcile") for _ in range(2)))
    codes = [code for code, _ in results]
    # 1 says that something differs, which is no wonder under faults; 3 that a server is down.
    return f"reconciled twice at once, exit codes {codes}" if set(codes) <= {0, 1} else None


async def _persistently(deed: Deed, field: Field, key: str) -> bool:
    """Until Temporal has taken it; False if it does not, for it's too late or the payment was never started."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS / 4
    while asyncio.get_running_loop().time() < deadline:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS / 4):
                await deed(field, key)
        except (RPCError, RuntimeError, TimeoutError):
            await asyncio.sleep(0.2)
        else:
            return True
        finally:
            # Also of what failed: Temporal may have done it.
            field.shop.told.note("interrupted", payment=key, since=None)
    return False


def _deed(name: str, covers: tuple[str, ...], what: str, inject: Inject) -> Fault:
    return Fault(name, covers, what, "other", Lane.MISBEHAVES, inject)


FAULTS: Final = (
    _deed("workflow-canceled", ("F24",), "an operator cancels a payment under way",
          _to_a_payment_under_way(_cancel, "canceled")),
    _deed("workflow-terminated", ("F02", "F24"), "an operator terminates a payment under way, its client comes back",
          _to_a_payment_under_way(_terminate, "terminated")),
    _deed("workflow-reset", ("F24",), "an operator resets a payment to its first task",
          _to_a_payment_under_way(_reset, "reset")),
    _deed("workflow-terminated-for-good", ("F02", "F24"),
          "a payment is terminated and nobody asks for it again", _abandon),
    misbehaves("payment-lost", ("F02", "F24", "F36"),
          "a payment is terminated, its client is gone and its webhooks never come", _lose),
    _deed("refund-terminated", ("F24", "F32"), "a payment is terminated while it refunds", _refund_terminated),
    _deed("workflow-forgotten", ("F29", "F41"), "Temporal has forgotten a payment and its key is used again", _delete),
    _deed("two-reconcilers", ("F51",), "the schedule and two people reconcile at the same time", _reconcile_twice),
    Fault("temporal-restored", ("F24",), "Temporal's database is restored from an older state", "kill",
          Lane.BREAKS, _restore_old_backup),
)  # fmt: skip
