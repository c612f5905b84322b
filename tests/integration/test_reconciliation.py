"""Planted differences of every class are found, and no others; what can heal heals; a second run changes nothing."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from temporalio.client import WorkflowExecutionStatus

from tests.harness import Stack, new_key, open_stack
from tests.integration.reconciled import (
    cases,
    charge_at_processor,
    hold_at_processor,
    lose,
    reconcile,
    tamper,
    unexplained,
)
from tests.workflow.test_cancellation import handle_of


@pytest_asyncio.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    """For tests that leave nothing open."""
    async with open_stack(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


async def healthy(shop: Stack) -> None:
    """Payments of all sorts, on which both sides agree: seven movements."""
    paid, refunded, undone, held = (new_key(word) for word in ("paid", "refunded", "undone", "held"))
    await shop.pay(paid)
    await shop.pay(refunded)
    assert (await shop.refund(refunded, "part", amount=100)).status_code == 201
    await shop.pay(new_key("declined"), payment_method="pm_card_chargeDeclined")
    await shop.close_account("UYU")
    assert (await shop.pay(undone, currency="UYU")).json()["status"] == "failed"
    await shop.pay(held, capture="manual")
    assert (await shop.capture(held, "capture", amount=1000)).status_code == 200
    canceled = new_key("canceled")
    await shop.pay(canceled, capture="manual")
    assert (await shop.cancel(canceled)).status_code == 200
    await shop.pay(new_key("open"), capture="manual")


async def test_books_that_agree_are_said_to_agree(shop: Stack) -> None:
    start = datetime.now(UTC)
    await healthy(shop)
    report = await reconcile(shop, start)
    assert (report.matched, report.healed, report.found, report.new_cases) == (6, 0, {}, 0)
    assert await cases(shop) == []
    assert await unexplained(shop) == {}


async def test_every_planted_difference_is_found_and_no_other(own_stack: Stack) -> None:
    shop = own_stack
    start = datetime.now(UTC)
    await healthy(shop)
    planted: set[tuple[str, str, str, int | None, int | None]] = set()

    charged = await charge_at_processor(shop, "of-nobody", amount=700)
    planted.add(("unexplained", "capture", charged, None, 700))

    twice = new_key("twice")
    await shop.pay(twice)
    planted.add(("duplicate", "capture", await charge_at_processor(shop, twice), None, 4990))

    lonely = new_key("lonely")
    assert (await shop.pay(lonely, payment_method="pm_card_chargeDeclined")).json()["status"] == "declined"
    planted.add(("missing_here", "capture", await charge_at_processor(shop, lonely), None, 4990))

    declined = new_key("declined")
    await shop.pay(declined, payment_method="pm_card_chargeDeclined")
    planted.add(("state_differs", "hold", await hold_at_processor(shop, declined, new_key("auth")), None, 4990))

    reference = {}
    for word in ("invented", "more", "dollars"):
        key = new_key(word)
        reference[word] = (await shop.pay(key)).json()["processor_reference"]
        of_key = "(SELECT sequence FROM ledger_transactions WHERE payment_id = $1)"
        change = {
            "invented": f"UPDATE ledger_transactions SET processor_reference = 'cap_0', operation_key = 'capture-1-0'"
            f" WHERE sequence = {of_key}",
            "more": f"UPDATE postings SET amount = amount + 1 WHERE transaction = {of_key}",
            "dollars": f"UPDATE postings SET currency = 'USD' WHERE transaction = {of_key}",
        }
        await tamper(shop, change[word], of=key)
    planted |= {
        ("missing_there", "capture", "cap_0", 4990, None),
        ("missing_here", "capture", reference["invented"], None, 4990),
        ("amount_differs", "capture", reference["more"], 4991, 4990),
        ("currency_differs", "capture", reference["dollars"], 4990, 4990),
    }

    report = await reconcile(shop, start)
    found = await cases(shop)
    fields = ("difference", "operation", "reference", "amount_here", "amount_there")
    assert {tuple(case[field] for field in fields) for case in found} == planted
    assert (report.matched, report.new_cases) == (7, len(planted))
    assert sum(report.found.values()) == len(planted)
    assert await unexplained(shop) == {"EUR": 700 + 4990 * 4 + 1 + 4990, "USD": 4990}

    again = await reconcile(shop, start)
    assert (again.found, again.new_cases, again.closed_cases) == (report.found, 0, 0)
    assert await cases(shop) == found


async def test_charge_of_a_terminated_payment_is_recorded(shop: Stack) -> None:
    start = datetime.now(UTC)
    key = new_key("terminated")
    await shop.fault("timeout_after_execution", payment_id=key, operation="capture")
    assert (await shop.pay(key, wait=0)).status_code == 202
    await shop.until_journal_has(key, "capture")
    await (await handle_of(shop, key)).terminate()
    report = await reconcile(shop, start)
    assert (report.healed, report.found) == (1, {})
    assert (await shop.get(key))["status"] == "succeeded"
    await shop.assert_books_agree(key)


async def test_payment_that_was_lost_with_its_books_is_recorded_again_from_what_temporal_knows(shop: Stack) -> None:
    start = datetime.now(UTC)
    keys = [new_key("lost"), new_key("it's lost")]
    before = [(await shop.pay(key, order_id=f"order of {key}")).json() for key in keys]
    for key in keys:
        await lose(shop, key)
    report = await reconcile(shop, start)
    assert (report.healed, report.found, report.matched) == (2, {}, 2)
    for key, payment in zip(keys, before, strict=True):
        after = await shop.get(key)
        assert {**after, "created_at": "", "updated_at": ""} == {**payment, "created_at": "", "updated_at": ""}
        assert await shop.journal_operations(key) == ["authorize", "capture"]
        assert (await shop.pay(key, order_id=f"order of {key}")).status_code == 201
    await shop.assert_books_agree(*keys)


async def test_payment_that_was_undone_and_then_lost_is_not_paid_after_all(own_stack: Stack) -> None:
    shop, start = own_stack, datetime.now(UTC)
    key, held = new_key("undone"), new_key("canceled")
    await shop.close_account("UYU")
    assert (await shop.pay(key, currency="UYU")).json()["status"] == "failed"
    await shop.pay(held, capture="manual")
    await shop.cancel(held)
    # A hold under our own key, as if the customer had confirmed late.
    late = new_key("late")
    assert (await shop.pay(late, payment_method="pm_card_chargeDeclined")).json()["status"] == "declined"
    await hold_at_processor(shop, late, new_key("auth"))
    for payment in (key, held, late):
        await lose(shop, payment)
    async with shop.database() as db:
        await db.execute("DELETE FROM accounts WHERE currency = 'UYU' AND name = 'sales'")
    report = await reconcile(shop, start)
    assert (report.healed, report.new_cases) == (0, 3)
    found = {(case["difference"], case["operation"], case["payment_id"]) for case in await cases(shop)}
    assert found == {
        ("unexplained", "capture", key),
        ("unexplained", "refund", key),
        ("unexplained", "hold", late),
    }
    for payment in (key, held, late):
        assert (await shop.http.get(f"/v1/payments/{payment}")).json().get("status") != "succeeded"
        assert (await shop.journal_operations(payment)).count("capture") == (1 if payment == key else 0)


async def test_refund_that_came_back_while_its_payment_slept_is_reversed(shop: Stack) -> None:
    start = datetime.now(UTC)
    key = new_key("sent-back")
    await shop.pay(key)
    await shop.fault("refund_fails_later", payment_id=key, operation="refund", seconds=0.1)
    assert (await shop.refund(key, "refund", amount=1000)).json()["status"] == "succeeded"
    await shop.until_journal_has(key, "refund_failed")
    report = await reconcile(shop, start)
    assert (report.healed, report.found) == (1, {})
    assert (await shop.get(key))["amount_refunded"] == 0
    await shop.assert_books_agree(key)


async def test_hold_and_pending_refund_whose_workflows_were_terminated_go_on(shop: Stack) -> None:
    start = datetime.now(UTC)
    held, pending = new_key("held"), new_key("pending")
    await shop.pay(held, capture="manual")
    await shop.pay(pending)
    # It waits for so long that it is surely terminated before it tries again.
    await shop.fault("rate_limited", payment_id=pending, operation="refund", seconds=60)
    assert (await shop.refund(pending, "refund", amount=1000, wait=0)).status_code == 202
    for key in (held, pending):
        await (await handle_of(shop, key)).terminate()
    report = await reconcile(shop, start)
    assert (report.healed, report.found) == (2, {})
    described = await (await handle_of(shop, held)).describe()
    assert described.status is WorkflowExecutionStatus.RUNNING
    assert (await shop.get(pending))["amount_refunded"] == 1000
    await shop.assert_books_agree(pending)


async def test_payment_that_was_accepted_and_terminated_before_it_was_written_down_is_paid(own_stack: Stack) -> None:
    start, key = datetime.now(UTC), new_key("accepted")
    await own_stack.worker.stop()
    assert (await own_stack.pay(key, wait=0)).status_code == 202
    await (await handle_of(own_stack, key)).terminate()
    await own_stack.worker.start()
    report = await reconcile(own_stack, start)
    assert (report.healed, report.found) == (1, {})
    assert (await own_stack.get(key))["status"] == "succeeded"
    assert await own_stack.journal_operations(key) == ["authorize", "capture"]
    await own_stack.assert_books_agree(key)
    assert (await reconcile(own_stack, start)).healed == 0


async def test_case_is_closed_once_both_sides_agree_and_another_one_if_they_differ_again(shop: Stack) -> None:
    start = datetime.now(UTC)
    key = new_key("corrected")
    await shop.pay(key)
    of_key = "transaction = (SELECT sequence FROM ledger_transactions WHERE payment_id = $1)"
    await tamper(shop, f"UPDATE postings SET amount = 4000 WHERE {of_key}", of=key)
    assert (await reconcile(shop, start)).new_cases == 1
    await tamper(shop, f"UPDATE postings SET amount = 4990 WHERE {of_key}", of=key)
    # A period in which nothing happened: what is open is looked at all the same.
    now = datetime.now(UTC)
    await asyncio.sleep(0.01)
    assert (await reconcile(shop, now)).closed_cases == 1
    [case] = await cases(shop, status="closed")
    assert (case["amount_here"], case["amount_there"]) == (4000, 4990)
    assert "both sides agree" in case["reason"]
    assert await unexplained(shop) == {}
    await tamper(shop, f"UPDATE postings SET amount = 4000 WHERE {of_key}", of=key)
    assert (await reconcile(shop, start)).new_cases == 1
    [case] = await cases(shop, status="open")
    await tamper(shop, f"UPDATE postings SET amount = 4990 WHERE {of_key}", of=key)
    assert (await reconcile(shop, start)).closed_cases == 1


async def test_case_that_an_operator_has_resolved_stays_resolved(shop: Stack) -> None:
    start = datetime.now(UTC)
    await charge_at_processor(shop, "of-another-shop", amount=300)
    await reconcile(shop, start)
    [case] = await cases(shop, status="open")
    address = f"/v1/reconciliation/cases/{case['id']}"
    reply = await shop.http.post(f"{address}/resolve", json={"reason": "It is the other shop's."})
    assert (reply.status_code, reply.json()["status"]) == (200, "resolved")
    assert (await shop.http.get(address)).json() == reply.json()
    assert await unexplained(shop) == {}
    report = await reconcile(shop, start)
    assert (report.new_cases, report.closed_cases) == (0, 0)
    assert await cases(shop, status="open") == []
    assert (await shop.http.post(f"{address}/resolve", json={"reason": "It is the other shop's."})).status_code == 200
    other = await shop.http.post(f"{address}/resolve", json={"reason": "Something else."})
    assert (other.status_code, other.json()["code"]) == (409, "case_not_open")
