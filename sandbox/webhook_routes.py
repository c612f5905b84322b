"""Events to be read and sent again, and the ways in which webhooks can go wrong on request."""

from aiohttp import web

from sandbox.outbox import COPIES
from sandbox.processor import Processor
from sandbox.replies import as_json
from sandbox.requests import invalid, json_object, only_known, times
from sandbox.store import Store
from sandbox.webhooks import Webhooks
from sandbox.words import Answer, Refusal


class WebhookRoutes:
    def __init__(self, store: Store, processor: Processor, webhooks: Webhooks) -> None:
        self._store = store
        self._processor = processor
        self._webhooks = webhooks

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_get("/events", self._list)
        router.add_post("/events/{id}/resend", self._resend)
        router.add_post("/webhooks", self._set_mode)

    async def _list(self, request: web.Request) -> web.Response:
        with self._processor.moment() as at:
            return as_json(Answer(200, {"data": at.store.outbox.events(request.query.get("payment_id"))}))

    async def _resend(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        self._webhooks.resend(id_)
        event = self._store.outbox.event(id_)
        if event is None:
            raise Refusal("event_not_found", "There is no such event.", status=404)
        return as_json(Answer(202, event))

    async def _set_mode(self, request: web.Request) -> web.Response:
        body = json_object(await request.read())
        only_known(body, "mode", "times")
        mode = body.get("mode")
        if mode not in tuple(COPIES):
            raise invalid("mode", f"must be one of {', '.join(COPIES)}")
        left = None if body.get("times") is None else times(body["times"])
        with self._processor.moment() as at:
            at.store.outbox.set_mode(mode, left, at.now)
        return as_json(Answer(200, {"mode": mode, "times": left}))
