"""Cases and metrics over HTTP, as operators and careless programs ask for them."""

import asyncpg
import pytest

from payments.settlement import Difference
from tests.harness import Servers, Stack
from tests.integration.ledger_rows import insert
from tests.integration.test_ledger_case_rules import a_case


async def some_cases(servers: Servers, count: int) -> list[str]:
    db = await asyncpg.connect(servers.postgres.dsn)
    numbers = [await insert(db, "reconciliation_cases", **await a_case(db)) for _ in range(count)]
    await db.close()
    return [f"case_{number}" for number in numbers]


async def test_cases_are_listed_newest_first_each_once_whatever_the_pages(stack: Stack) -> None:
    made = await some_cases(stack.servers, 5)
    found: list[str] = []
    cursor = None
    while len(found) < 5:
        query = {"status": "open", "limit": "2"} | ({"cursor": cursor} if cursor else {})
        reply = await stack.http.get("/v1/reconciliation/cases", params=query)
        found += [case["id"] for case in reply.json()["data"]]
        cursor = reply.json()["next_cursor"]
        assert (cursor is None) == ("Link" not in reply.headers)
    assert found[:5] == made[::-1]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"limit": "0"}, 422, "validation_failed"),
        ({"limit": "101"}, 422, "validation_failed"),
        ({"status": "forgotten"}, 422, "validation_failed"),
        ({"class": "duplicate"}, 422, "validation_failed"),
        ({"cursor": "x"}, 400, "cursor_invalid"),
        ({"status": ["open", "closed"]}, 422, "validation_failed"),
    ],
)
async def test_list_that_makes_no_sense_is_refused(stack: Stack, query: dict[str, str], status: int, code: str) -> None:
    reply = await stack.http.get("/v1/reconciliation/cases", params=query)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


async def test_cursor_of_another_list_is_refused(stack: Stack) -> None:
    await some_cases(stack.servers, 2)
    page = (await stack.http.get("/v1/reconciliation/cases", params={"limit": "1"})).json()
    query = {"limit": "1", "status": "open", "cursor": page["next_cursor"]}
    reply = await stack.http.get("/v1/reconciliation/cases", params=query)
    assert (reply.status_code, reply.json()["code"]) == (400, "cursor_invalid")


@pytest.mark.parametrize(
    "id_",
    ["case_0", "case_-1", "case_x", "1", "case_", "case_99999999999999999999", "case_9223372036854775808", "case_١"],
)
async def test_case_that_does_not_exist_is_not_found(stack: Stack, id_: str) -> None:
    for reply in (
        await stack.http.get(f"/v1/reconciliation/cases/{id_}"),
        await stack.http.post(f"/v1/reconciliation/cases/{id_}/resolve", json={"reason": "so"}),
    ):
        assert (reply.status_code, reply.json()["code"]) == (404, "case_not_found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "validation_failed"),
        ({"reason": ""}, "validation_failed"),
        ({"reason": "x" * 1001}, "validation_failed"),
        ({"reason": 1}, "validation_failed"),
        ({"reason": "so", "status": "closed"}, "validation_failed"),
        ({"reason": "a\x00b"}, "validation_failed"),
        ({"reason": "card 4242 4242 4242 4242"}, "card_number_refused"),
    ],
)
async def test_case_is_not_resolved_without_a_reason(stack: Stack, body: dict[str, object], code: str) -> None:
    [case] = await some_cases(stack.servers, 1)
    reply = await stack.http.post(f"/v1/reconciliation/cases/{case}/resolve", json=body)
    assert (reply.status_code, reply.json()["code"]) == (422, code)
    assert (await stack.http.get(f"/v1/reconciliation/cases/{case}")).json()["status"] == "open"


async def test_cases_need_the_key_and_metrics_do_not(stack: Stack) -> None:
    headers = {"Authorization": "Bearer wrong"}
    assert (await stack.http.get("/v1/reconciliation/cases", headers=headers)).status_code == 401
    assert (await stack.http.post("/v1/reconciliation/cases/case_1/resolve", headers=headers)).status_code == 401
    reply = await stack.http.get("/metrics", headers=headers)
    assert (reply.status_code, reply.headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    for difference in Difference:
        assert f'reconciliation_open_cases{{difference="{difference}"}}' in reply.text
