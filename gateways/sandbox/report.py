"""The sandbox's settlement report: CSV with a header, in UTF-8, one movement a line."""

import csv
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import BinaryIO, Final

from pydantic import ValidationError

from gateways.port import ReportProblem
from payments.moments import parse_moment
from payments.settlement import ItemOperation, SettlementItem

# A line of a report has some hundred bytes.
LINE_BYTES_MAX: Final = 64 * 1024
REQUIRED: Final = ("reference", "operation", "amount", "currency", "executed_at")
# Far more digits than any amount, and few enough to be read at once.
_DIGITS_MAX: Final = 18

_OPERATIONS: Final[Mapping[str, ItemOperation]] = MappingProxyType(
    {
        "capture": ItemOperation.CAPTURE,
        "refund": ItemOperation.REFUND,
        "refund_failed": ItemOperation.REFUND_REVERSAL,
    }
)


def read_report(file: BinaryIO) -> Iterator[SettlementItem | ReportProblem]:
    """Its lines one after another, at constant memory; what can't be read is told with its line's number.

    Columns: reference, operation (capture, refund, refund_failed), amount in minor units, currency, executed_at, and if
    they are there payment_id and key. Others are ignored.
    """
    lines = _Lines(file)
    rows = csv.reader(lines, strict=True)
    try:
        header = next(rows, list[str]())
        if missing := [name for name in REQUIRED if name not in header]:
            yield ReportProblem(1, f"the header has no column {', '.join(missing)}")
            return
        for row in rows:
            yield _item(header, row, rows.line_num) if row else ReportProblem(rows.line_num, "is empty")
    except (csv.Error, _Unreadable) as error:
        # What comes after it can't be told apart any more.
        yield ReportProblem(lines.number, str(error))


class _Unreadable(Exception):
    pass


class _Lines:
    """Text lines of a file, none longer than any line can be."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LINE_BYTES_MAX + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > LINE_BYTES_MAX:
            raise _Unreadable(f"is longer than {LINE_BYTES_MAX} bytes")
        try:
            return line.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise _Unreadable("is not UTF-8") from None


def _item(header: list[str], row: list[str], line: int) -> SettlementItem | ReportProblem:
    if len(row) != len(header):
        return ReportProblem(line, f"has {len(row)} fields, the header {len(header)}")
    fields = dict(zip(header, row, strict=True))
    operation = _OPERATIONS.get(fields["operation"])
    if operation is None:
        return ReportProblem(line, f"operation must be one of {', '.join(_OPERATIONS)}")
    amount = fields["amount"]
    if not (amount.isascii() and amount.isdigit() and len(amount) <= _DIGITS_MAX):
        return ReportProblem(line, "amount must be a positive number of minor units, in digits only")
    try:
        return SettlementItem(
            operation=operation,
            reference=fields["reference"],
            payment_id=fields.get("payment_id") or None,
            amount=int(amount),
            currency=fields["currency"],
            executed_at=parse_moment(fields["executed_at"]),
            operation_key=fields.get("key") or None,
            line=line,
        )
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
        return ReportProblem(line, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}")
    except ValueError as error:
        return ReportProblem(line, f"executed_at {error}")
