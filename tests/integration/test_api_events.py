"""`GET /v1/events`: whoever keeps the last number misses nothing."""

import asyncio
from typing import Any

import pytest

from tests.harness import Stack, new_key
from tests.refusals import assert_problem, pointers
from tests.timelines import timeline


async def feed(stack: Stack, after: int = 0, **parameters: Any) -> dict[str, Any]:
    reply = await stack.http.get("/v1/events", params={"after": after} | parameters)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def newest(stack: Stack) -> int:
    after = -1
    while (answer := await feed(stack, max(after, 0), limit=1000))["next_after"] != after:
        after = answer["next_after"]
    return after


async def until(stack: Stack, after: int, key: str, count: int) -> list[dict[str, Any]]:
    """So many events of one payment that came after."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while len([event for event in found if event["payment_id"] == key]) < count:
            answer = await feed(stack, after, limit=50)
            assert [event["sequence"] for event in answer["data"]] == list(
                range(after + 1, after + 1 + len(answer["data"]))
            )
            after = answer["next_after"]
            found += answer["data"]
    return [event for event in found if event["payment_id"] == key]


async def test_payments_events_come_in_their_order_and_without_gaps(stack: Stack) -> None:
    after, key = await newest(stack), new_key()
    await stack.pay(key)
    await stack.refund(key, "r", amount=10)
    events = await until(stack, after, key, 5)
    assert [event["type"] for event in events] == [
        "payment.created",
        "payment.succeeded",
        "refund.created",
        "refund.succeeded",
        "payment.partially_refunded",
    ]
    told = await timeline(stack, key)
    assert [{k: v for k, v in e.items() if k not in {"sequence", "payment_id"}} for e in events] == told


async def test_what_somebody_has_just_done_is_there_when_they_ask(stack: Stack) -> None:
    after, key = await newest(stack), new_key()
    await stack.pay(key)
    assert (await until(stack, after, key, 2))[-1]["type"] == "payment.succeeded"


async def test_end_of_the_feed_is_an_empty_part_that_says_where_to_go_on(stack: Stack) -> None:
    last = 2**63 - 1
    assert await feed(stack, last) == {"data": [], "next_after": last}


@pytest.mark.parametrize(
    "query", ["after=-1", "after=9223372036854775808", "after=x", "limit=0", "limit=1001", "since=1"]
)
async def test_parameter_is_refused_by_name(stack: Stack, query: str) -> None:
    reply = await stack.http.get(f"/v1/events?{query}")
    assert pointers(assert_problem(reply, 422, "validation_failed")) == [f"/query/{query.partition('=')[0]}"]


async def test_feed_is_for_whoever_has_the_key(stack: Stack) -> None:
    reply = await stack.http.get("/v1/events", headers={"Authorization": "Bearer sk_test_wrong_key_000001"})
    assert_problem(reply, 401, "unauthenticated")
