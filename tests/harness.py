"""The real parts, as tests use them: servers of our own on free ports, a client, and the processor as the witness."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from ledger.migrate import migrate
from payments.messages import Start
from paysaga.dev.ports import free_ports
from paysaga.dev.postgres import EmbeddedPostgres
from paysaga.dev.process import Server, clean_environment
from paysaga.dev.services import ApiProcess, SandboxProcess, WorkerProcess, telling
from paysaga.dev.temporal import TemporalServer
from workflows import names

API_KEY = "sk_test_0123456789abcdef"
WEBHOOK_SECRET = "whsec_0123456789abcdef"
TAKES_WEBHOOKS = {"PAYSAGA_WEBHOOK_SECRET": WEBHOOK_SECRET}


def new_key(word: str = "payment") -> str:
    """An idempotency key that no other test uses."""
    return f"{word}-{secrets.token_hex(6)}"


def a_request(**fields: Any) -> dict[str, Any]:
    """A body for `POST /v1/payments`."""
    return {"amount": 4990, "currency": "EUR", "payment_method": "pm_card_visa"} | fields


@dataclass
class Servers:
    """PostgreSQL, Temporal and the sandbox processor, without anything of ours."""

    data: Path
    postgres: EmbeddedPostgres
    temporal: TemporalServer
    sandbox: SandboxProcess
    api_port: int  # free; where the processor sends its webhooks, if it does

    def env(self, **more: str) -> dict[str, str]:
        """The environment of our own processes. Payments sleep at once and nothing
        is reconciled, unless a test is about that."""
        ours = {
            "PAYSAGA_DATABASE_URL": self.postgres.dsn,
            "PAYSAGA_PROCESSOR_URL": self.sandbox.url,
            "PAYSAGA_API_KEY": API_KEY,
            "PAYSAGA_QUIET_PERIOD_SECONDS": "0",
            "PAYSAGA_RECONCILE_EVERY_SECONDS": "0",
            "TEMPORAL_ADDRESS": self.temporal.address,
        }
        return clean_environment(**ours | more)

    @asynccontextmanager
    async def empty_database(self) -> AsyncGenerator[str]:
        """The address of another one, without tables, which no worker and no API looks at."""
        name = f"empty_{secrets.token_hex(4)}"
        admin = await asyncpg.connect(self.postgres.admin_dsn)
        await admin.execute(f"CREATE DATABASE {name}")
        yield self.postgres.admin_dsn.rpartition("/")[0] + f"/{name}"
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()

    @asynccontextmanager
    async def another_database(self) -> AsyncGenerator[str]:
        """The same with our tables."""
        async with self.empty_database() as dsn:
            connection = await asyncpg.connect(dsn)
            await migrate(connection)
            await connection.close()
            yield dsn


@asynccontextmanager
async def running(*servers: Server, hurry: bool = False) -> AsyncGenerator[None]:
    """Start them all at once; stop each by its own process ID, the last first, `hurry` without letting it finish."""
    try:
        await asyncio.gather(*(server.start() for server in servers))
        yield
    finally:
        for server in reversed(servers):
            await (server.hurry() if hurry else server.stop())


@asynccontextmanager
async def open_servers(
    data: Path, *, sandbox: Sequence[str] = (), temporal: Sequence[str] = (), webhooks: bool = False
) -> AsyncGenerator[Servers]:
    """Servers with a migrated database; processor and Temporal with these flags."""
    postgres_port, temporal_port, port, api_port = free_ports(4)
    flags = [*sandbox, *(telling(port, api_port) if webhooks else ())]
    servers = Servers(
        data,
        EmbeddedPostgres(data, postgres_port),
        TemporalServer(data, temporal_port, extra_arguments=temporal),
        SandboxProcess(data / "sandbox.sqlite", port, flags=flags, webhook_secret=WEBHOOK_SECRET),
        api_port,
    )
    async with running(servers.postgres, servers.temporal, servers.sandbox, hurry=True):
        connection = await asyncpg.connect(servers.postgres.dsn)
        await migrate(connection)
        await connection.close()
        yield servers


class Stack:
    """Servers with a worker and an API, as in production: each a process of its own."""

    def __init__(self, servers: Servers, worker: WorkerProcess, api: ApiProcess) -> None:
        self.servers = servers
        self.worker = worker
        self.api = api
        self.http = httpx2.AsyncClient(
            base_url=api.url, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=httpx2.Timeout(70)
        )
        self.processor = httpx2.AsyncClient(base_url=servers.sandbox.url)

    async def close(self) -> None:
        await self.http.aclose()
        await self.processor.aclose()

    def another_worker(self, name: str, **env: str) -> WorkerProcess:
        return WorkerProcess(self.servers.env(**env), log=self.servers.data / f"{name}.log")

    def another_api(self, name: str, **env: str) -> ApiProcess:
        return ApiProcess(self.servers.env(**env), free_ports(1)[0], log=self.servers.data / f"{name}.log")

    # What a client does.

    async def pay(
        self, key: str, *, wait: int | None = None, headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx2.Response:
        more = {"Idempotency-Key": key} | ({"Prefer": f"wait={wait}"} if wait is not None else {}) | (headers or {})
        return await self.http.post("/v1/payments", json=a_request(**fields), headers=more)

    async def pay_persistently(self, key: str, **more: Any) -> httpx2.Response:
        """As clients should: a 503 says nothing, and is followed by the same request with the same key."""
        while (reply := await self.pay(key, **more)).status_code == 503:
            await asyncio.sleep(float(reply.headers["Retry-After"]))
        return reply

    async def refund(self, payment: str, refund: str, *, wait: int | None = None, **fields: Any) -> httpx2.Response:
        """A refund of so much, or of all that is left."""
        headers = {"Idempotency-Key": refund} | ({"Prefer": f"wait={wait}"} if wait is not None else {})
        return await self.http.post(f"/v1/payments/{payment}/refunds", json=fields, headers=headers)

    async def capture(self, payment: str, key: str, *, wait: int | None = None, **fields: Any) -> httpx2.Response:
        """A capture of so much, or of all that is held."""
        return await self._post(payment, "capture", key, wait, fields)

    async def cancel(self, payment: str, key: str = "cancel", *, wait: int | None = None) -> httpx2.Response:
        """A cancellation."""
        return await self._post(payment, "cancel", key, wait, {})

    async def _post(self, payment: str, what: str, key: str, wait: int | None, body: dict[str, Any]) -> httpx2.Response:
        headers = {"Idempotency-Key": key} | ({"Prefer": f"wait={wait}"} if wait is not None else {})
        return await self.http.post(f"/v1/payments/{payment}/{what}", json=body, headers=headers)

    async def refund_persistently(self, payment: str, refund: str, **more: Any) -> httpx2.Response:
        """Until it has ended: a 503 says nothing, and a 202 that it goes on."""
        while (reply := await self.refund(payment, refund, **more)).status_code in {202, 503}:
            await asyncio.sleep(float(reply.headers["Retry-After"]))
        return reply

    async def get(self, key: str) -> dict[str, Any]:
        reply = await self.http.get(f"/v1/payments/{key}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def until_decided(self, key: str, seconds: float = 40) -> dict[str, Any]:
        """The payment once it is decided, by asking for it as a client would."""
        async with asyncio.timeout(seconds):
            while (payment := await self.get(key))["status"] == "processing":
                await asyncio.sleep(0.1)
        return payment

    # What a customer does.

    async def act(self, payment: dict[str, Any], result: str, **more: Any) -> httpx2.Response:
        """Confirm or abandon what this payment requires."""
        return await self.processor.post(payment["next_action"]["url"], json={"result": result} | more)

    # What the processor and the books say.

    async def fault(self, fault: str, *, payment_id: str, operation: str | None = None, **more: Any) -> None:
        body = {"fault": fault, "payment_id": payment_id, "operation": operation} | more
        reply = await self.processor.post("/faults", json={k: v for k, v in body.items() if v is not None})
        assert reply.status_code == 201, reply.text

    async def journal(self, payment_id: str) -> list[dict[str, Any]]:
        reply = await self.processor.get("/journal", params={"payment_id": payment_id})
        return reply.json()["data"]

    async def journal_operations(self, payment_id: str) -> list[str]:
        return [entry["operation"] for entry in await self.journal(payment_id)]

    async def until_journal_has(self, payment_id: str, operation: str, seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while operation not in await self.journal_operations(payment_id):
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def database(self) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(self.servers.postgres.dsn)
        try:
            yield connection
        finally:
            await connection.close()

    async def close_account(self, currency: str) -> None:
        """From now on the books refuse every charge in this currency, so that it is undone."""
        async with self.database() as db:
            await db.execute("INSERT INTO accounts VALUES ('sales', $1, now()) ON CONFLICT DO NOTHING", currency)

    async def check(self, payment_id: str) -> None:
        """What a webhook comes to: the payment is told to ask the processor, and woken for it if it sleeps."""
        client = await self.temporal()
        await client.start_workflow(  # pyright: ignore[reportUnknownMemberType]
            "PaymentWorkflow", Start(), id=payment_id, task_queue=names.TASK_QUEUE, start_signal="check"
        )

    async def temporal(self) -> Client:
        return await Client.connect(self.servers.temporal.address, data_converter=pydantic_data_converter)

    async def assert_books_agree(self, *payment_ids: str) -> None:
        """Whatever the processor did with money stands in the ledger once, with the same key and amount, and the
        other way round; every payment that is decided says the same; nothing is held for one that was not charged."""
        for payment_id in payment_ids:
            journal = await self.journal(payment_id)
            moves = [_as_posted(e) for e in journal if e["operation"] in {"capture", "refund", "refund_failed"}]
            moved = {(e["key"], e["operation"], e["amount"], e["currency"]) for e in moves}
            assert len(moved) == len(moves), journal
            async with self.database() as db:
                rows = await db.fetch(_POSTED, payment_id)
                posted = {tuple(row) for row in rows}
                assert len(posted) == len(rows)
                assert posted == moved, f"{payment_id}: ledger {posted}, processor {moved}"
                row = await db.fetchrow("SELECT * FROM payments WHERE id = $1", payment_id)
            operations = [e["operation"] for e in journal]
            assert operations.count("capture") <= 1
            assert operations.count("authorize") <= 1
            if row is None or row["status"] in {"processing", "requires_action", "authorized"}:
                continue
            captured = sum(e["amount"] for e in journal if e["operation"] == "capture")
            refunded = sum(e["amount"] for e in journal if e["operation"] == "refund")
            refunded -= sum(e["amount"] for e in journal if e["operation"] == "refund_failed")
            assert 0 <= refunded <= captured
            assert (row["amount_captured"], row["amount_refunded"]) == (captured, refunded)
            held = "authorize" in operations and not {"capture", "void"} & set(operations)
            assert not held, f"{payment_id} is decided and its hold was forgotten"


def _as_posted(entry: dict[str, Any]) -> dict[str, Any]:
    """A refund that failed later has one more entry at the processor, and in the ledger a named correction."""
    if entry["operation"] != "refund_failed":
        return entry
    return entry | {"operation": "refund_reversal", "key": f"reversal-of-{entry['key']}"}


_POSTED = """
    SELECT operation_key, operation, amount, currency
    FROM ledger_transactions t JOIN postings p ON p.transaction = t.sequence
    WHERE payment_id = $1 AND 'processor_receivable:' || processor IN (debit_account, credit_account)
"""


@asynccontextmanager
async def open_stack(
    data: Path, *, env: Mapping[str, str] | None = None, webhooks: bool = False, **flags: Sequence[str]
) -> AsyncGenerator[Stack]:
    """A whole stack of its own; `sandbox` and `temporal` with these flags, worker and API with these settings."""
    async with AsyncExitStack() as exits:
        servers = await exits.enter_async_context(open_servers(data, webhooks=webhooks, **flags))
        settings = servers.env(**(TAKES_WEBHOOKS if webhooks else {}) | dict(env or {}))
        worker = WorkerProcess(settings, log=data / "worker.log")
        api = ApiProcess(settings, servers.api_port, log=data / "api.log")
        await exits.enter_async_context(running(worker, api, hurry=True))
        stack = Stack(servers, worker, api)
        exits.push_async_callback(stack.close)
        yield stack
