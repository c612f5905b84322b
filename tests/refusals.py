"""What every refusal must look like, and that it left nothing behind."""

import json
import secrets
from collections.abc import AsyncIterable, Iterable
from typing import Any

import httpx2
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from tests.harness import API_KEY, Stack, a_request

Json = dict[str, Any]
Headers = list[tuple[bytes, bytes]]

_MEMBERS = {"type", "title", "status", "detail", "instance", "code", "retryable"}
_OURS_TO_KEEP = (API_KEY, "Traceback", 'File "', "pydantic", "asyncpg", "site-packages")


def json_with(**fields: str) -> bytes:
    """A good request's JSON with these fields given as raw JSON text, which Python could not write otherwise."""
    good = {name: json.dumps(value) for name, value in a_request().items()}
    return ("{" + ", ".join(f'"{name}": {text}' for name, text in (good | fields).items()) + "}").encode()


async def post(
    stack: Stack,
    key: str | bytes | None,
    content: bytes | AsyncIterable[bytes],
    *,
    content_type: str | None = "application/json",
    headers: Iterable[tuple[str, bytes]] = (),
) -> httpx2.Response:
    """`POST /v1/payments` with nothing added and nothing mended on the way."""
    given: Headers = [(name.encode(), value) for name, value in headers]
    if key is not None:
        given.append((b"Idempotency-Key", key.encode() if isinstance(key, str) else key))
    if content_type is not None:
        given.append((b"Content-Type", content_type.encode()))
    return await stack.http.post("/v1/payments", content=content, headers=given)


def assert_problem(reply: httpx2.Response, status: int, code: str, *sent: str) -> Json:
    """The reply is this problem, with the members of the contract and no others, and shows nothing of what was sent."""
    assert (reply.status_code, reply.headers["Content-Type"]) == (status, "application/problem+json"), reply.text
    problem: Json = reply.json()
    assert problem["code"] == code, problem
    assert set(problem) - {"errors"} == _MEMBERS
    assert problem["status"] == status
    assert problem["type"] == f"urn:paysaga:problem:{code}"
    assert problem["instance"] == reply.request.url.raw_path.decode().partition("?")[0]
    assert problem["retryable"] is (status >= 500)
    assert len(problem["title"]) > 3
    assert len(problem["detail"]) > 20
    for error in problem.get("errors", []):
        assert set(error) == {"pointer", "detail"}
    shown = reply.text + str(reply.headers)
    for secret in (*_OURS_TO_KEEP, *sent):
        assert secret not in shown, f"{secret!r} is in {shown}"
    return problem


def pointers(problem: Json) -> list[str]:
    return [error["pointer"] for error in problem["errors"]]


_clients: dict[str, Client] = {}


async def is_known_to_temporal(stack: Stack, workflow_id: str) -> bool:
    address = stack.servers.temporal.address
    if address not in _clients:
        _clients[address] = await stack.temporal()
    try:
        await _clients[address].get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


async def assert_nothing_of(stack: Stack, key: str) -> None:
    """No row, no workflow, nothing done at the processor."""
    async with stack.database() as db:
        assert await db.fetchval("SELECT count(*) FROM payments WHERE id = $1", key) == 0
    assert not await is_known_to_temporal(stack, key)
    assert await stack.journal(key) == []


async def assert_left_no_trace(stack: Stack, key: str) -> None:
    """Nothing of it anywhere, and the key is still free: a good request with it pays."""
    await assert_nothing_of(stack, key)
    reply = await stack.pay(key)
    assert reply.status_code == 201, reply.text
    assert "Idempotent-Replayed" not in reply.headers
    assert reply.json()["status"] == "succeeded"


class Order:
    """An order that only the request under test names: finds what a request left behind when its key can't tell."""

    def __init__(self) -> None:
        self.id = f"order-{secrets.token_hex(6)}"
        self.content = json_with(order_id=f'"{self.id}"')

    async def assert_left_no_trace(self, stack: Stack) -> None:
        """No row is there for the order, and it can still be paid."""
        async with stack.database() as db:
            assert await db.fetchval("SELECT count(*) FROM payments WHERE order_id = $1", self.id) == 0
        reply = await stack.pay(f"pays-{self.id}", order_id=self.id)
        assert reply.json()["status"] == "succeeded", reply.text


def log_text(stack: Stack) -> str:
    """Everything that any process of the stack has logged."""
    logs = list(stack.servers.data.rglob("*.log*"))
    assert len(logs) >= 5, logs
    return "\n".join(log.read_text(errors="replace") for log in logs)
