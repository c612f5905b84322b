"""Starts the workflow that sends an endpoint its webhooks, and wakes it when the endpoint has changed."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from payments.webhooks import Serve
from workflows import names

# The SDK's client retries by itself for longer.
TEMPORAL_SECONDS: Final = 3.0
# How long Temporal waits for a worker that has taken its task and died with it.
TASK_TIMEOUT: Final = timedelta(seconds=5)

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Serving:
    """What the API tells the senders."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def changed(self, endpoint_id: str) -> None:
        """Best effort: the ledger has what counts, and the workers look after it by themselves."""
        try:
            await serve(self._client, endpoint_id, wake=True)
        # RuntimeError: the client connects when it is first used, and can't.
        except (RPCError, RuntimeError, TimeoutError) as error:
            _log.warning("webhook_endpoint_waits", endpoint=endpoint_id, error=f"{type(error).__name__}: {error}")


async def serve(client: Client, endpoint_id: str, *, wake: bool = False) -> None:
    """See that it runs. Raises `RPCError` and TimeoutError."""
    async with asyncio.timeout(TEMPORAL_SECONDS):
        await client.start_workflow(  # pyright: ignore[reportUnknownMemberType]
            "WebhookWorkflow",
            Serve(endpoint_id=endpoint_id),
            id=names.webhooks_id(endpoint_id),
            task_queue=names.WEBHOOKS_QUEUE,
            task_timeout=TASK_TIMEOUT,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=f"webhooks to {endpoint_id}",
            start_signal=names.WAKE if wake else None,
            start_signal_args=[{}] if wake else [],
        )
