"""Answers as HTTP: JSON, also for what goes wrong."""

import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from sandbox.words import Answer, Refusal

logger = logging.getLogger("sandbox")


def as_json(answer: Answer, *, cut_off: bool = False) -> web.Response:
    payload = json.dumps(answer.body)
    if cut_off:
        payload = payload[: len(payload) // 2]
    return web.Response(text=payload, status=answer.status, headers=answer.headers, content_type="application/json")


@web.middleware
async def errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return as_json(refusal.answer)
    except web.HTTPException as error:
        code = error.reason.lower().replace(" ", "_")
        return as_json(Refusal(code, error.reason, status=error.status).answer)
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        return as_json(Refusal("internal_error", "The sandbox failed.", status=500, type_="api_error").answer)
