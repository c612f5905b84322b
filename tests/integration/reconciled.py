"""Short ways to plant differences between the books and the processor, and to reconcile them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from payments.settlement import Period, Reconcile, Report
from tests.harness import Stack, a_request, new_key
from workflows.names import TASK_QUEUE

Json = dict[str, Any]
# Everything of a payment, as a backup from before it would have it.
_OF_PAYMENT = (
    "DELETE FROM event_feed WHERE position IN (SELECT position FROM payment_events WHERE payment_id = $1)",
    "DELETE FROM unfed WHERE position IN (SELECT position FROM payment_events WHERE payment_id = $1)",
    "DELETE FROM payment_events WHERE payment_id = $1",
    "DELETE FROM history WHERE payment_id = $1",
    "DELETE FROM unchained WHERE transaction IN (SELECT sequence FROM ledger_transactions WHERE payment_id = $1)",
    "DELETE FROM ledger_chain WHERE transaction IN (SELECT sequence FROM ledger_transactions WHERE payment_id = $1)",
    "DELETE FROM postings WHERE transaction IN (SELECT sequence FROM ledger_transactions WHERE payment_id = $1)",
    "DELETE FROM ledger_transactions WHERE payment_id = $1",
    "DELETE FROM refunds WHERE payment_id = $1",
    "DELETE FROM payments WHERE id = $1",
)


async def reconcile(stack: Stack, start: datetime, end: datetime | None = None, **more: Any) -> Report:
    """By the processor's record, up to this moment."""
    period = Period(start=start, end=end or datetime.now(UTC))
    return await run(stack, Reconcile(period=period, **more), new_key("reconciliation"))


async def run(stack: Stack, asked: Reconcile, id_: str) -> Report:
    client = await stack.temporal()
    return await client.execute_workflow(  # pyright: ignore[reportUnknownMemberType]
        "ReconciliationWorkflow",
        asked,
        id=id_,
        task_queue=TASK_QUEUE,
        result_type=Report,
        run_timeout=timedelta(seconds=90),
    )


async def cases(stack: Stack, **query: str) -> list[Json]:
    reply = await stack.http.get("/v1/reconciliation/cases", params={"limit": "100"} | query)
    assert reply.status_code == 200, reply.text
    return reply.json()["data"]


async def unexplained(stack: Stack) -> dict[str, int]:
    """The metric, by currency; those at zero aren't there."""
    lines = (await stack.http.get("/metrics")).text.splitlines()
    found = [line.rpartition(" ") for line in lines if line.startswith("unexplained_minor_units{")]
    return {name.split('"')[1]: int(float(value)) for name, _, value in found if float(value)}


async def tamper(stack: Stack, *statements: str, of: str | None = None) -> None:
    """Change the books behind their rules."""
    async with stack.database() as db:
        await tamper_with(db, *statements, of=of)


async def tamper_with(db: "asyncpg.Connection[asyncpg.Record]", *statements: str, of: str | None = None) -> None:
    await db.execute("SET session_replication_role = replica")
    for statement in statements:
        await db.execute(statement, *(() if of is None else (of,)))
    await db.execute("SET session_replication_role = origin")


async def lose(stack: Stack, payment_id: str) -> None:
    """The books forget a payment."""
    await tamper(stack, *_OF_PAYMENT, of=payment_id)


async def hold_at_processor(stack: Stack, payment_id: str, key: str, **fields: Any) -> str:
    """A hold that we know nothing of; its reference."""
    body = a_request(payment_id=payment_id) | fields
    reply = await stack.processor.post("/v1/authorizations", json=body, headers={"Idempotency-Key": key})
    assert reply.status_code == 200, reply.text
    return reply.json()["id"]


async def charge_at_processor(stack: Stack, payment_id: str, **fields: Any) -> str:
    """A charge that we know nothing of; its reference."""
    hold = await hold_at_processor(stack, payment_id, new_key("auth"), **fields)
    body = {"payment_id": payment_id, "amount": 4990, "currency": "EUR"} | fields | {"authorization": hold}
    reply = await stack.processor.post("/v1/captures", json=body, headers={"Idempotency-Key": new_key("cap")})
    assert reply.status_code == 200, reply.text
    return reply.json()["id"]
