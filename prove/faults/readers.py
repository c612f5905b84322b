"""People who read long lists while payments are written."""

import time
from random import Random
from typing import Final

from prove.catalogue import Fault, Lane
from prove.field import Field
from prove.told import Json

# The largest page, so that a walk through thousands ends in seconds.
PAGE: Final = 100
# A page that no answer comes for is asked for again, so often.
TRIES: Final = 50


LISTS: Final = {"transactions": "id", "payments": "id", "events": "sequence"}


async def _walk(field: Field, of: str, id_: str, *, at_rest: bool) -> bool:
    """Read all pages of a list, and log what was seen; whether the end was reached."""
    began, ids, cursor, after = time.time(), list[str](), "", 0
    complete = False
    while not complete:
        query = f"after={after}" if of == "events" else f"cursor={cursor}" if cursor else ""
        page = await _page(field, f"/v1/{of}?limit={PAGE}&{query}")
        if page is None:
            break
        found = page["data"]
        ids += [str(item[id_]) for item in found]
        if of == "events":
            after, complete = (found[-1]["sequence"], False) if found else (after, True)
        else:
            cursor = page["next_cursor"] or ""
            complete = not cursor
    field.shop.told.note("walk", began_at=began, of=of, filter={}, ids=ids, complete=complete, at_rest=at_rest)
    return complete


async def _page(field: Field, path: str) -> Json | None:
    for _ in range(TRIES):
        reply = await field.shop.send("list", path.rstrip("&"), method="GET")
        if reply.status == 200:
            return reply.json
    return None


async def read_all(field: Field, *, at_rest: bool) -> list[str]:
    """Every list from its beginning; the names of those whose end was reached."""
    return [of for of, id_ in LISTS.items() if await _walk(field, of, id_, at_rest=at_rest)]


async def _read(field: Field, _random: Random) -> str | None:
    before = len(field.payments)
    if len(read := await read_all(field, at_rest=False)) < len(LISTS):
        return None
    return f"read {', '.join(read)} while {len(field.payments) - before} customers came"


FAULTS: Final = (
    Fault("lists-read", ("F53",), "whole lists are read while payments are written", "other", Lane.MISBEHAVES, _read),
)
