"""What a fault may lay its hands on."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import aiohttp
import asyncpg
from temporalio.client import Client, WorkflowHandle

from prove.shop import Reply, Shop
from prove.stack import Stack
from prove.told import Json

CURRENCIES: Final = ("EUR", "USD", "GBP", "JPY", "KWD")
"""Of two, none and three decimals."""
TASK_QUEUE: Final = "payments"


@dataclass
class Field:
    """The stack, its clients, and direct ways to Temporal, the processor and the database."""

    stack: Stack
    shop: Shop
    seed: int
    temporal: Client
    http: aiohttp.ClientSession
    """For the processor, which isn't a service of ours: what it is asked isn't logged."""
    payments: list[str] = field(default_factory=list[str])
    """The keys of the load's payments, the newest last."""
    unanswered: dict[str, Json] = field(default_factory=dict[str, Json])
    """Requests of clients who want to know in the end, by key."""
    gone: set[str] = field(default_factory=set[str])
    """Payments that nobody asks about any more: only reconciliation can find them."""
    asking: set["asyncio.Task[Any]"] = field(default_factory=set["asyncio.Task[Any]"])
    """Clients who go on asking while the next fault comes."""
    _numbers: int = 0

    def key(self, word: str) -> str:
        """One that nothing else of this campaign has."""
        self._numbers += 1
        return self.name(word, self._numbers)

    def name(self, word: str, number: int) -> str:
        """Letters stand between the digits: many in a row may be taken for a card number, which the API refuses."""
        return f"{word}-s{self.seed}-n{number}"

    def body(self, random: Random, **fields: Any) -> Json:
        """A request for a payment of any amount."""
        least = {"amount": random.randint(100, 1_000_000), "currency": random.choice(CURRENCIES)}
        return least | {"payment_method": "pm_card_visa"} | fields

    async def pay(self, key: str, body: Json, **more: Any) -> Reply:
        """Until it is answered; asked for again in the end if the fault that wants it is given up before."""
        self.unanswered[key] = body
        reply = await self.shop.pay_until_answered(key, body, **more)
        self.unanswered.pop(key, None)
        return reply

    def ask_on(self, asking: "asyncio.Task[Any]") -> None:
        """The fault doesn't wait for this client's answer; the end of the campaign does."""
        self.asking.add(asking)

    def workflow(self, payment: str) -> WorkflowHandle[Any, Any]:
        """Its latest run."""
        return self.temporal.get_workflow_handle(payment)

    # The processor.

    async def script(self, fault: str, *, payment_id: str, operation: str | None = None, **more: Any) -> None:
        """A fault of the sandbox's."""
        body = {"fault": fault, "payment_id": payment_id} | ({"operation": operation} if operation else {}) | more
        await self.ask_processor("POST", "/faults", body)

    async def left_of_script(self, payment_id: str) -> int:
        """How many of this payment's scripted faults have not struck yet."""
        faults = (await self.ask_processor("GET", "/faults"))["data"]
        return sum(fault["remaining"] for fault in faults if fault["payment_id"] == payment_id)

    async def journal(self, payment_id: str) -> list[Json]:
        """What the processor did for it."""
        return (await self.ask_processor("GET", f"/journal?payment_id={payment_id}"))["data"]

    async def ask_processor(self, method: str, path: str, body: Json | None = None) -> Json:
        """Until it is up."""
        while True:
            try:
                async with self.http.request(method, self.stack.processor_url + path, json=body) as reply:
                    return await reply.json(content_type=None) if reply.status != 204 else {}
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.1)

    # The database.

    @asynccontextmanager
    async def database(self) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
        """As its owner, without a link. Raises what asyncpg raises while it is down."""
        connection = await asyncpg.connect(self.stack.postgres.dsn, timeout=5)
        try:
            yield connection
        finally:
            connection.terminate()
