"""The load: customers of a shop, each with one payment and a story of their own, drawn from the seed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from prove.faults.signals import REFUND, noted, wake
from prove.field import Field
from prove.told import Json

METHODS: Final = {
    "pm_card_visa": 86,
    "pm_paypal": 4,
    "pm_card_chargeDeclined": 3,
    "pm_card_chargeDeclinedInsufficientFunds": 1,
    "pm_sandbox_captureDeclined": 2,
    "pm_sandbox_timeoutAfterCharge": 2,
    "pm_sandbox_unavailableOnce": 2,
}
# At most so many customers at once; more would only wait in a queue.
CUSTOMERS_AT_ONCE: Final = 64
# From none at all to what a person on a telephone has.
IMPATIENCE_SECONDS: Final = (0.005, 0.4)
ORDERS: Final = 40

Story = Callable[[Field, Random, str, Json], Awaitable[None]]


async def _plain(field: Field, _random: Random, key: str, body: Json) -> None:
    await field.pay(key, body)


async def _polls(field: Field, _random: Random, key: str, body: Json) -> None:
    """Doesn't wait, and asks again and again how it stands."""
    field.unanswered[key] = body
    await field.shop.pay(key, body, wait=0)
    for _ in range(5):
        await asyncio.sleep(0.3)
        await field.shop.get(key)
    await field.pay(key, body)


async def _leaves(field: Field, random: Random, key: str, body: Json) -> None:
    """Has no patience, and never comes back."""
    reply = await field.shop.pay(key, body, patience=random.uniform(*IMPATIENCE_SECONDS))
    if reply.status != 201:
        field.gone.add(key)


async def _hurries(field: Field, random: Random, key: str, body: Json) -> None:
    """Has no patience either, and clicks again."""
    field.unanswered[key] = body
    for _ in range(random.randint(1, 4)):
        await field.shop.pay(key, body, patience=random.uniform(*IMPATIENCE_SECONDS))
    await field.pay(key, body)


async def _repeats(field: Field, random: Random, key: str, body: Json) -> None:
    """The same request several times at once, and once more later."""
    await asyncio.gather(*(field.pay(key, body) for _ in range(random.randint(2, 4))))
    await field.shop.pay(key, body)


async def _changes(field: Field, random: Random, key: str, body: Json) -> None:
    """Uses a key again for another amount, while the first request is under way or later."""
    first = asyncio.create_task(field.pay(key, body))
    await asyncio.sleep(random.choice([0.1, 1.0]))
    await field.shop.pay(key, body | {"amount": body["amount"] + 1})
    await first


async def _refunds(field: Field, random: Random, key: str, body: Json) -> None:
    """Gives back some of it, sometimes all, sometimes more than there is; over HTTP."""
    await field.pay(key, body)
    await _pause(random)
    for number in range(random.randint(1, 3)):
        amount = random.choice([None, body["amount"] // 2, body["amount"] // 3])
        await field.shop.refund_until_answered(key, f"refund-{number}", amount)
    if random.random() < 0.3:
        await field.shop.refund_until_answered(key, "refund-0", body["amount"] // 7)
    await field.shop.get(key)


async def _refunds_by_signal(field: Field, random: Random, key: str, body: Json) -> None:
    """A program of the shop asks for it, without waiting for an answer."""
    await field.pay(key, body)
    amount = random.choice([None, body["amount"] // 2])
    request = {"refund_id": "signaled"} | ({} if amount is None else {"amount": amount})
    async with noted(field, key, "signaled", amount):
        await wake(field, key, REFUND, request)
    await field.shop.get(key)


async def _captures(field: Field, random: Random, key: str, body: Json) -> None:
    """Holds the money, and takes it or a part of it when the goods are sent."""
    reply = await field.pay(key, body | {"capture": "manual"})
    if reply.json.get("status") == "authorized":
        await _pause(random)
        await field.shop.capture_until_answered(key, "ship", random.choice([None, body["amount"] // 2]))
        await field.shop.get(key)


async def _cancels(field: Field, random: Random, key: str, body: Json) -> None:
    """Holds the money, and lets it go; or tries to stop a payment under way."""
    if random.random() < 0.5:
        await field.pay(key, body | {"capture": "manual"})
        await field.shop.cancel_until_answered(key)
    else:
        paying = asyncio.create_task(field.pay(key, body))
        await asyncio.sleep(random.uniform(0, 0.3))
        await field.shop.cancel(key)
        await paying
    await field.shop.get(key)


async def _orders(field: Field, random: Random, key: str, body: Json) -> None:
    """Pays an order that others may be paying, too."""
    await field.pay(key, body | {"order_id": field.name("order", random.randrange(ORDERS))})


STORIES: Final[dict[Story, int]] = {
    _plain: 42,
    _polls: 4,
    _leaves: 6,
    _hurries: 6,
    _repeats: 8,
    _changes: 4,
    _refunds: 12,
    _refunds_by_signal: 4,
    _captures: 6,
    _cancels: 5,
    _orders: 3,
}


class Load:
    """So many customers, spread over so many seconds, and more of them as long as nobody says that it's enough."""

    def __init__(self, field: Field, payments: int, seconds: float) -> None:
        self.begun = 0
        self.enough = asyncio.Event()
        self._all_have_come = asyncio.Event()
        self._field = field
        self._payments = payments
        self._seconds = seconds
        self._places = asyncio.Semaphore(CUSTOMERS_AT_ONCE)

    async def run(self) -> None:
        """Until it is enough and every customer who waits for an answer has it."""
        async with asyncio.TaskGroup() as customers:
            try:
                await self._come(customers)
            finally:
                self._all_have_come.set()

    async def _come(self, customers: asyncio.TaskGroup) -> None:
        began = time.monotonic()
        while self.begun < self._payments or not self.enough.is_set():
            due = began + self.begun * self._seconds / self._payments
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._places.acquire()
            customers.create_task(self._customer(self.begun))
            self.begun += 1

    async def until_all_have_come(self, seconds: float) -> None:
        """Raises `TimeoutError` when nobody new has come for so long: all places are taken by those who wait."""
        while not self._all_have_come.is_set():
            begun = self.begun
            try:
                await asyncio.wait_for(self._all_have_come.wait(), seconds)
            except TimeoutError:
                if self.begun == begun:
                    raise

    async def _customer(self, number: int) -> None:
        random = Random(f"{self._field.seed}-customer-{number}")
        [story] = random.choices(list(STORIES), weights=list(STORIES.values()))
        [method] = random.choices(list(METHODS), weights=list(METHODS.values()))
        key = self._field.name("customer", number)
        more = {"customer": f"cus_{random.randrange(500)}"} if random.random() < 0.7 else {}
        self._field.payments.append(key)
        try:
            await story(self._field, random, key, self._field.body(random, payment_method=method, **more))
        finally:
            self._places.release()


async def _pause(random: Random) -> None:
    """Sometimes long enough for the payment to fall asleep."""
    await asyncio.sleep(random.choice([0.0, 0.5, 4.0]))
