"""Events as the sandbox processor sends them, by the hand of a test, and what became of them."""

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any

import asyncpg
import httpx2

from tests.harness import WEBHOOK_SECRET, Stack, new_key

Json = dict[str, Any]
PATH = "/v1/webhooks/sandbox"


def an_event(payment_id: str, type_: str = "refund.failed", **fields: Any) -> Json:
    """One that nobody has sent yet."""
    data = {"id": "re_1", "payment_id": payment_id, "amount": 4990, "customer": "cus_secret"}
    return {"id": new_key("evt"), "type": type_, "created_at": "2026-11-23T12:00:00.000000Z", "data": data} | fields


def signature(body: bytes, *, at: float | None = None, secret: str = WEBHOOK_SECRET) -> str:
    """As the processor makes it, now unless a test says when."""
    seconds = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


async def post(stack: Stack, body: bytes, *signatures: str, path: str = PATH, **more: Any) -> httpx2.Response:
    """These bytes with these signatures, and without the API key."""
    async with httpx2.AsyncClient(base_url=stack.api.url, timeout=20) as processor:
        headers = [("Content-Type", "application/json"), *(("Sandbox-Signature", each) for each in signatures)]
        return await processor.post(path, content=body, headers=headers, **more)


async def send(stack: Stack, event: Json, **more: Any) -> httpx2.Response:
    """The event, well signed."""
    body = json.dumps(event).encode()
    return await post(stack, body, signature(body, **more))


async def stored(stack: Stack, event: Json) -> list[asyncpg.Record]:
    """Its rows."""
    async with stack.database() as db:
        return await db.fetch("SELECT * FROM webhook_events WHERE id = $1", event["id"])


async def count(stack: Stack) -> int:
    async with stack.database() as db:
        return await db.fetchval("SELECT count(*) FROM webhook_events")


async def outcome(stack: Stack, event: Json, seconds: float = 20) -> str:
    """What became of it, once that is known."""
    async with asyncio.timeout(seconds):
        while True:
            (row,) = await stored(stack, event)
            if row["delivered_at"] is not None:
                return row["outcome"]
            await asyncio.sleep(0.02)


async def told(stack: Stack, key: str) -> list[list[str]]:
    """The events that each signal of the payment's latest run names."""
    history = await (await stack.temporal()).get_workflow_handle(key).fetch_history()
    signals = [event.workflow_execution_signaled_event_attributes for event in history.events]
    return [json.loads(s.input.payloads[0].data)["events"] for s in signals if s.signal_name == "check"]
