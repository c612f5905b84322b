"""The clients' log and the processor's record, on their way into tables of the auditor's own session."""

import json
import math
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.error import URLError
from urllib.request import urlopen

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Json = dict[str, Any]
Row = tuple[Any, ...]

PAGE: Final = 1000
"""As many entries as the processor gives at once."""
SECONDS: Final = 30
"""As long as a page may take."""
CALLS: Final = frozenset({"pay", "capture", "cancel", "refund", "get", "get_refunds", "list", "events", "bad"})
LISTS: Final = frozenset({"transactions", "events", "payments"})
_DIGITS_MAX: Final = 100
_ENTRY: Final = ("sequence", "operation", "key", "reference", "payment_id", "amount", "currency", "executed_at", "hold")


class CannotAudit(Exception):
    """There is nothing to judge, and why."""


# The processor


async def load_journal(connection: Connection, url: str) -> int:
    """Everything that the processor has ever done; how many entries."""
    try:
        rows = [tuple(entry[name] for name in _ENTRY) for entry in _record(url)]
    except (KeyError, TypeError) as error:
        raise CannotAudit(f"What {url} shows is no processor's record: {error!r}") from error
    await connection.copy_records_to_table("journal", records=rows, columns=_ENTRY, schema_name="pg_temp")
    return len(rows)


def _record(url: str) -> Generator[Json]:
    after = 0
    while True:
        page = _get(f"{url.rstrip('/')}/v1/record?after={after}&limit={PAGE}")
        yield from page["data"]
        if page["next_after"] is None:
            return
        after = page["next_after"]


def _get(address: str) -> Json:
    if not address.startswith(("http://", "https://")):
        raise CannotAudit(f"The processor's address must begin with http:// or https://, not as {address!r} does.")
    try:
        with urlopen(address, timeout=SECONDS) as reply:  # noqa: S310 - held to HTTP above
            return json.load(reply)
    except (URLError, OSError, ValueError) as error:
        raise CannotAudit(f"The processor does not show its record at {address}: {error}") from error


# The clients


class Told:
    """The clients' log. It is read line by line, so its length doesn't matter; what is no answer is found again by its
    place in the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._others: list[tuple[int, int]] = []
        self.lines = 0

    async def load(self, connection: Connection) -> None:
        """Copy everything into its table. Raises `CannotAudit` for a line that can't be read."""
        try:
            await _copy(connection, "told", self._answers())
            for kind, table, read in _OTHERS:
                await _copy(connection, table, self._of_kind(kind, read))
        except OSError as error:
            raise CannotAudit(f"The clients' log can't be read: {error}") from error

    async def _answers(self) -> AsyncGenerator[Row]:
        with self._path.open("rb") as log:
            place = 0
            for number, line in enumerate(log, 1):
                entry = self._parse(number, line)
                kind = entry.get("kind")
                if kind == "answer":
                    yield self._read(number, entry, _answer)
                elif kind in _OTHER_KINDS:
                    self._others.append((number, place))
                else:
                    raise CannotAudit(f"{self._path}, line {number}: the kind {kind!r} is not known.")
                place += len(line)
                self.lines = number

    async def _of_kind(self, kind: str, read: "Callable[[int, Json], Generator[Row]]") -> AsyncGenerator[Row]:
        with self._path.open("rb") as log:
            for number, place in self._others:
                log.seek(place)
                entry = self._parse(number, log.readline())
                if entry["kind"] == kind:
                    for row in self._read(number, entry, lambda n, e: list(read(n, e))):
                        yield row

    def _parse(self, number: int, line: bytes) -> Json:
        try:
            entry = json.loads(line, parse_constant=str, parse_int=_integer)
        except (ValueError, RecursionError) as error:
            raise CannotAudit(f"{self._path}, line {number}: no JSON: {error}") from error
        if not isinstance(entry, dict):
            raise CannotAudit(f"{self._path}, line {number}: no JSON object.")
        return entry  # pyright: ignore[reportUnknownVariableType]

    def _read(self, number: int, entry: Json, read: Callable[[int, Json], Any]) -> Any:
        try:
            return read(number, entry)
        except KeyError as error:
            raise CannotAudit(f"{self._path}, line {number}: {error} is missing.") from error
        except (TypeError, ValueError) as error:
            raise CannotAudit(f"{self._path}, line {number}: {error}") from error


async def _copy(connection: Connection, table: str, rows: AsyncGenerator[Row]) -> None:
    try:
        await connection.copy_records_to_table(table, records=rows, schema_name="pg_temp")  # pyright: ignore[reportArgumentType]
    finally:
        await rows.aclose()


def _answer(number: int, entry: Json) -> Row:
    if entry["call"] not in CALLS:
        raise ValueError(f"the call {entry['call']!r} is not known")
    expected: list[int] | None = entry.get("expected")
    if entry["call"] == "bad" and not expected:
        raise ValueError("a request that must be refused names the statuses that are `expected`")
    body, status = entry["body"], entry["status"]
    if status is not None and type(status) is not int:
        raise ValueError(f"the status {status!r} is no number")
    names = (_text(entry[name]) for name in ("client", "call", "method", "path", "payment", "id"))
    sent = None if body is None else _json(body)
    return (number, float(entry["at"]), float(entry["sent_at"]), *names, sent, status, _text(entry["text"]), expected)


def _signal(number: int, entry: Json) -> Generator[Row]:
    # A signal may carry anything for an amount.
    amount = entry["amount"] if type(entry["amount"]) is int and abs(entry["amount"]) < 2**63 else None
    refund = _text(entry["refund_id"])
    yield number, float(entry["at"]), _text(entry["payment"]), refund, amount, bool(entry["taken"])


def _acted(number: int, entry: Json) -> Generator[Row]:
    yield number, float(entry["at"]), _text(entry["payment"])


def _interrupted(number: int, entry: Json) -> Generator[Row]:
    since = None if entry["since"] is None else float(entry["since"])
    yield number, float(entry["at"]), _text(entry["payment"]), since


def _books(number: int, entry: Json) -> Generator[Row]:
    yield number, float(entry["at"]), _text(entry["hash"])


def _walk(number: int, entry: Json) -> Generator[Row]:
    if entry["of"] not in LISTS:
        raise ValueError(f"there is no list of {entry['of']!r}")
    times, filter_ = (float(entry["began_at"]), float(entry["at"])), _json(entry["filter"] or {})
    yield number, *times, entry["of"], filter_, bool(entry["complete"]), bool(entry["at_rest"])


def _walked(number: int, entry: Json) -> Generator[Row]:
    for place, id_ in enumerate(entry["ids"], 1):
        yield number, place, _text(str(id_))


def _quiet(number: int, entry: Json) -> Generator[Row]:
    yield number, float(entry["at"])


_OTHERS: Final[tuple[tuple[str, str, Callable[[int, Json], Generator[Row]]], ...]] = (
    ("signal", "signal", _signal),
    ("acted", "acted", _acted),
    ("interrupted", "interrupted", _interrupted),
    ("books", "fingerprint", _books),
    ("walk", "walk", _walk),
    ("walk", "walked", _walked),
    ("quiet", "quiet", _quiet),
)
_OTHER_KINDS: Final = frozenset(kind for kind, _, _ in _OTHERS)


def _text(value: Any) -> str | None:
    """As PostgreSQL can keep it: neither U+0000 nor half a surrogate pair, which hostile requests have."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return (
        value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        if not value.isascii() or "\0" in value
        else value
    )


def _json(value: Any) -> str:
    return json.dumps(_storable(value), ensure_ascii=False, allow_nan=False)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_storable(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {_text(name): _storable(item) for name, item in value.items()}  # pyright: ignore
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _integer(digits: str) -> int | str:
    """What is too long for a number anywhere stays as it was written."""
    return int(digits) if len(digits) < _DIGITS_MAX else digits
