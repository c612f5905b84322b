"""A session with everything that is legal in it, as its client has written it down."""

import asyncio
import json

from tests.harness import Stack
from tests.integration.told import Teller

UNDONE_CURRENCY = "CHF"


async def a_varied_session(stack: Stack) -> Teller:
    """Payments by name: what a name says is what becomes of it."""
    teller = Teller(stack)
    parts = (_charged, _refunded, _held, _not_charged, _undone_twice, _confirmed)
    await asyncio.gather(*(part(teller) for part in parts))
    await _refused(teller)
    for of in ("payments", "transactions", "events"):
        await teller.walk(of)
    await teller.walk("transactions", currency="EUR")
    await teller.books()
    for body in (
        {},
        {"amount": -1},
        "no object",
        {"amount": 4990, "currency": "EUR", "payment_method": "pm \x00 \ud800"},
    ):
        await teller.bad(body, 400, 422)
    await teller.books()
    await teller.end()
    return teller


async def _charged(teller: Teller) -> None:
    await teller.pay("charged", order_id="order-1", description=None, metadata={})
    await teller.pay("charged", order_id="order-1")
    await teller.pay("charged", order_id="order-1", amount=1)
    await teller.pay("order-is-paid", order_id="order-1")
    await teller.get("charged")
    await teller.pay("later", wait=0)
    await teller.until("later", "succeeded")
    await teller.pay("later")


async def _refunded(teller: Teller) -> None:
    await teller.pay("refunded", order_id="order-2")
    await teller.refund("refunded", "part", amount=1000)
    await teller.refund("refunded", "part", amount=1000)
    await teller.refund("refunded", "part", amount=999)
    await teller.refund("refunded", "too-much", amount=4000)
    await teller.get("refunded")
    await teller.refund("refunded", "rest")
    await teller.pay("order-is-free", order_id="order-2")
    await teller.get("refunded")
    await teller.get_refunds("refunded")

    await teller.pay("refund-comes-back")
    await teller.stack.fault("refund_fails_later", payment_id="refund-comes-back", operation="refund", seconds=0.3)
    await teller.refund("refund-comes-back", "back", amount=300)
    await teller.get("refund-comes-back")
    while json.loads((await teller.get("refund-comes-back"))["text"])["status"] != "succeeded":
        await teller.stack.check("refund-comes-back")
        await asyncio.sleep(0.3)
    await teller.refund("refund-comes-back", "back", amount=300)

    await _refunded_and_sent_back_unheard(teller)

    await teller.pay("refunded-by-hand")
    await teller.signal("refunded-by-hand", "by-hand", 200)
    await teller.until("refunded-by-hand", "partially_refunded")


async def _refunded_and_sent_back_unheard(teller: Teller) -> None:
    """The books can't be written until the refund has come back."""
    key, account = "sent-back-unheard", "processor_receivable:sandbox"
    await teller.pay(key, currency="WST")
    await teller.stack.fault("refund_fails_later", payment_id=key, operation="refund", seconds=0.3)
    async with teller.stack.database() as db:
        await db.execute("UPDATE accounts SET closed_at = now() WHERE name = $1 AND currency = 'WST'", account)
        await teller.refund(key, "back")
        await teller.stack.until_journal_has(key, "refund_failed")
        await db.execute("UPDATE accounts SET closed_at = NULL WHERE name = $1 AND currency = 'WST'", account)
    while (await teller.refund(key, "back"))["status"] != 201:
        await asyncio.sleep(0.3)
    await teller.get(key)


async def _held(teller: Teller) -> None:
    for key in ("captured", "canceled", "held"):
        await teller.pay(key, capture="manual")
    await teller.capture("captured", "capture", amount=3000)
    await teller.capture("captured", "capture", amount=3000)
    await teller.capture("captured", "another", amount=100)
    await teller.pay("captured", capture="manual")
    await teller.get("captured")
    await teller.cancel("canceled")
    await teller.get("canceled")
    await teller.get("held")


async def _not_charged(teller: Teller) -> None:
    await teller.pay("declined", payment_method="pm_card_chargeDeclined")
    await teller.get("declined")
    await teller.stack.close_account(UNDONE_CURRENCY)
    await teller.pay("undone", currency=UNDONE_CURRENCY, order_id="order-3")
    await teller.get("undone")


async def _undone_twice(teller: Teller) -> None:
    """Its first refund comes back before the books have it."""
    key, stack = "undone-twice", teller.stack
    await stack.fault("wrong_amount", payment_id=key, operation="capture")
    await stack.fault("refund_fails_later", payment_id=key, operation="refund", seconds=0.3)
    async with stack.database() as db:
        await db.execute("INSERT INTO accounts VALUES ('suspense', 'TOP', now())")
    await teller.pay(key, currency="TOP", wait=1)
    await stack.until_journal_has(key, "refund_failed")
    async with stack.database() as db:
        await db.execute("UPDATE accounts SET closed_at = NULL WHERE name = 'suspense' AND currency = 'TOP'")
    await teller.until(key, "failed")
    await teller.pay(key, currency="TOP")


async def _confirmed(teller: Teller) -> None:
    await teller.pay("confirmed", payment_method="pm_card_authenticationRequired")
    await teller.pay("waits-for-customer", payment_method="pm_card_authenticationRequired")
    asked = json.loads((await teller.get("confirmed"))["text"])
    await teller.stack.act(asked, "confirm")
    await teller.stack.check("confirmed")
    await teller.until("confirmed", "succeeded")
    await teller.pay("confirmed-too-late", payment_method="pm_card_authenticationRequired")
    asked = json.loads((await teller.get("confirmed-too-late"))["text"])
    await teller.cancel("confirmed-too-late")
    await teller.stack.act(asked, "confirm", late=True)
    await teller.stack.check("confirmed-too-late")
    await teller.stack.until_journal_has("confirmed-too-late", "void")


async def _refused(teller: Teller) -> None:
    await teller.get("nobody-has-paid-this")
    await teller.refund("declined", "of-nothing", amount=1)
