"""The worker process: runs workflows and activities until it is told to stop, and lets a charge in flight finish."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.options import TRY_TIMEOUT
from activities.payment import PaymentActivities
from activities.reconciling import ReconciliationActivities
from activities.refunding import RefundActivities
from activities.standing import StandingActivities
from activities.undoing import UndoingActivities
from api.runs import TemporalRuns
from gateways.port import PaymentGateway
from ledger.port import Ledger
from paysaga import logs
from paysaga.garbage import collect_seldom
from paysaga.numbering import numbering
from paysaga.schedule import reconciling
from paysaga.services import connect_temporal, open_gateway, open_ledger, open_reconciliations, open_record
from paysaga.settings import Settings
from paysaga.webhooks import sending_webhooks
from workflows.messages import MessageGuard
from workflows.names import TASK_QUEUE
from workflows.payment import PaymentWorkflow
from workflows.reconciliation import ReconciliationWorkflow

# A step in flight may take as long as a try may take, and then be reported.
GRACE: Final = TRY_TIMEOUT + timedelta(seconds=1)
# A workflow's next task goes to the worker that has it in memory; when that one is dead, this long is lost.
STICKY_TIMEOUT: Final = timedelta(seconds=3)
# Almost every task is the first and only one of a new payment. One that finds a poller waiting is handed over without
# being written down and read again, and doesn't wait behind those that came later.
POLLS: Final = 40
NEW_PAYMENTS_RATIO: Final = 0.8
RECONNECT_SECONDS: Final = 0.5


def build_worker(
    client: Client,
    ledger: Ledger,
    gateway: PaymentGateway,
    task_queue: str = TASK_QUEUE,
    reconciliation: ReconciliationActivities | None = None,
) -> Worker:
    """Everything that runs payments, on one task queue, and what compares them with the processor's record."""
    steps = PaymentActivities(gateway, ledger)
    undoing = UndoingActivities(gateway, ledger)
    refunds = RefundActivities(gateway, ledger)
    standing = StandingActivities(gateway, ledger)
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[PaymentWorkflow, ReconciliationWorkflow],
        activities=[
            steps.pay_at_once,
            steps.reserve,
            steps.charge,
            steps.record,
            undoing.release,
            undoing.undo_charge,
            undoing.keep_nothing,
            standing.wake,
            standing.begin_capture,
            standing.hold_has_ended,
            refunds.refund,
            refunds.check_refunds,
            *_of(reconciliation),
        ],
        interceptors=[MessageGuard()],
        # Temporal's sandbox would load the workflow's module anew for each payment: a quarter of a payment's CPU. What
        # it guards against is found in tests/replay, where histories are replayed in it.
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_workflow_task_polls=POLLS,
        nonsticky_to_sticky_poll_ratio=NEW_PAYMENTS_RATIO,
        graceful_shutdown_timeout=GRACE,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
    )


def _of(reconciliation: ReconciliationActivities | None) -> list[Callable[..., Awaitable[object]]]:
    if reconciliation is None:
        return []
    return [
        reconciliation.next_period,
        reconciliation.take_record,
        reconciliation.look_closer,
        reconciliation.heal,
        reconciliation.finish,
    ]


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    logs.configure()
    await work(settings, stop_signal())


def stop_signal() -> asyncio.Event:
    """Set when SIGTERM or SIGINT comes."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def work(settings: Settings, stop: asyncio.Event) -> None:
    """Run payments until told to stop. Waits for Temporal when it is not there yet."""
    client = await _connect(stop)
    if client is None:
        return
    async with (
        open_ledger(settings) as ledger,
        open_gateway(settings) as gateway,
        open_record(settings) as record,
        open_reconciliations(settings) as books,
        build_worker(
            client,
            ledger,
            gateway,
            reconciliation=ReconciliationActivities(record, books, ledger, TemporalRuns(client, settings.quiet_period)),
        ),
        numbering(ledger),
        reconciling(client, settings.reconcile_every),
        sending_webhooks(client, settings),
    ):
        collect_seldom()
        print("worker ready", flush=True)
        await stop.wait()
        print("worker stopping: finishing what is in flight", flush=True)


async def _connect(stop: asyncio.Event) -> Client | None:
    told = False
    while not stop.is_set():
        try:
            return await connect_temporal(lazy=False)
        except (RPCError, RuntimeError) as error:
            if not told:
                print(f"waiting for Temporal: {error}", flush=True)
                told = True
            await asyncio.sleep(RECONNECT_SECONDS)
    return None
