"""Managing endpoints over HTTP: what is answered, and what is refused."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from payments.webhooks import ENDPOINTS_MAX
from tests.harness import Stack, new_key
from tests.refusals import assert_problem, pointers

PATH = "/v1/webhook_endpoints"
# A name that nobody has (RFC 2606): nothing is sent anywhere.
URL = "https://shop.invalid/hooks"
Json = dict[str, Any]


@pytest_asyncio.fixture
async def clean(stack: Stack) -> AsyncGenerator[Stack]:
    """Without endpoints, before and afterwards: other tests' payments must not be sent anywhere."""
    yield stack
    for each in (await stack.http.get(PATH)).json()["data"]:
        assert (await stack.http.delete(f"{PATH}/{each['id']}")).status_code == 200


async def created(stack: Stack, **fields: Any) -> Json:
    reply = await stack.http.post(PATH, json={"url": URL} | fields)
    assert reply.status_code == 201, reply.text
    return reply.json()


async def test_endpoint_is_created_listed_changed_and_deleted(clean: Stack) -> None:
    made = await created(clean, description="the shop", events=["payment.succeeded"])
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert (made["url"], made["description"], made["events"]) == (URL, "the shop", ["payment.succeeded"])
    assert (made["status"], made["disabled_reason"], made["failing_since"]) == ("enabled", None, None)
    assert (await clean.http.get(f"{PATH}/{made['id']}")).json() == made
    assert (await clean.http.get(PATH)).json() == {"data": [made]}
    reply = await clean.http.patch(f"{PATH}/{made['id']}", json={"events": None, "url": URL + "/new"})
    assert reply.status_code == 200, reply.text
    changed = reply.json()
    assert (changed["events"], changed["url"], changed["description"]) == (None, URL + "/new", "the shop")
    assert (await clean.http.get(f"{PATH}/{made['id']}")).json() == changed
    assert (await clean.http.delete(f"{PATH}/{made['id']}")).json() == {"id": made["id"], "deleted": True}
    assert (await clean.http.get(PATH)).json() == {"data": []}


async def test_answer_with_a_secret_is_kept_by_nobody_on_its_way(clean: Stack) -> None:
    reply = await clean.http.post(PATH, json={"url": URL})
    assert reply.headers["Cache-Control"] == "no-store"
    reply = await clean.http.post(f"{PATH}/{reply.json()['id']}/rotate_secret", json={"expires_in_seconds": 60})
    assert reply.headers["Cache-Control"] == "no-store"


async def test_repetition_makes_another_with_a_secret_of_its_own(clean: Stack) -> None:
    first, second = await created(clean), await created(clean)
    assert first["id"] != second["id"]
    assert first["secret"] != second["secret"]


async def test_there_is_a_most_of_endpoints_however_many_ask_at_once(clean: Stack) -> None:
    replies = await asyncio.gather(*(clean.http.post(PATH, json={"url": URL}) for _ in range(ENDPOINTS_MAX + 5)))
    assert sorted(reply.status_code for reply in replies) == [201] * ENDPOINTS_MAX + [409] * 5
    refused = next(reply for reply in replies if reply.status_code == 409)
    assert_problem(refused, 409, "webhook_endpoint_limit")
    some = next(reply for reply in replies if reply.status_code == 201).json()
    assert (await clean.http.delete(f"{PATH}/{some['id']}")).status_code == 200
    await created(clean)


BAD: dict[str, tuple[Json, str]] = {
    "no address": ({"url": None}, "/url"),
    "an empty address": ({"url": ""}, "/url"),
    "a number": ({"url": 7}, "/url"),
    "without TLS": ({"url": "http://shop.invalid/"}, "/url"),
    "a password": ({"url": "https://me:secret@shop.invalid/"}, "/url"),
    "a fragment": ({"url": "https://shop.invalid/#a"}, "/url"),
    "a line break": ({"url": "https://shop.invalid/\n"}, "/url"),
    "too long": ({"url": "https://shop.invalid/" + "a" * 2000}, "/url"),
    "a description too long": ({"description": "d" * 501}, "/description"),
    "a description of control characters": ({"description": "a\0b"}, "/description"),
    "half a character": ({"description": "a\ud800"}, "/description"),
    "no events": ({"events": []}, "/events"),
    "an event that is none": ({"events": ["payment.created", "everything"]}, "/events/1"),
    "too many events": ({"events": ["payment.created"] * 51}, "/events"),
    "a text of events": ({"events": "payment.created"}, "/events"),
    "a place before the feed": ({"after": -1}, "/after"),
    "a place beyond the feed": ({"after": 2**62}, "/after"),
    "a place beyond all numbers": ({"after": 2**64}, "/after"),
    "a place in words": ({"after": "1"}, "/after"),
    "an unknown field": ({"secret": "whsec_mine"}, "/secret"),
}


@pytest.mark.parametrize(("fields", "pointer"), BAD.values(), ids=BAD.keys())
async def test_bad_endpoint_is_refused_with_its_pointer(clean: Stack, fields: Json, pointer: str) -> None:
    reply = await clean.http.post(
        PATH, content=json.dumps({"url": URL} | fields), headers={"Content-Type": "application/json"}
    )
    assert pointers(assert_problem(reply, 422, "validation_failed")) == [pointer]
    assert (await clean.http.get(PATH)).json() == {"data": []}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"url": None}, "/url"),
        ({"status": None}, "/status"),
        ({"status": "paused"}, "/status"),
        ({"url": "ftp://shop.invalid/"}, "/url"),
        ({"disabled_reason": "gone"}, "/disabled_reason"),
        ({"reached": 0}, "/reached"),
    ],
)
async def test_bad_change_is_refused_and_changes_nothing(clean: Stack, change: Json, pointer: str) -> None:
    made = await created(clean)
    del made["secret"]
    reply = await clean.http.patch(f"{PATH}/{made['id']}", json=change)
    assert pointers(assert_problem(reply, 422, "validation_failed")) == [pointer]
    assert (await clean.http.get(f"{PATH}/{made['id']}")).json() == made


@pytest.mark.parametrize("seconds", [-1, 7 * 86400 + 1, "60", 1.5, None])
async def test_bad_rotation_is_refused(clean: Stack, seconds: object) -> None:
    made = await created(clean)
    reply = await clean.http.post(f"{PATH}/{made['id']}/rotate_secret", json={"expires_in_seconds": seconds})
    assert pointers(assert_problem(reply, 422, "validation_failed")) == ["/expires_in_seconds"]


@pytest.mark.parametrize("endpoint", ["we_0000000000000000", "nonsense", "we_%00", "' OR 1=1 --", "we_" + "a" * 5000])
async def test_endpoint_that_is_not_there_is_404_for_every_call(stack: Stack, endpoint: str) -> None:
    path = f"{PATH}/{endpoint}"
    for reply in (
        await stack.http.get(path),
        await stack.http.patch(path, json={"status": "enabled"}),
        await stack.http.delete(path),
        await stack.http.post(f"{path}/rotate_secret"),
        await stack.http.get(f"{path}/deliveries"),
        await stack.http.post(f"{path}/deliveries/evt_1/redeliver"),
    ):
        assert_problem(reply, 404, "webhook_endpoint_not_found")


@pytest.mark.parametrize("event", ["evt_999999999", "evt_" + "9" * 40, "evt_-1", "evt_1.0", "txn_1", "evt_"])
async def test_event_that_was_not_for_it_is_404(clean: Stack, event: str) -> None:
    made = await created(clean)
    reply = await clean.http.post(f"{PATH}/{made['id']}/deliveries/{event}/redeliver")
    assert_problem(reply, 404, "delivery_not_found")


@pytest.mark.parametrize("query", ["status=lost", "limit=0", "limit=101", "limit=1&limit=2", "after=1"])
async def test_bad_list_is_refused(clean: Stack, query: str) -> None:
    made = await created(clean)
    assert_problem(await clean.http.get(f"{PATH}/{made['id']}/deliveries?{query}"), 422, "validation_failed")


async def test_list_goes_through_all_deliveries_page_by_page(clean: Stack) -> None:
    """To a name that nobody has, so that all of them wait; the newest event first."""
    made = await created(clean)
    path, pending = f"{PATH}/{made['id']}/deliveries", {"limit": 3, "status": "pending"}
    keys = [new_key("listed") for _ in range(4)]
    for key in keys:
        assert (await clean.pay(key)).status_code == 201
    async with asyncio.timeout(60):
        while len((await clean.http.get(path, params={"limit": 100})).json()["data"]) < 8:
            await asyncio.sleep(0.1)
    first = reply = await clean.http.get(path, params=pending)
    seen: list[Json] = reply.json()["data"]
    while cursor := reply.json()["next_cursor"]:
        assert cursor in reply.headers["Link"]
        reply = await clean.http.get(path, params=pending | {"cursor": cursor})
        seen += reply.json()["data"]
    numbers = [each["sequence"] for each in seen]
    assert numbers == sorted(set(numbers), reverse=True)
    assert len([each for each in seen if each["payment_id"] in keys]) == 8
    wrong = await clean.http.get(path, params={"limit": 3, "cursor": first.json()["next_cursor"]})
    assert_problem(wrong, 400, "cursor_invalid")


async def test_card_number_in_an_address_or_description_is_refused(clean: Stack) -> None:
    for fields in ({"url": "https://shop.invalid/4242424242424242"}, {"description": "4242 4242 4242 4242"}):
        reply = await clean.http.post(PATH, json={"url": URL} | fields)
        assert_problem(reply, 422, "card_number_refused", "4242424242424242", "4242 4242")


async def test_endpoints_need_the_key(stack: Stack) -> None:
    for method, path in (("GET", PATH), ("POST", PATH), ("DELETE", f"{PATH}/we_1"), ("GET", f"{PATH}/we_1/deliveries")):
        reply = await stack.http.request(method, path, headers={"Authorization": "Bearer wrong"})
        assert_problem(reply, 401, "unauthenticated")
