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


async def _walk(field: Field, path: str, of: str, id_: str) -> bool:
    """Read all pages of a list, and log what was seen; whether the end was reached."""
    began, ids, cursor, after = time.time(), list[str](), "", 0
    complete = False
    while not complete:
        query = f"after={after}" if of == "events" else f"cursor={cursor}" if cursor else ""
        page = await _page(field, f"{path}?limit={PAGE}&{query}")
        if page is None:
            break
        found = page["data"]
        ids += [str(item[id_]) for item in found]
        if of == "events":
            after, complete = (found[-1]["sequence"], False) if found else (after, True)
        else:
            cursor = page["next_cursor"] or ""
            complete = not cursor
    field.shop.told.note("walk", began_at=began, of=of, filter={}, ids=ids, complete=complete)
    return complete


async def _page(field: Field, path: str) -> Json | None:
    for _ in range(TRIES):
        reply = await field.shop.send("list", path.rstrip("&"), method="GET")
        if reply.status == 200:
            return reply.json
    return None


async def _read(field: Field, _random: Random) -> str | None:
    lists = {"transactions": "id", "payments": "id", "events": "sequence"}
    before = len(field.payments)
    read = [of for of, id_ in lists.items() if await _walk(field, f"/v1/{of}", of, id_)]
    return f"read {', '.join(read)} while {len(field.payments) - before} customers came" if read else None


FAULTS: Final = (
    Fault("lists-read", ("F53",), "whole lists are read while payments are written", "other", Lane.MISBEHAVES, _read),
)
