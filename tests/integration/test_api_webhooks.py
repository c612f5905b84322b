"""`POST /v1/webhooks/sandbox`: what the processor has signed is stored once, then answered; all else is refused."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, TypeAlias

import pytest
import pytest_asyncio

from api.webhooks import BODY_BYTES_MAX
from tests import webhooks
from tests.harness import WEBHOOK_SECRET, Servers, Stack, new_key, running
from tests.refusals import assert_problem
from tests.webhooks import PATH, Json, an_event, count, outcome, post, send, signature, stored

OLD_SECRET = "whsec_fedcba9876543210"


@pytest_asyncio.fixture(scope="module")
async def shop(stack: Stack, servers: Servers) -> AsyncGenerator[Stack]:
    """An API whose secret is being replaced."""
    api = stack.another_api("webhooks-api", PAYSAGA_WEBHOOK_SECRET=f"{WEBHOOK_SECRET}, {OLD_SECRET}")
    async with running(api):
        opened = Stack(servers, stack.worker, api)
        yield opened
        await opened.close()


async def test_event_is_stored_before_it_is_answered_and_without_its_body(shop: Stack) -> None:
    event = an_event(new_key())
    reply = await send(shop, event)
    (row,) = await stored(shop, event)
    assert (reply.status_code, reply.json()) == (200, {"received": True})
    kept = {"processor": "sandbox", "id": event["id"], "type": "refund.failed", "concerns": "refund"}
    assert kept.items() <= dict(row).items()
    assert row["payment_id"] == event["data"]["payment_id"]
    assert "cus_secret" not in str(row)


@pytest.mark.parametrize("authorization", ["Bearer of nothing", "Basic eDp5"])
async def test_signature_is_the_key_and_nobody_asks_for_another(shop: Stack, authorization: str) -> None:
    event = an_event(new_key())
    body = json.dumps(event).encode()
    headers = {"Authorization": authorization, "Sandbox-Signature": signature(body)}
    reply = await shop.http.post(PATH, content=body, headers=headers)
    assert reply.status_code == 200, reply.text
    assert len(await stored(shop, event)) == 1


async def test_duplicate_is_answered_alike_and_the_first_stays(shop: Stack) -> None:
    event = an_event(new_key())
    first = await send(shop, event)
    before = await stored(shop, event)
    again = await send(shop, event | {"type": "authorization.expired"})
    assert (first.status_code, first.content) == (again.status_code, again.content)
    (row,) = await stored(shop, event)
    assert (row["type"], row["received_at"]) == (before[0]["type"], before[0]["received_at"])


async def test_event_that_comes_fifty_times_at_once_is_stored_once_and_told_once(shop: Stack) -> None:
    key = new_key()
    await shop.pay(key)
    event = an_event(key)
    replies = await asyncio.gather(*(send(shop, event) for _ in range(50)))
    assert {reply.status_code for reply in replies} == {200}
    assert len(await stored(shop, event)) == 1
    assert await outcome(shop, event) == "delivered"
    assert await webhooks.told(shop, key) == [[event["id"]]]


async def test_while_the_secret_is_replaced_events_signed_with_either_are_taken(shop: Stack) -> None:
    for secret in (WEBHOOK_SECRET, OLD_SECRET):
        event = an_event(new_key())
        assert (await send(shop, event, secret=secret)).status_code == 200
        assert len(await stored(shop, event)) == 1


def signed(event: Json, **more: Any) -> tuple[bytes, str]:
    body = json.dumps(event).encode()
    return body, signature(body, **more)


# A body and its signatures.
Forge: TypeAlias = Callable[[Json], tuple[bytes, *tuple[str, ...]]]
FORGED: dict[str, Forge] = {
    "no signature": lambda event: (signed(event)[0],),
    "two signatures": lambda event: (*signed(event), signed(event)[1]),
    "another secret": lambda event: signed(event, secret="whsec_of_somebody_else"),
    "both secrets as one": lambda event: signed(event, secret=f"{WEBHOOK_SECRET}, {OLD_SECRET}"),
    "no secret": lambda event: signed(event, secret=""),
    "another body": lambda event: (signed(event)[0].replace(b"failed", b"fooled"), signed(event)[1]),
    "replayed after ten minutes": lambda event: signed(event, at=time.time() - 600),
    "ten minutes ahead": lambda event: signed(event, at=time.time() + 600),
    "nonsense": lambda event: (signed(event)[0], "Bearer x"),
    "an empty body": lambda _event: (b"", signature(b"")),
    "no JSON": lambda _event: (b"{", signature(b"{")),
    "an id with NUL": lambda event: signed(event | {"id": "evt\x00"}),
    "an id of 5000 characters": lambda event: signed(event | {"id": "e" * 5000}),
    "no payment": lambda event: signed(event | {"data": {}}),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
async def test_what_the_processor_has_not_just_signed_is_refused_and_not_stored(shop: Stack, forge: Forge) -> None:
    before = await count(shop)
    event = an_event(new_key())
    reply = await post(shop, *forge(event))
    assert_problem(reply, 400, "webhook_refused", event["id"], event["data"]["payment_id"], WEBHOOK_SECRET, OLD_SECRET)
    assert await count(shop) == before


async def test_same_event_is_taken_when_the_processor_signs_it_anew(shop: Stack) -> None:
    event = an_event(new_key())
    assert (await send(shop, event, at=time.time() - 600)).status_code == 400
    assert (await send(shop, event)).status_code == 200
    assert len(await stored(shop, event)) == 1


def of_size(event: Json, size: int) -> bytes:
    body = json.dumps(event).encode()
    return body + b" " * (size - len(body))


async def test_the_largest_event_is_taken(shop: Stack) -> None:
    body = of_size(an_event(new_key()), BODY_BYTES_MAX)
    assert (await post(shop, body, signature(body))).status_code == 200


@pytest.mark.parametrize("in_chunks", [False, True])
async def test_oversized_event_is_refused_however_well_it_is_signed(shop: Stack, in_chunks: bool) -> None:
    event = an_event(new_key())
    body = of_size(event, BODY_BYTES_MAX + 1)

    async def chunks() -> AsyncIterator[bytes]:
        for first in range(0, len(body), 1000):
            yield body[first : first + 1000]

    content: Any = chunks() if in_chunks else body
    assert_problem(await post(shop, content, signature(body)), 413, "payload_too_large", event["id"])
    assert await stored(shop, event) == []


@pytest.mark.parametrize("processor", ["stripe", "Sandbox", "sandbox%00"])
async def test_unknown_processor_is_not_found(shop: Stack, processor: str) -> None:
    body = json.dumps(an_event(new_key())).encode()
    reply = await post(shop, body, signature(body), path=f"/v1/webhooks/{processor}")
    assert_problem(reply, 404, "not_found")


async def test_without_a_secret_no_webhooks_are_taken(stack: Stack) -> None:
    event = an_event(new_key())
    reply = await send(stack, event)
    problem = assert_problem(reply, 404, "not_found")
    assert "PAYSAGA_WEBHOOK_SECRET" in problem["detail"]
    assert await stored(stack, event) == []


async def test_only_post_is_possible(shop: Stack) -> None:
    assert_problem(await shop.http.get(PATH), 405, "method_not_allowed")
