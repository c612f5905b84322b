"""Random payments under random faults, interventions, kills and freezes: when all is quiet, the books agree.

A seed repeats what is asked for; what comes of it also depends on the machine's timing.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import httpx2
from temporalio.client import Client
from temporalio.service import RPCError

from paysaga.dev.process import Server
from tests.faults.test_every_fault import CASES, PATHS
from tests.faults.test_outages_at_the_api import frozen
from tests.harness import Stack, running
from tests.workflow.test_interruptions import reset

SEED = 20261123
CLIENTS = 3
ORDERS = 5
SECONDS_UNTIL_QUIET = 60
# Longer than a try may take: what the frozen worker was doing is done again elsewhere, and then it wakes up.
FROZEN_SECONDS = 11

Fields = dict[str, Any]

PROCESSOR_FAULTS = [
    *CASES,
    *((operation, "wrong_amount") for operation in PATHS),
    *((operation, "decline") for operation in ("authorize", "capture")),
]
CLOSED = str(PATHS["refund"][0]["currency"])
# What must have happened at least once, besides each fault of the processor and each kill.
DEEDS = {"frozen worker", "repeated", "changed", "cancel", "terminate", "reset"}


class Campaign:
    """What is asked for, what was answered, and how often each bad thing really happened."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack = stack
        self.happened: Counter[str] = Counter()
        self.bodies: dict[str, list[Fields]] = {}
        self.answers: defaultdict[str, set[tuple[int, bytes]]] = defaultdict(set)
        self._random = Random(seed)
        self._seed = seed
        self._cards: list[tuple[str, str]] = []
        self._over = False

    # What is done.

    async def run(self, servers: list[Server], sleeper: Server) -> None:
        """Clients and an operator at work, until each server has been killed and the sleeper has slept."""
        client = await self.stack.temporal()
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self._client(Random(f"{self._seed}-client-{number}")))
            group.create_task(self._operator(client, Random(f"{self._seed}-operator")))
            bad = group.create_task(self._kill_each(servers)), group.create_task(self._freeze(sleeper))
            await asyncio.wait(bad)
            self._over = True

    async def _kill_each(self, servers: list[Server]) -> None:
        for server in self._random.sample(servers, len(servers)):
            await asyncio.sleep(self._random.uniform(0.5, 1.5))
            await server.kill()
            await asyncio.sleep(self._random.uniform(0, 1))
            await server.start()
            self.happened[f"killed {server.name}"] += 1

    async def _freeze(self, server: Server) -> None:
        await asyncio.sleep(1)
        async with frozen(server):
            await asyncio.sleep(FROZEN_SECONDS)
        self.happened[f"frozen {server.name}"] += 1

    async def _client(self, random: Random) -> None:
        while not self._over:
            choice = random.random()
            if choice < 0.6 or not self.bodies:
                await self._pay_anew(random)
            else:
                await self._pay_again(random, changed=choice > 0.85)

    async def _pay_anew(self, random: Random) -> None:
        key = f"campaign-{self._seed}-{len(self.bodies)}"
        operation, fault = self._next_card()
        fields = PATHS[operation][0] | {"amount": random.randint(1, 10**6)}
        if random.random() < 0.3:
            fields["order_id"] = f"order-{random.randrange(ORDERS)}"
        self.bodies[key] = [fields]
        with suppress(httpx2.TransportError):  # the processor is down
            await self.stack.fault(fault, payment_id=key, operation=operation)
            self.happened[fault] += 1
        await self._post(key, fields, random.randrange(4))

    def _next_card(self) -> tuple[str, str]:
        if not self._cards:
            self._cards = self._random.sample(PROCESSOR_FAULTS, len(PROCESSOR_FAULTS))
        return self._cards.pop()

    async def _pay_again(self, random: Random, *, changed: bool) -> None:
        key = random.choice(list(self.bodies)[-20:])
        fields = self.bodies[key][0]
        if changed:
            fields = fields | {"amount": fields["amount"] + 1}
            if fields not in self.bodies[key]:
                self.bodies[key].append(fields)
        self.happened["changed" if changed else "repeated"] += 1
        await self._post(key, fields, random.randrange(3))

    async def _post(self, key: str, fields: Fields, wait: int) -> int | None:
        """The reply's status; None when there was none."""
        try:
            reply = await self.stack.pay(key, wait=wait, **fields)
        except httpx2.TransportError:  # the API is down
            await asyncio.sleep(0.1)
            return None
        assert reply.status_code in {201, 202, 409, 422, 503}, reply.text
        if reply.status_code in {201, 409}:
            self.answers[key].add((reply.status_code, reply.content))
        return reply.status_code

    async def _operator(self, client: Client, random: Random) -> None:
        while not self._over:
            await asyncio.sleep(random.uniform(0, 0.4))
            if self.bodies:
                deed, key = self._deed(random)
                # No such workflow, closed already, or Temporal is down.
                with suppress(RPCError, TimeoutError, RuntimeError):
                    async with asyncio.timeout(2):
                        await _DEEDS[deed](client, key)
                    self.happened[deed] += 1

    def _deed(self, random: Random) -> tuple[str, str]:
        return random.choice(["cancel", "terminate", "reset"]), random.choice(list(self.bodies)[-CLIENTS:])

    # What must hold.

    async def settle(self) -> None:
        """Everything runs and nothing goes wrong any more: now every payment must be decided in time."""
        for fault in (await self.stack.processor.get("/faults")).json()["data"]:
            self.happened[fault["fault"]] -= fault["remaining"]
        await self.stack.processor.delete("/faults")
        async with asyncio.timeout(SECONDS_UNTIL_QUIET):
            await asyncio.gather(*(self._until_answered(key) for key in self.bodies))

    async def _until_answered(self, key: str) -> None:
        """As a client does that wants to know: the same request again."""
        statuses: list[int | None] = []
        while not {201, 409} & set(statuses):
            statuses = [await self._post(key, fields, 10) for fields in self.bodies[key]]

    def assert_everything_happened(self) -> None:
        faults = {fault for _, fault in PROCESSOR_FAULTS}
        kills = {f"killed {name}" for name in ("PostgreSQL", "Temporal", "processor", "worker", "API")}
        assert {deed for deed in faults | kills | DEEDS if self.happened[deed] < 1} == set(), self.happened

    async def assert_one_truth(self) -> None:
        kept: Counter[str] = Counter()
        for key in self.bodies:
            assert len(self.answers[key]) == 1, (key, self.answers[key])
            status, content = next(iter(self.answers[key]))
            paid = await self._paid(key)
            if status == 409:
                assert paid == 0, key
                continue
            payment = json.loads(content)
            assert await self.stack.get(key) == payment
            assert paid == (payment["amount"] if payment["status"] == "succeeded" else 0), (key, payment)
            assert payment["amount"] in {fields["amount"] for fields in self.bodies[key]}
            kept[payment["order_id"] or key] += payment["status"] == "succeeded"
        assert max(kept.values()) == 1, kept
        await self.stack.assert_books_agree(*self.bodies)

    async def _paid(self, key: str) -> int:
        """What the processor kept of the customer's money."""
        sign = {"capture": 1, "refund": -1}
        return sum(sign.get(entry["operation"], 0) * entry["amount"] for entry in await self.stack.journal(key))


async def _cancel(client: Client, key: str) -> None:
    await client.get_workflow_handle(key).cancel(rpc_timeout=timedelta(seconds=1))


async def _terminate(client: Client, key: str) -> None:
    await client.get_workflow_handle(key).terminate(rpc_timeout=timedelta(seconds=1))


_DEEDS: dict[str, Callable[[Client, str], Awaitable[None]]] = {
    "cancel": _cancel,
    "terminate": _terminate,
    "reset": reset,
}


async def test_random_payments_under_random_faults_are_charged_once_or_not_at_all(own_stack: Stack) -> None:
    stack, campaign = own_stack, Campaign(own_stack, SEED)
    await stack.close_account(CLOSED)
    servers = stack.servers
    sleeper = stack.another_worker("sleeper")
    print(f"seed {SEED}")
    async with running(sleeper):
        await campaign.run([stack.worker, stack.api, servers.postgres, servers.temporal, servers.sandbox], sleeper)
        print(f"{len(campaign.bodies)} payments, {dict(campaign.happened)}")
        await campaign.settle()
    campaign.assert_everything_happened()
    await campaign.assert_one_truth()
