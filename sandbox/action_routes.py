"""Where customers confirm or give up: a page for people, JSON for programs that play them."""

from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from sandbox import actions
from sandbox.action_rows import Action
from sandbox.pages import action_page
from sandbox.processor import Processor
from sandbox.replies import as_json
from sandbox.requests import invalid, json_object, only_known
from sandbox.words import Answer, Refusal


class ActionRoutes:
    def __init__(self, processor: Processor) -> None:
        self._processor = processor

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_get("/actions/{id}", self._get)
        router.add_post("/actions/{id}", self._post)

    async def _get(self, request: web.Request) -> web.Response:
        with self._processor.moment() as at:
            return _page(actions.find(at, request.match_info["id"]))

    async def _post(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        raw = await request.read()
        if request.content_type == "application/json":
            action = self._decide(id_, json_object(raw))
            return as_json(Answer(200, {"status": actions.operation_status(action)}))
        try:
            return _page(self._decide(id_, dict(parse_qsl(raw.decode("utf-8", "replace")))))
        except Refusal as refusal:
            if refusal.status != 409:
                raise
            with self._processor.moment() as at:
                return _page(actions.find(at, id_), status=409)

    def _decide(self, id_: str, body: dict[str, Any]) -> Action:
        only_known(body, "result", "late")
        result, late = body.get("result"), body.get("late", False)
        if result not in ("confirm", "abandon"):
            raise invalid("result", "must be confirm or abandon")
        if not isinstance(late, bool):
            raise invalid("late", "must be true or false, in JSON")
        with self._processor.moment() as at:
            return actions.confirm(at, id_, late=late) if result == "confirm" else actions.abandon(at, id_)


def _page(action: Action, status: int = 200) -> web.Response:
    return web.Response(text=action_page(action), status=status, content_type="text/html")
