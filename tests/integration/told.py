"""A client that writes down what it was told, as the auditor reads it."""

import asyncio
import json
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

from payments.messages import Start
from prove.auditor.auditing import connected, fingerprint
from tests.harness import Stack, a_request
from workflows.names import TASK_QUEUE

Line = dict[str, Any]


class Teller:
    """One client of a stack, and its log."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.lines: list[Line] = []

    async def ask(
        self, call: str, method: str, path: str, payment: str | None, id_: str | None, body: Any, **more: Any
    ) -> Line:
        """Send it and write down the answer."""
        headers = {"Idempotency-Key": id_} if id_ is not None else {}
        headers |= {"Prefer": f"wait={more.pop('wait')}"} if "wait" in more else {}
        sent_at = time.time()
        content = None if body is None else json.dumps(body).encode()
        headers |= {} if body is None else {"Content-Type": "application/json"}
        reply = await self.stack.http.request(method, path, headers=headers, content=content)
        line = {
            "kind": "answer", "at": time.time(), "sent_at": sent_at, "client": "teller", "call": call, "method": method,
            "path": path, "payment": payment, "id": id_, "body": body, "status": reply.status_code, "text": reply.text,
        }  # fmt: skip
        self.lines.append(line | more)
        return line

    async def pay(self, key: str, *, wait: int | None = None, **fields: Any) -> Line:
        more = {} if wait is None else {"wait": wait}
        return await self.ask("pay", "POST", "/v1/payments", key, key, a_request(**fields), **more)

    async def capture(self, payment: str, key: str, **fields: Any) -> Line:
        return await self.ask("capture", "POST", f"/v1/payments/{payment}/capture", payment, key, fields)

    async def cancel(self, payment: str, key: str = "cancel") -> Line:
        return await self.ask("cancel", "POST", f"/v1/payments/{payment}/cancel", payment, key, {})

    async def refund(self, payment: str, key: str, **fields: Any) -> Line:
        return await self.ask("refund", "POST", f"/v1/payments/{payment}/refunds", payment, key, fields)

    async def get(self, payment: str) -> Line:
        return await self.ask("get", "GET", f"/v1/payments/{payment}", payment, None, None)

    async def get_refunds(self, payment: str) -> Line:
        return await self.ask("get_refunds", "GET", f"/v1/payments/{payment}/refunds", payment, None, None)

    async def bad(self, body: Any, *expected: int) -> Line:
        return await self.ask("bad", "POST", "/v1/payments", None, None, body, expected=list(expected))

    async def until(self, payment: str, status: str) -> None:
        """Ask until it stands so."""
        async with asyncio.timeout(30):
            while json.loads((await self.get(payment))["text"])["status"] != status:
                await asyncio.sleep(0.1)

    async def signal(self, payment: str, refund_id: str, amount: int) -> None:
        """A refund by signal, which wakes a payment that sleeps."""
        client, sent = await self.stack.temporal(), {"refund_id": refund_id, "amount": amount}
        await client.start_workflow(  # pyright: ignore[reportUnknownMemberType]
            "PaymentWorkflow",
            Start(),
            id=payment,
            task_queue=TASK_QUEUE,
            start_signal="request_refund",
            start_signal_args=[sent],
        )
        line = {"kind": "signal", "at": time.time(), "payment": payment, "refund_id": refund_id, "amount": amount}
        self.lines.append(line | {"taken": True})

    async def books(self) -> None:
        async with connected(self.stack.servers.postgres.dsn) as db:
            self.lines.append({"kind": "books", "at": time.time(), "hash": await fingerprint(db)})

    async def walk(self, of: str, *, at_rest: bool = False, **filter_: str) -> None:
        """Read a list to its end."""
        began_at, ids = time.time(), list[str | int]()
        name, query = ("sequence", {"limit": "1000"}) if of == "events" else ("id", {"limit": "3"} | filter_)
        while True:
            page = (await self.stack.http.get(f"/v1/{of}", params=query)).json()
            ids += [item[name] for item in page["data"]]
            following = {"after": str(page["next_after"])} if of == "events" else {"cursor": page["next_cursor"]}
            if not page["data"] or following.get("cursor", "") is None:
                break
            query |= {key: value for key, value in following.items() if value is not None}
        self.lines.append({
            "kind": "walk", "began_at": began_at, "at": time.time(), "of": of, "filter": filter_, "ids": ids,
            "complete": True, "at_rest": at_rest,
        })  # fmt: skip

    async def end(self) -> None:
        """All is quiet: the last event has its number, too. Then everybody looks how it stands."""
        async with self.stack.database() as db:
            while await db.fetchval("SELECT count(*) FROM unfed"):
                await asyncio.sleep(0.05)
        for payment in dict.fromkeys(line["payment"] for line in self.lines if line.get("call") == "pay"):
            await self.get(payment)
        await self.walk("events", at_rest=True)
        self.lines.append({"kind": "quiet", "at": time.time()})


def write(path: Path, lines: list[Line]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def copied(lines: list[Line]) -> list[Line]:
    """To be tampered with."""
    return deepcopy(lines)
