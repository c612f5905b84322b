"""Refunds asked for by signal, from the Web UI, the `temporal` program or any SDK; and whatever else is sent so."""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from paysaga.dev.process import clean_environment
from paysaga.dev.temporal import binary
from tests.harness import Servers, Stack, new_key, running


@pytest_asyncio.fixture(scope="module")
async def shop(stack: Stack, servers: Servers) -> AsyncGenerator[Stack]:
    """Payments stay open once they are charged."""
    api = stack.another_api("open-api", PAYSAGA_QUIET_PERIOD_SECONDS="3600")
    async with running(api):
        opened = Stack(servers, stack.worker, api)
        yield opened
        await opened.close()


async def paid(shop: Stack, **fields: Any) -> tuple[str, WorkflowHandle[Any, Any]]:
    key = new_key()
    assert (await shop.pay(key, **fields)).json()["status"] == "succeeded"
    return key, (await shop.temporal()).get_workflow_handle(key)


async def until(shop: Stack, key: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while not condition(payment := await shop.get(key)):
            await asyncio.sleep(0.05)
    return payment


async def temporal(shop: Stack, *arguments: str) -> str:
    """The `temporal` program, as people use it."""
    process = await asyncio.create_subprocess_exec(
        str(binary()),
        *arguments,
        "--address",
        shop.servers.temporal.address,
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_signal_refunds_once_however_often_it_is_sent(shop: Stack) -> None:
    key, handle = await paid(shop)
    for _ in range(3):
        await handle.signal("request_refund", {"refund_id": "s-1", "amount": 1000, "reason": "damaged"})
    payment = await until(shop, key, lambda p: p["status"] == "partially_refunded")
    assert [(r["id"], r["amount"], r["status"], r["reason"]) for r in payment["refunds"]] == [
        ("s-1", 1000, "succeeded", "damaged")
    ]
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund"]
    await shop.assert_books_agree(key)


async def test_signal_and_http_of_one_refund_id_are_one_refund(shop: Stack) -> None:
    key, handle = await paid(shop)
    body = {"amount": 1000}
    signal = asyncio.create_task(handle.signal("request_refund", {"refund_id": "both"} | body))
    replies = await asyncio.gather(*(shop.refund(key, "both", **body) for _ in range(3)))
    await signal
    assert [reply.status_code for reply in replies] == [201] * 3
    await until(shop, key, lambda p: p["amount_refunded"] == 1000)
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund"]


async def test_second_signal_with_another_amount_under_one_id_changes_nothing(shop: Stack) -> None:
    key, handle = await paid(shop)
    await handle.signal("request_refund", {"refund_id": "s", "amount": 1000})
    await handle.signal("request_refund", {"refund_id": "s", "amount": 2000})
    await handle.signal("request_refund", {"refund_id": "after"} | {"amount": 1})
    payment = await until(shop, key, lambda p: p["amount_refunded"] == 1001)
    assert {r["id"]: r["amount"] for r in payment["refunds"]} == {"s": 1000, "after": 1}


async def test_excessive_signal_is_a_refused_refund_that_people_can_see(shop: Stack) -> None:
    key, handle = await paid(shop)
    await handle.signal("request_refund", {"refund_id": "too-much", "amount": 5000})
    payment = await until(shop, key, lambda p: bool(p["refunds"]))
    assert (payment["status"], payment["amount_refundable"]) == ("succeeded", 4990)
    assert [(r["status"], r["failure"]["code"]) for r in payment["refunds"]] == [
        ("failed", "refund_exceeds_refundable")
    ]
    shown = await handle.query("__temporal_workflow_metadata")
    assert "EUR 50.00 is more than the EUR 49.90 left" in shown.current_details


NONSENSE: list[Any] = [
    {},
    {"refund_id": None},
    {"refund_id": 1},
    {"refund_id": ""},
    {"refund_id": "a/b"},
    {"refund_id": "x" * 5000},
    {"refund_id": "r", "amount": "1"},
    {"refund_id": "r", "amount": 0},
    {"refund_id": "r", "amount": -1},
    {"refund_id": "r", "amount": 1.5},
    {"refund_id": "r", "amount": True},
    {"refund_id": "r", "amount": 10**30},
    {"refund_id": "r", "amount": []},
    {"refund_id": "r", "reason": 1},
    {"refund_id": "r", "reason": "a\u0000b"},
    RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b'{"refund_id": "r", "reason": "\\ud800"}')),
    RawValue(Payload(metadata={"encoding": b"binary/plain"}, data=b"\xff\x00")),
    {"refund_id": "r", "currency": "USD"},
    {"refund_id": "r", "ammount": 100},
    {"refund_id": "r", "reason": "4242424242424242"},
    {"refund_id": "4242424242424242"},
    "refund",
    7,
    None,
    [1],
]


async def test_nonsense_by_signal_leaves_the_payment_alone_and_shows_as_refused(shop: Stack) -> None:
    key, handle = await paid(shop)
    for nonsense in NONSENSE:
        await handle.signal("request_refund", nonsense)
        await handle.signal("request_refund", nonsense)
    await handle.signal("request_refund", args=[])
    await handle.signal("request_refund", args=[{"refund_id": "r"}, 2])
    await handle.signal("no_such_signal", {"refund_id": "r"})
    await handle.signal("request_refund", {"refund_id": "good", "amount": 90})
    payment = await until(shop, key, lambda p: p["amount_refunded"] == 90 and len(p["refunds"]) == len(NONSENSE) + 3)
    refused = [r for r in payment["refunds"] if r["id"] != "good"]
    assert {(r["status"], r["failure"]["code"], r["amount"]) for r in refused} == {("failed", "malformed", 0)}
    assert "42424242" not in json.dumps(payment)
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund"]
    # Nonsense has taken nothing: the id that it came with is free.
    assert (await shop.refund(key, "r", amount=1)).status_code == 201
    await shop.assert_books_agree(key)


@pytest.mark.parametrize("nonsense", [[], [{}], [{"refund_id": "r", "amount": 0}], [{"refund_id": "r"}, 1], [1]])
async def test_nonsense_by_update_is_refused_before_it_is_stored(shop: Stack, nonsense: list[Any]) -> None:
    key, handle = await paid(shop)
    with pytest.raises(WorkflowUpdateFailedError) as refusal:
        await handle.execute_update(  # pyright: ignore[reportUnknownMemberType]
            "request_refund", args=nonsense, id=secrets.token_hex(4)
        )
    assert isinstance(refusal.value.cause, ApplicationError)
    assert refusal.value.cause.type == "Malformed"
    assert (await shop.get(key))["refunds"] == []


async def test_support_refunds_with_the_temporal_program(shop: Stack) -> None:
    key, _ = await paid(shop)
    signal = ("workflow", "signal", "--workflow-id", key, "--name")
    await temporal(shop, *signal, "request_refund", "--input", '{"refund_id": "cli", "amount": 990}')
    await temporal(shop, *signal, "request_refund")
    await temporal(shop, *signal, "request_refund", "--input", '{"refund_id": "a"}', "--input", "2")
    await temporal(shop, *signal, "request_refund", "--input", '"nonsense"')
    await temporal(shop, *signal, "whatever", "--input", "{}")
    payment = await until(shop, key, lambda p: len(p["refunds"]) == 4 and p["amount_refunded"] == 990)
    assert sorted(r["status"] for r in payment["refunds"]) == ["failed", "failed", "failed", "succeeded"]
    await shop.assert_books_agree(key)


@pytest.mark.parametrize("signals", [1000, pytest.param(5000, marks=pytest.mark.benchmarks)])
async def test_flood_of_signals_leaves_a_payment_that_still_refunds(shop: Stack, signals: int) -> None:
    """Of each sort many: nonsense, too much, one id again and again. The history stays far below Temporal's limits."""
    key, handle = await paid(shop)

    async def flood(numbers: range) -> None:
        for n in numbers:
            kind = n % 3
            body = [{"nonsense": n}, {"refund_id": f"big-{n}", "amount": 999_999}, {"refund_id": "one", "amount": 5}]
            await handle.signal("request_refund", body[kind])

    # When its history has grown long it sleeps, and tells whoever signals it so.
    floods = await asyncio.gather(*(flood(range(start, signals, 16)) for start in range(16)), return_exceptions=True)
    for error in floods:
        assert error is None or (isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND)
    reply = await shop.refund_persistently(key, "last", amount=100)
    assert (reply.status_code, reply.json()["status"]) == (201, "succeeded")
    payment = await until(shop, key, lambda p: p["amount_refunded"] == 105)
    refused = [r for r in payment["refunds"] if r["status"] == "failed"]
    assert len(refused) == 50
    assert await shop.journal_operations(key) == ["authorize", "capture", "refund", "refund"]
    await shop.assert_books_agree(key)


async def test_temporals_cancel_of_an_open_payment_only_makes_it_sleep(shop: Stack) -> None:
    key, handle = await paid(shop)
    await handle.cancel()
    async with asyncio.timeout(20):
        await handle.result()
    assert (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED
    assert (await shop.get(key))["status"] == "succeeded"
    assert (await shop.refund(key, "later", amount=10)).status_code == 201
    await shop.assert_books_agree(key)
