"""The transaction history as a file, streamed: however long it is, only a part of it is in memory."""

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, Callable
from enum import StrEnum
from typing import Final

from fastapi import Request
from fastapi.responses import StreamingResponse

from api.calling import read
from api.problems import RETRY_AFTER_SECONDS, Code, ProblemError
from ledger.port import LedgerUnavailable
from ledger.reading import History
from payments.history import Place, Transaction, TransactionFilter

# Some 100 kB, and some ten milliseconds in which this process serves nobody else.
_LINES_AT_ONCE: Final = 500
# An hour's work is not lost by a restart of PostgreSQL.
_RETRIES: Final = 15
# What a spreadsheet takes for the beginning of a formula (https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class Format(StrEnum):
    """What transactions can be had as."""

    JSON = "application/json"
    CSV = "text/csv"
    NDJSON = "application/x-ndjson"


_SUFFIX: Final = {Format.CSV: "csv", Format.NDJSON: "ndjson"}


def accepted(request: Request) -> Format:
    """The format that the client likes best (RFC 9110, 12.5.1); JSON if it doesn't mind. Raises `ProblemError`."""
    header = ",".join(request.headers.getlist("Accept")) or "*/*"
    wanted: dict[str, float] = {}
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        wanted[name] = max((_quality(p) for p in parameters if p.startswith("q=")), default=1.0)

    def quality(format_: Format) -> float:
        kind = format_.partition("/")[0]
        return next((wanted[name] for name in (format_, f"{kind}/*", "*/*") if name in wanted), 0.0)

    best = max(Format, key=quality)
    if quality(best) == 0:
        raise ProblemError(Code.NOT_ACCEPTABLE, f"Transactions can be had as {', '.join(Format)}.")
    return best


def _quality(parameter: str) -> float:
    try:
        return min(max(float(parameter.removeprefix("q=")), 0.0), 1.0)
    except ValueError:
        return 0.0


async def export(history: History, wanted: TransactionFilter, format_: Format) -> StreamingResponse:
    """All that is wanted, the newest first. Raises `LedgerUnavailable` before anything is sent; a longer outage later
    cuts the stream off without the end that HTTP gives a whole one."""
    write = csv_lines if format_ is Format.CSV else _ndjson_lines
    first = await read(history.transactions(wanted, None, _LINES_AT_ONCE))
    headers = {"Content-Disposition": f'attachment; filename="transactions.{_SUFFIX[format_]}"'}
    media_type = f"{format_}; charset=utf-8" + ("; header=present" if format_ is Format.CSV else "")
    content = _content(history, wanted, first, write)
    return StreamingResponse(content, headers=headers | {"Content-Type": media_type})


async def _content(
    history: History,
    wanted: TransactionFilter,
    lines: tuple[Transaction, ...],
    write: Callable[[tuple[Transaction, ...]], str],
) -> AsyncGenerator[str]:
    if write is csv_lines:
        yield header()
    while lines:
        yield write(lines)
        lines = await _next(history, wanted, Place.of(lines[-1])) if len(lines) == _LINES_AT_ONCE else ()


async def _next(history: History, wanted: TransactionFilter, place: Place) -> tuple[Transaction, ...]:
    for _ in range(_RETRIES):
        try:
            return await read(history.transactions(wanted, place, _LINES_AT_ONCE))
        except LedgerUnavailable:
            await asyncio.sleep(RETRY_AFTER_SECONDS)
    return await read(history.transactions(wanted, place, _LINES_AT_ONCE))


def _ndjson_lines(lines: tuple[Transaction, ...]) -> str:
    return "".join(f"{line.model_dump_json()}\n" for line in lines)


# Numbers stay numbers; whatever somebody chose as text can't become a formula.
_COLUMNS: Final[dict[str, Callable[[Transaction], str | int]]] = {
    "id": lambda t: t.id,
    "created_at": lambda t: t.created_at.isoformat(),
    "type": lambda t: t.type,
    "status": lambda t: t.status,
    "amount": lambda t: t.amount,
    "amount_decimal": lambda t: t.amount_decimal,
    "currency": lambda t: t.currency,
    "amount_requested": lambda t: t.amount_requested,
    "payment_id": lambda t: _text(t.payment_id),
    "refund_id": lambda t: _text(t.refund_id),
    "customer": lambda t: _text(t.customer),
    "order_id": lambda t: _text(t.order_id),
    "description": lambda t: _text(t.description),
    "processor": lambda t: _text(t.processor),
    "processor_reference": lambda t: _text(t.processor_reference),
    "operation_key": lambda t: _text(t.operation_key),
    "failure_code": lambda t: _text(t.failure and t.failure.code),
    "failure_message": lambda t: _text(t.failure and t.failure.message),
}


def header() -> str:
    """The names of the columns, as the first line."""
    return ",".join(_COLUMNS) + "\r\n"


def csv_lines(lines: tuple[Transaction, ...]) -> str:
    """RFC 4180 (https://www.rfc-editor.org/rfc/rfc4180)."""
    text = io.StringIO()
    csv.writer(text).writerows([column(line) for column in _COLUMNS.values()] for line in lines)
    return text.getvalue()


def _text(value: str | None) -> str:
    return f"'{value}" if value and value.startswith(_FORMULA) else value or ""
