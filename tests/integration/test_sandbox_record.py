"""The sandbox's record by time: each effect once, a page at a time, with how a hold stands now."""

from datetime import UTC, datetime

import pytest

from tests.integration import test_sandbox
from tests.integration.test_sandbox import Sandbox, refused, succeeded

shared = test_sandbox.shared
sandbox = test_sandbox.sandbox


def record(sandbox: Sandbox, **query: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    after = "0"
    while True:
        page = sandbox.http.get("/v1/record", params={"limit": "2", "after": after} | query).json()
        mine = [line for line in page["data"] if line["payment_id"] == sandbox.payment]
        found += mine
        if page["next_after"] is None:
            return found
        after = str(page["next_after"])


def test_record_has_every_effect_once_in_order_whatever_the_pages(sandbox: Sandbox) -> None:
    start = datetime.now(UTC).isoformat()
    hold = sandbox.hold()
    capture = succeeded(sandbox.capture(hold, amount=900))
    refund = succeeded(sandbox.refund(capture["id"], amount=400))
    found = record(sandbox, **{"from": start})
    fields = ("operation", "reference", "amount", "currency", "hold")
    assert [tuple(line[field] for field in fields) for line in found] == [
        ("authorize", hold, 1000, "EUR", "captured"),
        ("capture", capture["id"], 900, "EUR", None),
        ("refund", refund["id"], 400, "EUR", None),
    ]
    assert record(sandbox, to=start) == []
    assert record(sandbox, key=f"{sandbox.payment}/c") == [found[1]]


def test_settlement_report_has_what_moved_money(sandbox: Sandbox) -> None:
    hold = sandbox.hold()
    capture = succeeded(sandbox.capture(hold, amount=900))
    reply = sandbox.http.get("/v1/settlement.csv")
    assert reply.headers["Content-Type"].startswith("text/csv")
    [line] = [line for line in reply.text.splitlines() if sandbox.payment in line]
    assert line.startswith(f"{capture['id']},capture,{sandbox.payment},900,EUR,")
    assert line.endswith(f",{sandbox.payment}/c")


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "1001"}, {"after": "-1"}, {"from": "today"}, {"to": "2026-01-01T00:00:00"}]
)
def test_query_that_makes_no_sense_is_refused(sandbox: Sandbox, query: dict[str, str]) -> None:
    assert refused(sandbox.http.get("/v1/record", params=query)) == (400, "validation_failed")
