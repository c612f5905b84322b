"""Asking a process on this machine whether it answers. With the standard library's client, in a thread: to import
another one would take longer than anything else the supervisor does before it starts the first process."""

import asyncio
import json
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

_TIMEOUT_SECONDS = 2
# Whatever proxy the user's environment names is not for this machine's own processes.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


async def get_status(url: str) -> int | None:
    """The status of a GET, None if nobody answers."""
    status, _ = await asyncio.to_thread(_get, url)
    return status


async def get_json(url: str) -> Any:
    """The body of a successful GET, None if there is none."""
    status, body = await asyncio.to_thread(_get, url)
    try:
        return json.loads(body) if status == 200 else None
    except ValueError:
        return None


def _get(url: str) -> tuple[int | None, bytes]:
    try:
        with _OPENER.open(url, timeout=_TIMEOUT_SECONDS) as response:
            return response.status, response.read()
    except HTTPError as error:
        with error:
            return error.code, b""
    except (OSError, HTTPException):
        return None, b""
