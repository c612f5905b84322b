"""The processor's HTTP side: routes, and the ways in which a reply can go wrong."""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from aiohttp import web

from sandbox import faults, rules
from sandbox.action_routes import ActionRoutes
from sandbox.late import LateExecutions
from sandbox.processor import Delivery, Outcome, Processor
from sandbox.record_routes import RecordRoutes
from sandbox.replies import as_json, errors_as_json
from sandbox.requests import json_object, money_request
from sandbox.store import Store
from sandbox.webhook_routes import WebhookRoutes
from sandbox.webhooks import Webhooks
from sandbox.words import Answer, Operation, Refusal

HANG_SECONDS = 60
TICK_SECONDS = 0.1
logger = logging.getLogger("sandbox")

ROUTES: dict[str, Operation] = {
    "/v1/authorizations": "authorize",
    "/v1/captures": "capture",
    "/v1/voids": "void",
    "/v1/refunds": "refund",
}


class Server:
    """Reads requests, lets the processor decide them, and delivers the outcome as the processor says."""

    def __init__(self, store: Store, processor: Processor, webhooks: Webhooks, public_url: str | None) -> None:
        self._store = store
        self._processor = processor
        self._webhooks = webhooks
        self._public_url = public_url
        self._late = LateExecutions(processor)

    def application(self) -> web.Application:
        app = web.Application(middlewares=[errors_as_json])
        for path, operation in ROUTES.items():
            app.router.add_post(path, self._money_handler(operation))
        app.router.add_get("/v1/operations/{key:.+}", self._get_operation)
        app.router.add_get("/journal", self._get_journal)
        app.router.add_post("/faults", self._post_fault)
        app.router.add_get("/faults", self._get_faults)
        app.router.add_delete("/faults", self._delete_faults)
        app.router.add_get("/livez", _livez)
        ActionRoutes(self._processor).add_to(app.router)
        RecordRoutes(self._processor).add_to(app.router)
        WebhookRoutes(self._store, self._processor, self._webhooks).add_to(app.router)
        app.cleanup_ctx.append(self._in_background)
        return app

    async def _in_background(self, _app: web.Application) -> AsyncGenerator[None]:
        for key, due_at in self._store.all_pending():
            self._late.arm(key, due_at)
        clockwork = asyncio.create_task(_keep_time(self._processor))
        async with self._webhooks.running():
            yield
        clockwork.cancel()
        self._late.stop()

    def _money_handler(self, operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            raw = await request.read()
            keys = request.headers.getall("Idempotency-Key", [])
            money = money_request(operation, keys, raw, self._base_url(request))
            # From here to the armed timer nothing awaits, so nothing can come between.
            outcome = self._processor.handle(money)
            if outcome.due_at is not None:
                self._late.arm(money.key, outcome.due_at)
            return await self._deliver(request, money.key, outcome)

        return handle

    def _base_url(self, request: web.Request) -> str:
        return (self._public_url or f"{request.scheme}://{request.host}").rstrip("/")

    async def _deliver(self, request: web.Request, key: str, outcome: Outcome) -> web.StreamResponse:
        if outcome.delivery is Delivery.WHEN_DONE:
            return as_json(await self._late.answer(key))
        if outcome.delay:
            await asyncio.sleep(outcome.delay)
        if outcome.delivery is Delivery.RESET:
            return _reset(request)
        if outcome.delivery is Delivery.HANG or outcome.answer is None:
            return await _hang(request)
        return as_json(outcome.answer, cut_off=outcome.delivery is Delivery.CUT_OFF)

    async def _get_operation(self, request: web.Request) -> web.Response:
        with self._processor.moment() as at:
            operation = rules.look_up(at, request.match_info["key"])
        if operation is None:
            raise Refusal("operation_not_found", "Nothing has happened under this key.", status=404)
        return as_json(Answer(200, operation))

    async def _get_journal(self, request: web.Request) -> web.Response:
        with self._processor.moment() as at:
            return as_json(Answer(200, {"data": at.store.journal(request.query.get("payment_id"))}))

    async def _post_fault(self, request: web.Request) -> web.Response:
        fault = faults.fault_from(json_object(await request.read()))
        with self._store.transaction():
            id_ = self._store.add_fault(fault)
        return as_json(Answer(201, {"id": id_, **fault, "remaining": fault["times"]}))

    async def _get_faults(self, _request: web.Request) -> web.Response:
        return as_json(Answer(200, {"data": self._store.faults()}))

    async def _delete_faults(self, _request: web.Request) -> web.Response:
        with self._store.transaction():
            self._store.clear_faults()
        return web.Response(status=204)


async def _keep_time(processor: Processor) -> None:
    """For those who listen to events: whoever asks finds done what was due anyway."""
    while True:
        try:
            with processor.moment():
                pass
        except Exception:
            logger.exception("what is due can't be done")
        await asyncio.sleep(TICK_SECONDS)


async def _livez(_request: web.Request) -> web.Response:
    return as_json(Answer(200, {"status": "ok"}))


async def _hang(request: web.Request) -> web.StreamResponse:
    # The runner cancels this when the client leaves.
    await asyncio.sleep(HANG_SECONDS)
    if request.transport:
        request.transport.close()
    return web.Response(status=504)  # goes nowhere: the connection is closed


def _reset(request: web.Request) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        connection: Any = transport.get_extra_info("socket")
        # Lingering for no time at all makes the kernel send a reset instead of a farewell.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=504)  # goes nowhere: the connection is gone
