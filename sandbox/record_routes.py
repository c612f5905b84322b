"""What the processor tells of the past: its record by time, and the settlement report made of it."""

import csv
import io
from datetime import datetime
from typing import Any

from aiohttp import web

from sandbox.processor import Processor
from sandbox.replies import as_json
from sandbox.requests import invalid
from sandbox.words import Answer, iso_time

LIMIT_MAX = 1000
LIMIT_DEFAULT = 100
SETTLED = ("capture", "refund", "refund_failed")
SETTLEMENT_COLUMNS = ("reference", "operation", "payment_id", "amount", "currency", "executed_at", "key")


class RecordRoutes:
    def __init__(self, processor: Processor) -> None:
        self._processor = processor

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_get("/v1/record", self._page)
        router.add_get("/v1/settlement.csv", self._settlement)

    async def _page(self, request: web.Request) -> web.Response:
        query = request.query
        after, limit = _integer(query, "after", 0), _integer(query, "limit", LIMIT_DEFAULT)
        if not 1 <= limit <= LIMIT_MAX:
            raise invalid("limit", f"must be from 1 to {LIMIT_MAX}")
        with self._processor.moment() as at:
            found = at.store.record(_time(query, "from"), _time(query, "to"), query.get("key"), after, limit)
        return as_json(Answer(200, {"data": found, "next_after": found[-1]["sequence"] if found else None}))

    async def _settlement(self, request: web.Request) -> web.Response:
        """Everything that moved money in the period, a line each."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(SETTLEMENT_COLUMNS)
        after = 0
        while True:
            with self._processor.moment() as at:
                found = at.store.record(
                    _time(request.query, "from"), _time(request.query, "to"), None, after, LIMIT_MAX
                )
            if not found:
                break
            settled = (line for line in found if line["operation"] in SETTLED)
            lines.writerows([line[column] for column in SETTLEMENT_COLUMNS] for line in settled)
            after = found[-1]["sequence"]
        return web.Response(text=text.getvalue(), content_type="text/csv")


def _integer(query: Any, name: str, default: int) -> int:
    value = query.get(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise invalid(name, "must be a number")
    return int(value)


def _time(query: Any, name: str) -> str | None:
    """As the record writes times, so that texts compare as times do."""
    value = query.get(name)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise invalid(name, "must be an ISO 8601 time") from error
    if at.tzinfo is None:
        raise invalid(name, "must have an offset from UTC")
    return iso_time(at.timestamp())
