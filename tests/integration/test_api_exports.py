"""The history as CSV and JSON lines: everything, streamed, and a file that a spreadsheet may open."""

import asyncio
import csv
import io
import json
import secrets
from typing import Any

import httpx2
import pytest

from tests.harness import Stack, new_key
from tests.refusals import assert_problem, pointers

CSV, NDJSON = "text/csv", "application/x-ndjson"
# More than is read at once.
MANY = 1203
# Decided at once, with one transaction for each.
_MANY_PAYMENTS = """
    INSERT INTO payments (id, fingerprint, request, status, amount, currency, customer, first_run, answer,
        failure_code, failure_message)
    SELECT $1 || '-' || n, repeat('0', 64),
        '{"amount": 1, "currency": "EUR", "payment_method": "x"}', 'declined', 1, 'EUR', $1, 'run', '{}', 'no', 'No.'
    FROM generate_series(1, $2) AS n
"""


async def exported(stack: Stack, format_: str, path: str = "/v1/transactions", **parameters: Any) -> httpx2.Response:
    reply = await stack.http.get(path, params=parameters, headers={"Accept": format_})
    assert reply.status_code == 200, reply.text
    return reply


def rows(reply: httpx2.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(reply.text, newline="")))


def lines(reply: httpx2.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in reply.text.splitlines()]


async def test_both_files_hold_what_the_list_holds(stack: Stack) -> None:
    customer, key = f"cus_{secrets.token_hex(6)}", new_key()
    await stack.pay(key, customer=customer, description='=1+1, "two"', order_id=key)
    await stack.refund(key, "r", amount=5)
    await stack.pay(new_key(), customer=customer, currency="JPY", payment_method="pm_card_chargeDeclined")
    listed = (await stack.http.get("/v1/transactions", params={"customer": customer})).json()["data"]
    as_lines, as_csv = [await exported(stack, format_, customer=customer) for format_ in (NDJSON, CSV)]
    assert lines(as_lines) == listed
    assert as_lines.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"
    assert as_csv.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert as_csv.headers["Content-Disposition"] == 'attachment; filename="transactions.csv"'
    for row, item in zip(rows(as_csv), listed, strict=True):
        failure = item["failure"] or {"code": "", "message": ""}
        told = item | {"failure_code": failure["code"], "failure_message": failure["message"]}
        told["description"] = "'" + item["description"] if item["description"] else ""
        told["created_at"] = item["created_at"].replace("Z", "+00:00")
        assert row == {name: str(told[name] if told[name] is not None else "") for name in row}
    assert [row["amount_decimal"] for row in rows(as_csv)] == ["0", "-0.05", "49.90"]


async def test_file_is_whole_however_long_and_chosen_as_the_list_is(stack: Stack) -> None:
    customer = f"cus_{secrets.token_hex(6)}"
    async with stack.database() as db:
        await db.execute(_MANY_PAYMENTS, customer, MANY)
    found = lines(await exported(stack, NDJSON, customer=customer))
    assert len(found) == len({line["payment_id"] for line in found}) == MANY
    assert [line["id"] for line in found] == [row["id"] for row in rows(await exported(stack, CSV, customer=customer))]
    path = f"/v1/customers/{customer}/transactions"
    assert lines(await exported(stack, NDJSON, path)) == found
    at = found[600]["created_at"]
    older = lines(await exported(stack, NDJSON, customer=customer, created_to=at))
    newer = lines(await exported(stack, NDJSON, customer=customer, created_from=at))
    assert newer + older == found
    assert lines(await exported(stack, NDJSON, customer=customer, status="failed")) == []
    assert rows(await exported(stack, CSV, customer=customer, type="refund")) == []


async def test_payments_go_on_while_somebody_reads_slowly(stack: Stack) -> None:
    customer = f"cus_{secrets.token_hex(6)}"
    async with stack.database() as db:
        await db.execute(_MANY_PAYMENTS, customer, MANY)
    async with stack.http.stream(
        "GET", "/v1/transactions", params={"customer": customer}, headers={"Accept": NDJSON}
    ) as reply:
        chunks = reply.aiter_lines()
        read = [await anext(chunks)]
        assert (await stack.pay(new_key(), customer=customer)).status_code == 201
        read += [line async for line in chunks]
    # The payment of meanwhile is newer than where the reader was.
    assert len(read) == MANY


async def test_what_is_in_no_format_of_ours_is_refused(stack: Stack) -> None:
    reply = await stack.http.get("/v1/transactions", headers={"Accept": "application/pdf"})
    assert_problem(reply, 406, "not_acceptable")


@pytest.mark.parametrize("name", ["limit", "cursor"])
async def test_file_has_no_pages(stack: Stack, name: str) -> None:
    reply = await stack.http.get("/v1/transactions", params={name: "1"}, headers={"Accept": CSV})
    assert pointers(assert_problem(reply, 422, "validation_failed")) == [f"/query/{name}"]


async def test_ten_exports_at_once_leave_payments_their_connections(stack: Stack) -> None:
    exports = [asyncio.create_task(exported(stack, CSV)) for _ in range(10)]
    assert (await stack.pay(new_key())).json()["status"] == "succeeded"
    assert (await stack.http.get("/readyz")).status_code == 200
    assert len({len(rows(await export)) > 0 for export in exports}) == 1
