"""A session with everything that is legal in it, as its client has written it down."""

import asyncio
import json

from tests.harness import Stack
from tests.integration.told import Teller

UNDONE_CURRENCY = "CHF"


async def a_varied_session(stack: Stack) -> Teller:
    """Payments by name: what a name says is what becomes of it."""
    teller = Teller(stack)
    await asyncio.gather(_charged(teller), _refunded(teller), _held(teller), _not_charged(teller), _confirmed(teller))
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
    teller.end()
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


async def _confirmed(teller: Teller) -> None:
    await teller.pay("confirmed", payment_method="pm_card_authenticationRequired")
    await teller.pay("waits-for-customer", payment_method="pm_card_authenticationRequired")
    asked = json.loads((await teller.get("confirmed"))["text"])
    await teller.stack.act(asked, "confirm")
    await teller.stack.check("confirmed")
    await teller.until("confirmed", "succeeded")


async def _refused(teller: Teller) -> None:
    await teller.get("nobody-has-paid-this")
    await teller.refund("declined", "of-nothing", amount=1)
