"""Histories of payments, recorded from the real stack, one for each path through the workflow.

`python -m tests.replay.scenarios` records them anew. Do so only with a change of the workflow that needs no patch,
for instance while no payment was ever run by the version before it; otherwise the old ones must stay and replay.
"""

import asyncio
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowExecutionStatus

from payments.messages import Start
from payments.request import PaymentRequest
from tests.harness import Stack, a_request, new_key, open_stack
from tests.integration.reconciled import charge_at_processor, reconcile
from tests.webhook_receiver import OK, answer, receiving
from workflows import names

HISTORIES = Path(__file__).parent / "histories"

# What to ask for, and which fault the processor has, by the name of the path.
SCENARIOS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "paid": ({}, {}),
    "declined": ({"payment_method": "pm_card_chargeDeclined"}, {}),
    "charge_declined": ({"payment_method": "pm_sandbox_captureDeclined"}, {}),
    "outcome_unknown": ({}, {"fault": "reset_after_execution", "operation": "capture"}),
    "hold_conflicted": ({}, {"fault": "wrong_amount", "operation": "authorize"}),
    "charge_conflicted": ({}, {"fault": "wrong_amount", "operation": "capture"}),
    "recording_refused": ({"currency": "XPF"}, {}),
    "canceled": ({}, {"fault": "slow", "operation": "authorize", "seconds": 4}),
    "woken": ({}, {}),
    "captured": ({"capture": "manual"}, {}),
    "given_up": ({"capture": "manual"}, {}),
    "confirmed": ({"payment_method": "pm_card_authenticationRequired"}, {}),
    "confirmed_late": ({"payment_method": "pm_card_authenticationRequired"}, {}),
    "cancel_refused": ({}, {"fault": "slow", "operation": "capture", "seconds": 4}),
}


async def record(stack: Stack, name: str) -> str:
    """The history of one payment, as JSON."""
    fields, fault = SCENARIOS[name]
    key = new_key(name.replace("_", "-"))
    if fault:
        await stack.fault(payment_id=key, **fault)
    waiting = asyncio.create_task(stack.pay(key, wait=30, **fields))
    handle = (await stack.temporal()).get_workflow_handle(key)
    if name.startswith("cancel"):
        await asyncio.sleep(1)
        await handle.cancel()
    payment = (await waiting).json()
    if name == "confirmed":
        await stack.act(payment, "confirm")
        await stack.check(key)
    if name == "confirmed_late":
        assert (await stack.cancel(key)).status_code == 200
        await stack.act(payment, "confirm", late=True)
        await stack.check(key)
        handle = (await stack.temporal()).get_workflow_handle(key)
    if name == "captured":
        assert (await stack.capture(key, "ship-1", amount=3000)).status_code == 200
    if name == "given_up":
        assert (await stack.cancel(key)).status_code == 200
    if name == "woken":
        assert (await stack.refund(key, "return-1", amount=1000)).status_code == 201
        # Another run, under the same ID.
        handle = (await stack.temporal()).get_workflow_handle(key)
    while (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
        await asyncio.sleep(0.05)
    return scrubbed((await handle.fetch_history()).to_json())


def scrubbed(history: str) -> str:
    """Without what names the machine that recorded it; replaying needs none of it."""
    history = re.sub(r'"stackTrace": "(?:[^"\\]|\\.)*"', '"stackTrace": ""', history)
    return re.sub(r'"identity": "[^"]*"', '"identity": "test"', history)


async def record_open(stack: Stack) -> str:
    """One that stays open, is refunded twice by signal and sent nonsense, and is then told to sleep."""
    key, request = new_key("open"), PaymentRequest.model_validate(a_request())
    start = Start(request=request, fingerprint=request.fingerprint(), quiet_seconds=3600)
    handle = await (await stack.temporal()).start_workflow("PaymentWorkflow", start, id=key, task_queue="payments")
    for message in ({"refund_id": "return-1", "amount": 1000}, {"refund_id": "return-2"}, {"refund_id": 3}):
        await handle.signal("request_refund", message)
    while len((await stack.until_decided(key))["refunds"]) < 3:
        await asyncio.sleep(0.05)
    while (await stack.get(key))["status"] != "refunded":
        await asyncio.sleep(0.05)
    await handle.cancel()
    await handle.result()
    return scrubbed((await handle.fetch_history()).to_json())


async def record_webhooks() -> str:
    """An endpoint that is down, sleeps, is woken, is back and is deleted."""
    receiver = receiving(lambda _got, _writer: answer(503))
    with tempfile.TemporaryDirectory() as data:
        settings = {"PAYSAGA_WEBHOOKS_TO_PRIVATE_ADDRESSES": "true"}
        async with receiver as shop, open_stack(Path(data), env=settings) as stack:
            endpoint = (await stack.http.post("/v1/webhook_endpoints", json={"url": shop.url})).json()["id"]
            handle = (await stack.temporal()).get_workflow_handle(names.webhooks_id(endpoint))
            for _ in range(6):
                await stack.pay(new_key())
            # The fifth failure begins the sleep; a probe or two come after it.
            await shop.until(lambda: len(shop.received) > 6)
            await asyncio.sleep(1)
            shop.behave = lambda _got, _writer: OK
            await handle.signal(names.WAKE, {})
            await shop.until(lambda: len({each.id for each in shop.received if each.answered == 200}) == 12)
            await stack.http.delete(f"/v1/webhook_endpoints/{endpoint}")
            await handle.result()
            return scrubbed((await handle.fetch_history()).to_json())


async def record_reconciled(stack: Stack) -> str:
    """A run that has a payment go on whose workflow was terminated, and makes a case of a strange charge."""
    start, key = datetime.now(UTC), new_key("held")
    await stack.pay(key, capture="manual")
    client = await stack.temporal()
    await client.get_workflow_handle(key).terminate()
    await charge_at_processor(stack, new_key("stranger"))
    report = await reconcile(stack, start)
    assert (report.healed, report.new_cases) == (1, 1)
    return scrubbed((await client.get_workflow_handle(report.id).fetch_history()).to_json())


async def main() -> None:
    HISTORIES.mkdir(exist_ok=True)
    (HISTORIES / "webhooks.json").write_text(await record_webhooks() + "\n")
    with tempfile.TemporaryDirectory() as data:
        async with open_stack(Path(data)) as stack:
            await stack.close_account("XPF")
            for name in SCENARIOS:
                (HISTORIES / f"{name}.json").write_text(await record(stack, name) + "\n")
            (HISTORIES / "open.json").write_text(await record_open(stack) + "\n")
            (HISTORIES / "reconciled.json").write_text(await record_reconciled(stack) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
