"""`GET /v1/balances` and `/v1/customers/{id}/balances`, beside what the processor says."""

import asyncio
import secrets
from typing import Any

from tests.harness import Stack, new_key
from tests.refusals import assert_problem

# A currency that no other test uses.
CURRENCY = "BWP"


async def balances(stack: Stack, path: str = "/v1/balances") -> list[dict[str, Any]]:
    reply = await stack.http.get(path)
    assert reply.status_code == 200, reply.text
    assert set(reply.json()) == {"data"}
    return reply.json()["data"]


async def test_trial_balance_is_what_the_processor_did(stack: Stack) -> None:
    keys = [new_key() for _ in range(3)]
    for key, amount in zip(keys, (1000, 2000, 4000), strict=True):
        await stack.pay(key, amount=amount, currency=CURRENCY)
    await stack.refund(keys[1], "r", amount=500)
    await stack.pay(new_key(), currency=CURRENCY, payment_method="pm_card_chargeDeclined")
    found = {b["account"]: b for b in await balances(stack) if b["currency"] == CURRENCY}
    assert found == {
        account: {"account": account, "currency": CURRENCY, "debits": debits, "credits": credits_}
        | {"balance": debits - credits_, "balance_decimal": decimal}
        for account, debits, credits_, decimal in (
            ("processor_receivable:sandbox", 7000, 500, "65.00"),
            ("sales", 0, 7000, "-70.00"),
            ("refunds", 500, 0, "5.00"),
            ("refunds_payable", 500, 500, "0.00"),
        )
    }
    journal = [entry for key in keys for entry in await stack.journal(key)]
    kept = sum(e["amount"] for e in journal if e["operation"] == "capture")
    kept -= sum(e["amount"] for e in journal if e["operation"] == "refund")
    assert found["processor_receivable:sandbox"]["balance"] == kept


async def test_hold_and_refund_under_way_stand_in_the_trial_balance(stack: Stack) -> None:
    key, held, currency = new_key(), new_key(), "LSL"

    async def not_zero() -> dict[str, int]:
        return {b["account"]: b["balance"] for b in await balances(stack) if b["currency"] == currency and b["balance"]}

    await stack.pay(held, amount=3000, currency=currency, capture="manual")
    memo = {"held_authorizations:sandbox": 3000, "held_authorizations_contra": -3000}
    assert await not_zero() == memo
    await stack.pay(key, amount=1000, currency=currency)
    await stack.fault("slow", payment_id=key, operation="refund", seconds=1.5)
    assert (await stack.refund(key, "r", amount=400, wait=0)).status_code == 202
    async with asyncio.timeout(10):
        while "refunds" not in (found := await not_zero()):
            await asyncio.sleep(0.05)
    charged = {"processor_receivable:sandbox": 1000, "sales": -1000}
    assert found == memo | charged | {"refunds": 400, "refunds_payable": -400}
    await stack.refund_persistently(key, "r", amount=400)
    await stack.capture(held, "ship", amount=2000)
    assert await not_zero() == {"processor_receivable:sandbox": 2600, "sales": -3000, "refunds": 400}


async def test_debits_equal_credits_in_every_currency(stack: Stack) -> None:
    await stack.pay(new_key())
    sums: dict[str, int] = {}
    for balance in await balances(stack):
        sums[balance["currency"]] = sums.get(balance["currency"], 0) + balance["balance"]
    assert sums
    assert set(sums.values()) == {0}


async def test_customers_balance_is_what_they_paid_and_got_back(stack: Stack) -> None:
    customer, key = f"cus_{secrets.token_hex(6)}", new_key()
    path = f"/v1/customers/{customer}/balances"
    assert await balances(stack, path) == []
    await stack.pay(key, customer=customer)
    await stack.pay(new_key(), customer=customer, amount=500, currency="JPY")
    await stack.pay(new_key(), customer=customer, payment_method="pm_card_chargeDeclined")
    await stack.refund(key, "r", amount=990)
    assert await balances(stack, path) == [
        {"currency": "EUR", "captured": 4990, "refunded": 990, "balance": 4000, "balance_decimal": "40.00"},
        {"currency": "JPY", "captured": 500, "refunded": 0, "balance": 500, "balance_decimal": "500"},
    ]


async def test_balances_are_for_whoever_has_the_key(stack: Stack) -> None:
    for path in ("/v1/balances", "/v1/customers/x/balances"):
        reply = await stack.http.get(path, headers={"Authorization": "Bearer sk_test_wrong_key_000001"})
        assert_problem(reply, 401, "unauthenticated")
    assert_problem(await stack.http.get("/v1/customers/%00/balances"), 422, "validation_failed")


async def test_worker_numbers_what_was_paid(stack: Stack) -> None:
    await stack.pay(key := new_key())
    async with stack.database() as db, asyncio.timeout(10):
        while not await db.fetchval(_NUMBERED, key):
            await asyncio.sleep(0.1)


_NUMBERED = """
    SELECT EXISTS (SELECT FROM ledger_chain c JOIN ledger_transactions t ON t.sequence = c.transaction
        WHERE t.payment_id = $1)
"""
