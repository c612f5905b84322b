"""Webhooks from end to end: paid over the API, fed by the database, sent by the worker, verified as a shop would."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest_asyncio
from standardwebhooks import Webhook
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowExecutionStatus

from tests.harness import Stack, new_key, open_stack, running
from tests.webhook_receiver import OK, Receiver, answer, receiving
from workflows import names

TO_MYSELF = {"PAYSAGA_WEBHOOKS_TO_PRIVATE_ADDRESSES": "true"}
BOTH = ["payment.created", "payment.succeeded"]
Json = dict[str, Any]


@pytest_asyncio.fixture(scope="module")
async def shop(tmp_path_factory: Any) -> AsyncGenerator[Stack]:
    async with open_stack(tmp_path_factory.mktemp("webhooks"), env=TO_MYSELF) as stack:
        yield stack


@pytest_asyncio.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest_asyncio.fixture
async def endpoint(shop: Stack, receiver: Receiver) -> AsyncGenerator[Json]:
    """One that sends to the receiver. Deleted afterwards, so that each test has its own."""
    reply = await shop.http.post("/v1/webhook_endpoints", json={"url": receiver.url})
    assert reply.status_code == 201, reply.text
    yield reply.json()
    assert (await shop.http.delete(f"/v1/webhook_endpoints/{reply.json()['id']}")).status_code == 200


async def deliveries(shop: Stack, endpoint: Json, **query: Any) -> list[Json]:
    reply = await shop.http.get(f"/v1/webhook_endpoints/{endpoint['id']}/deliveries", params={"limit": 100} | query)
    assert reply.status_code == 200, reply.text
    return reply.json()["data"]


async def paid(shop: Stack) -> str:
    key = new_key("hook")
    assert (await shop.pay(key)).status_code == 201
    return key


async def workflow_status(shop: Stack, endpoint: Json) -> WorkflowExecutionStatus | None:
    handle = (await shop.temporal()).get_workflow_handle(names.webhooks_id(endpoint["id"]))
    return (await handle.describe()).status


async def until_taken(receiver: Receiver, key: str) -> None:
    await receiver.until(lambda: receiver.taken(key)[-1:] == BOTH[-1:])


async def test_payment_is_told_signed_and_in_order_and_listed_with_the_answer(
    shop: Stack, receiver: Receiver, endpoint: Json
) -> None:
    receiver.behave = lambda _got, _: answer(200, b"thank you")
    key = await paid(shop)
    await until_taken(receiver, key)
    assert receiver.taken(key) == BOTH
    events = (await shop.http.get("/v1/events", params={"limit": 1000})).json()["data"]
    for got in receiver.of(key):
        verified = Webhook(endpoint["secret"]).verify(got.body, got.headers)
        assert verified["data"] in events
        assert verified["data"]["id"] == got.id
    async with asyncio.timeout(10):
        while {each["status"] for each in await deliveries(shop, endpoint)} != {"succeeded"}:
            await asyncio.sleep(0.05)
    newest, oldest = [each for each in await deliveries(shop, endpoint) if each["payment_id"] == key]
    assert [oldest["type"], newest["type"]] == BOTH
    (attempt,) = newest["attempts"]
    assert (attempt["response_status"], attempt["response_body"], attempt["error"]) == (200, "thank you", None)


async def test_secret_is_rotated_without_an_event_that_can_not_be_verified(
    shop: Stack, receiver: Receiver, endpoint: Json
) -> None:
    reply = await shop.http.post(f"/v1/webhook_endpoints/{endpoint['id']}/rotate_secret")
    assert reply.status_code == 200, reply.text
    new = reply.json()["secret"]
    await until_taken(receiver, await paid(shop))
    for secret in (endpoint["secret"], new):
        Webhook(secret).verify(receiver.received[-1].body, receiver.received[-1].headers)
    body = {"expires_in_seconds": 0}
    newest = (await shop.http.post(f"/v1/webhook_endpoints/{endpoint['id']}/rotate_secret", json=body)).json()["secret"]
    await until_taken(receiver, await paid(shop))
    got = receiver.received[-1]
    assert len(got.headers["webhook-signature"].split(" ")) == 1
    Webhook(newest).verify(got.body, got.headers)


async def test_secret_is_shown_once_and_stands_in_no_list_log_or_history(
    shop: Stack, receiver: Receiver, endpoint: Json
) -> None:
    receiver.behave = lambda _got, _: answer(500)
    await paid(shop)
    await receiver.until(lambda: len(receiver.received) > 1)
    handle = (await shop.temporal()).get_workflow_handle(names.webhooks_id(endpoint["id"]))
    seen = [
        (await shop.http.get("/v1/webhook_endpoints")).text,
        (await shop.http.get(f"/v1/webhook_endpoints/{endpoint['id']}")).text,
        str(await deliveries(shop, endpoint)),
        (await handle.fetch_history()).to_json(),
        shop.worker.log.read_text(),
        shop.api.log.read_text(),
    ]
    bare = endpoint["secret"].removeprefix("whsec_")
    assert [text for text in seen if bare in text] == []


async def test_redelivery_sends_the_same_event_again(shop: Stack, receiver: Receiver, endpoint: Json) -> None:
    key = await paid(shop)
    await until_taken(receiver, key)
    last = receiver.of(key)[-1]
    path = f"/v1/webhook_endpoints/{endpoint['id']}/deliveries/{last.id}/redeliver"
    reply = await shop.http.post(path)
    assert (reply.status_code, reply.json()) == (202, {"id": last.id, "status": "pending"})
    await receiver.until(lambda: len(receiver.of(key)) == 3)
    assert (receiver.of(key)[-1].id, receiver.of(key)[-1].body) == (last.id, last.body)


async def test_endpoint_that_is_down_is_shown_to_people_and_gets_all_when_it_is_back(
    shop: Stack, receiver: Receiver, endpoint: Json
) -> None:
    receiver.behave = lambda _got, _: answer(503)
    keys = [await paid(shop) for _ in range(6)]
    handle = (await shop.temporal()).get_workflow_handle(names.webhooks_id(endpoint["id"]))
    async with asyncio.timeout(30):
        while "is down" not in await details(handle):
            await asyncio.sleep(0.2)
    shown = (await shop.http.get(f"/v1/webhook_endpoints/{endpoint['id']}")).json()
    assert shown["failing_since"] is not None
    receiver.behave = lambda _got, _: OK
    await handle.signal(names.WAKE, {})
    for key in keys:
        await until_taken(receiver, key)
        assert receiver.taken(key) == BOTH


async def details(handle: Any) -> str:
    """As the Web UI asks for them."""
    return (await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)).current_details


async def test_terminated_workflow_is_started_again_and_goes_on(
    shop: Stack, receiver: Receiver, endpoint: Json
) -> None:
    handle = (await shop.temporal()).get_workflow_handle(names.webhooks_id(endpoint["id"]))
    await handle.terminate("by a test")
    key = await paid(shop)
    await until_taken(receiver, key)
    assert receiver.taken(key) == BOTH


async def test_worker_that_is_killed_while_it_delivers_is_followed_by_another_and_loses_nothing(
    shop: Stack, receiver: Receiver, endpoint: Json
) -> None:
    """Killed while requests are on their way: they are sent again, with the same id."""

    async def slow(_got: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)
        writer.write(OK)

    receiver.behave = slow
    keys = [await paid(shop) for _ in range(4)]
    await receiver.until(lambda: len(receiver.received) >= 4)
    hanging = {each.id for each in receiver.received}
    await shop.worker.kill()
    receiver.behave = lambda _got, _: OK
    async with running(shop.another_worker("second-worker", **TO_MYSELF)):
        for key in keys:
            await until_taken(receiver, key)
            assert receiver.taken(key) == BOTH
    assert hanging <= {each.id for each in receiver.received if each.answered == 200}
    await shop.worker.start()


async def test_disabled_endpoint_ends_its_workflow_and_enabled_again_gets_what_it_missed(
    shop: Stack, receiver: Receiver, endpoint: Json
) -> None:
    path = f"/v1/webhook_endpoints/{endpoint['id']}"
    reply = await shop.http.patch(path, json={"status": "disabled"})
    assert (reply.json()["status"], reply.json()["disabled_reason"]) == ("disabled", "by_request")
    async with asyncio.timeout(20):
        while await workflow_status(shop, endpoint) is not WorkflowExecutionStatus.COMPLETED:
            await asyncio.sleep(0.1)
    key = await paid(shop)
    assert receiver.received == []
    reply = await shop.http.patch(path, json={"status": "enabled"})
    assert (reply.json()["status"], reply.json()["disabled_reason"]) == ("enabled", None)
    await until_taken(receiver, key)
    assert receiver.taken(key) == BOTH


async def test_410_disables_the_endpoint_for_everybody_to_see(shop: Stack, receiver: Receiver, endpoint: Json) -> None:
    receiver.behave = lambda _got, _: answer(410)
    await paid(shop)
    async with asyncio.timeout(20):
        while (shown := (await shop.http.get(f"/v1/webhook_endpoints/{endpoint['id']}")).json())["status"] == "enabled":
            await asyncio.sleep(0.1)
    assert shown["disabled_reason"] == "gone"


async def test_malformed_start_and_signal_break_nothing(shop: Stack, receiver: Receiver, endpoint: Json) -> None:
    client = await shop.temporal()
    for argument in ({"endpoint_id": "we_none"}, {"endpoint_id": 3}, "nonsense", {"endpoint_id": "we_" + "0" * 16}):
        id_ = new_key("webhooks")
        await client.start_workflow("WebhookWorkflow", argument, id=id_, task_queue=names.WEBHOOKS_QUEUE)
        async with asyncio.timeout(20):
            while (await client.get_workflow_handle(id_).describe()).status is WorkflowExecutionStatus.RUNNING:
                await asyncio.sleep(0.1)
    handle = client.get_workflow_handle(names.webhooks_id(endpoint["id"]))
    for argument in ([], ["nonsense", 1], [None]):
        await handle.signal(names.WAKE, args=argument)
    await until_taken(receiver, await paid(shop))


async def test_without_the_setting_nothing_inside_is_sent_to(shop: Stack, receiver: Receiver, endpoint: Json) -> None:
    """Also when the endpoint was added while it was allowed."""
    await shop.worker.stop()
    async with running(shop.another_worker("careful-worker")):
        await paid(shop)
        async with asyncio.timeout(30):
            while not (tried := [each for each in await deliveries(shop, endpoint) if each["attempts"]]):
                await asyncio.sleep(0.1)
    assert tried[0]["attempts"][0]["error"] == "the address is not one that may be sent to"
    assert receiver.received == []
    await shop.worker.start()


async def test_payments_are_paid_while_every_endpoint_hangs(shop: Stack, receiver: Receiver, endpoint: Json) -> None:
    async def hang(_got: Any, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    receiver.behave = hang
    more = [(await shop.http.post("/v1/webhook_endpoints", json={"url": receiver.url})).json() for _ in range(5)]
    for _ in range(10):
        await paid(shop)
    await receiver.until(lambda: len(receiver.received) >= 20)
    replies = await asyncio.gather(*(shop.pay(new_key()) for _ in range(20)))
    assert {reply.json()["status"] for reply in replies} == {"succeeded"}
    for each in more:
        reply: httpx2.Response = await shop.http.delete(f"/v1/webhook_endpoints/{each['id']}")
        assert reply.json() == {"id": each["id"], "deleted": True}
