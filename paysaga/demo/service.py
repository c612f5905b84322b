"""The running service as the demo sees it: its API from outside, the processor as witness, the books, its worker."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

import aiohttp
import asyncpg

from payments.currencies import EXPONENTS
from paysaga.dev.data_dir import DataDir
from paysaga.dev.leftovers import ProcessRecord, stop_leftovers
from paysaga.dev.process import clean_environment
from paysaga.dev.temporal import NAMESPACE, binary

# Quoted: only the type stubs know that these classes are generic.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# How long the API may wait for a decision. The slowest step takes 15 seconds; a busy machine more.
WAIT_SECONDS: Final = 40
POLL_SECONDS: Final = 0.05
_REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=WAIT_SECONDS + 5)


class NotAsTold(Exception):
    """A step can't go on; says what was expected and what was there."""


@dataclass(frozen=True)
class Reply:
    """One answer of the API."""

    http: int
    body: dict[str, Any]
    replayed: bool
    seconds: float

    @property
    def status(self) -> str:
        """The payment's status, or the error's code."""
        return str(self.body.get("code") or self.body.get("status"))

    def __str__(self) -> str:
        return f"{self.http} {self.status}"

    def described(self) -> str:
        """With what a reader wants to know of it."""
        said = [str(self)]
        if charged := self.body.get("amount_captured"):
            said.append(f"{money(charged, self.body['currency'])} charged")
        if refunded := self.body.get("amount_refunded"):
            said.append(f"{money(refunded, self.body['currency'])} refunded")
        if self.http == 201:
            said.append("Idempotent-Replayed: true" if self.replayed else "not replayed")
        if self.seconds >= 1:
            said.append(f"after {self.seconds:.0f} s")
        return ", ".join(said)

    def reason(self) -> str:
        """Why it was not done, in the service's own words."""
        failure = self.body.get("failure")
        return f"{failure['code']}: {failure['message']}" if failure else str(self.body.get("detail", ""))


@dataclass(frozen=True)
class Service:
    """One stack, by the addresses that it wrote down for other programs."""

    data: DataDir
    addresses: dict[str, str]
    http: aiohttp.ClientSession
    ledger: Connection

    def web_ui(self, payment_id: str) -> str:
        """Where a person sees the payment's workflow."""
        return f"{self.addresses['TEMPORAL_UI_URL']}/namespaces/{NAMESPACE}/workflows/{payment_id}"

    # What a client does.

    async def pay(self, key: str, **body: Any) -> Reply:
        headers = self._authorization | {"Idempotency-Key": key, "Prefer": f"wait={WAIT_SECONDS}"}
        url = f"{self.addresses['PAYSAGA_API_URL']}/v1/payments"
        begun = time.monotonic()
        async with self.http.post(url, json=body, headers=headers) as reply:
            return await _read(reply, begun)

    async def refund(self, key: str, refund_id: str, **body: Any) -> Reply:
        headers = self._authorization | {"Idempotency-Key": refund_id, "Prefer": f"wait={WAIT_SECONDS}"}
        url = f"{self.addresses['PAYSAGA_API_URL']}/v1/payments/{key}/refunds"
        begun = time.monotonic()
        async with self.http.post(url, json=body, headers=headers) as reply:
            return await _read(reply, begun)

    async def get(self, key: str) -> Reply:
        url = f"{self.addresses['PAYSAGA_API_URL']}/v1/payments/{key}"
        begun = time.monotonic()
        async with self.http.get(url, headers=self._authorization) as reply:
            return await _read(reply, begun)

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.addresses['PAYSAGA_API_KEY']}"}

    # What support does.

    async def signal(self, payment_id: str, name: str, value: dict[str, Any]) -> None:
        """With the `temporal` program, as people do it who don't use the Web UI."""
        command = ("workflow", "signal", "--workflow-id", payment_id, "--name", name, "--input", json.dumps(value))
        process = await asyncio.create_subprocess_exec(
            str(binary()),
            *command,
            "--address",
            self.addresses["TEMPORAL_ADDRESS"],
            env=clean_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            raise NotAsTold(f"a signal that is taken; but: {output.decode(errors='replace').strip()}")

    # What the processor did, and how it is told to misbehave.

    async def journal(self, payment_id: str) -> list[dict[str, Any]]:
        """What it really did for this payment, the first first."""
        url = f"{self._processor}/journal"
        async with self.http.get(url, params={"payment_id": payment_id}, raise_for_status=True) as reply:
            return (await reply.json())["data"]

    async def operations(self, payment_id: str) -> list[str]:
        return [entry["operation"] for entry in await self.journal(payment_id)]

    async def slow_capture(self, payment_id: str, seconds: float) -> None:
        """Let the processor take its time for this payment's charge."""
        fault = {"payment_id": payment_id, "operation": "capture", "fault": "slow", "seconds": seconds}
        async with self.http.post(f"{self._processor}/faults", json=fault, raise_for_status=True):
            pass

    async def until_capture_was_sent(self, payment_id: str, paying: asyncio.Task[Reply]) -> None:
        """A fault that has hit its request is gone from the processor's list: the charge has begun then."""
        while True:
            async with self.http.get(f"{self._processor}/faults", raise_for_status=True) as reply:
                waiting = {fault["payment_id"] for fault in (await reply.json())["data"]}
            if payment_id not in waiting:
                return
            if paying.done():
                raise NotAsTold(f"a charge at the processor; but the answer was: {paying.result().described()}")
            await asyncio.sleep(POLL_SECONDS)

    async def until_done(self, payment_id: str, operation: str) -> None:
        while True:
            if operation in await self.operations(payment_id):
                return
            await asyncio.sleep(POLL_SECONDS)

    @property
    def _processor(self) -> str:
        return self.addresses["PAYSAGA_PROCESSOR_URL"]

    # The worker.

    def worker(self) -> ProcessRecord:
        """The stack keeps a note of its processes; nobody else's worker is in it."""
        found = [process for process in self.data.processes() if process.command[-2:] == ["paysaga", "worker"]]
        if len(found) != 1:
            raise NotAsTold(f"one worker in the stack's note of its processes; found {len(found)}")
        return found[0]

    async def kill_worker(self) -> int:
        """kill -9, after comparing the process with the note: a PID alone may be anybody's by now. Returns the PID."""
        worker = self.worker()
        if await asyncio.to_thread(stop_leftovers, [worker._replace(stop_signal="SIGKILL")]) != 1:
            raise NotAsTold(f"a running worker with PID {worker.pid}")
        return worker.pid

    async def until_another_worker(self, pid: int) -> int:
        while True:
            if (worker := self.worker()).pid != pid:
                return worker.pid
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def open_service(data: DataDir, addresses: dict[str, str]) -> AsyncGenerator[Service]:
    """Connections to a stack that is ready."""
    ledger = await asyncpg.connect(addresses["PAYSAGA_DATABASE_URL"], timeout=5, command_timeout=5)
    try:
        async with aiohttp.ClientSession(timeout=_REQUEST_TIMEOUT) as http:
            yield Service(data, addresses, http, ledger)
    finally:
        await ledger.close(timeout=5)


async def _read(reply: aiohttp.ClientResponse, begun: float) -> Reply:
    body = await reply.json(content_type=None)
    replayed = reply.headers.get("Idempotent-Replayed") == "true"
    return Reply(reply.status, body, replayed, time.monotonic() - begun)


def amount(minor_units: int, currency: str) -> str:
    """As people read it, also zero and below."""
    return f"{Decimal(minor_units).scaleb(-EXPONENTS[currency]):f}"


def money(minor_units: int, currency: str) -> str:
    return f"{currency} {amount(minor_units, currency)}"
