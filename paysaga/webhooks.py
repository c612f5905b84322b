"""Sending webhooks in the worker process, on a queue of their own, so that endpoints that hang slow no payment."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.webhooks import WebhookActivities
from api.serving import serve
from gateways.http_sender import HttpWebhookSender
from gateways.sending import WebhookSender
from ledger.outbox import Endpoints, Outbox
from ledger.port import LedgerError
from payments.webhooks import ENDPOINTS_MAX, EndpointStatus
from paysaga.services import open_outbox
from paysaga.settings import Settings
from workflows.messages import MessageGuard
from workflows.names import WEBHOOKS_QUEUE
from workflows.webhooks import WebhookWorkflow

# How long an endpoint may be without its workflow: one that was terminated, or added while Temporal was away.
EVERY_SECONDS: Final = 10.0
# What is being sent is cut off after a second and sent again by another worker.
GRACE: Final = timedelta(seconds=2)

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def build_webhook_worker(client: Client, outbox: Outbox, sender: WebhookSender) -> Worker:
    """What sends webhooks. Each endpoint takes one of the activities, and all may come to one worker."""
    return Worker(
        client,
        task_queue=WEBHOOKS_QUEUE,
        workflows=[WebhookWorkflow],
        activities=[WebhookActivities(outbox, sender).deliver],
        interceptors=[MessageGuard()],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_activities=ENDPOINTS_MAX,
        max_concurrent_workflow_tasks=ENDPOINTS_MAX,
        max_cached_workflows=ENDPOINTS_MAX,
        max_concurrent_workflow_task_polls=2,
        max_concurrent_activity_task_polls=2,
        graceful_shutdown_timeout=GRACE,
    )


@asynccontextmanager
async def sending_webhooks(client: Client, settings: Settings) -> AsyncGenerator[None]:
    """As long as the context lasts."""
    sender = HttpWebhookSender(private_addresses=settings.webhooks_to_private_addresses)
    try:
        async with open_outbox(settings) as outbox, build_webhook_worker(client, outbox, sender):
            keeping = asyncio.create_task(_keep_serving(client, outbox))
            try:
                yield
            finally:
                keeping.cancel()
                await asyncio.wait({keeping})
    finally:
        sender.close()


async def _keep_serving(client: Client, endpoints: Endpoints) -> None:
    """See that each endpoint has its workflow, whatever became of the one before."""
    while True:
        try:
            for endpoint in await endpoints.endpoints():
                if endpoint.status is EndpointStatus.ENABLED:
                    await serve(client, endpoint.id)
        except (LedgerError, RPCError, TimeoutError) as error:
            _log.warning("webhooks_wait", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(EVERY_SECONDS)
