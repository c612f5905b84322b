"""The settlement report's reader: line by line, at constant memory, whatever stands in the file."""

import io
import tracemalloc
from datetime import UTC, datetime

from typing_extensions import Buffer

from gateways.port import ReportProblem
from gateways.sandbox.report import LINE_BYTES_MAX, read_report
from payments.settlement import ItemOperation, SettlementItem

HEADER = b"reference,operation,payment_id,amount,currency,executed_at,key,fee\n"
LINE = b"cap_1,capture,order-1,4990,EUR,2026-01-01T10:00:00Z,capture-1-abc,30\n"


def items(content: bytes) -> list[SettlementItem | ReportProblem]:
    return list(read_report(io.BytesIO(content)))


def test_line_is_read_with_its_number_and_columns_that_nobody_knows_are_ignored() -> None:
    [item] = items(HEADER + LINE)
    assert item == SettlementItem(
        operation=ItemOperation.CAPTURE,
        reference="cap_1",
        payment_id="order-1",
        amount=4990,
        currency="EUR",
        executed_at=datetime(2026, 1, 1, 10, tzinfo=UTC),
        operation_key="capture-1-abc",
        line=2,
    )


def test_byte_order_mark_and_line_ends_of_windows_change_nothing() -> None:
    assert items(b"\xef\xbb\xbf" + HEADER.replace(b"\n", b"\r\n") + LINE.replace(b"\n", b"\r\n")) == items(
        HEADER + LINE
    )


def test_columns_may_stand_in_any_order_and_those_that_may_be_missing_may_be_empty() -> None:
    [item] = items(b"currency,executed_at,amount,operation,reference\nJPY,2026-01-01,5,refund_failed,re_1\n")
    assert isinstance(item, SettlementItem)
    assert (item.operation, item.payment_id, item.operation_key) == (ItemOperation.REFUND_REVERSAL, None, None)
    [item] = items(HEADER + b"re_1,refund,,5,JPY,2026-01-01,,\n")
    assert isinstance(item, SettlementItem)
    assert (item.operation, item.payment_id, item.operation_key) == (ItemOperation.REFUND, None, None)


def test_each_bad_line_is_told_and_the_good_ones_are_read() -> None:
    found = items(HEADER + LINE + b"cap_2,capture,,no,EUR,2026-01-01,,\n" + LINE + b"\n" + LINE)
    assert [each.line for each in found] == [2, 3, 4, 5, 6]
    assert [isinstance(each, ReportProblem) for each in found] == [False, True, False, True, False]


class _Endless(io.RawIOBase):
    """A file of a gigabyte that nobody keeps in memory."""

    def __init__(self, head: bytes, block: bytes, size: int) -> None:
        self._rest, self._block, self._left = head, block, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        if not self._rest and self._left > 0:
            self._rest, self._left = self._block, self._left - len(self._block)
        part, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(part)] = part
        return len(part)


def peak_of(head: bytes, block: bytes, size: int) -> tuple[int, int, list[ReportProblem]]:
    """How many items and how much memory it took to read them, in bytes, and what was wrong."""
    file = io.BufferedReader(_Endless(head, block, size))
    tracemalloc.start()
    count, problems = 0, list[ReportProblem]()
    for each in read_report(file):
        if isinstance(each, ReportProblem):
            problems.append(each)
        else:
            count += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return count, peak, problems


def test_line_of_a_gigabyte_is_refused_after_its_first_64_kilobytes() -> None:
    count, peak, problems = peak_of(HEADER, b"x" * 2**20, 2**30)
    assert (count, problems) == (0, [ReportProblem(2, f"is longer than {LINE_BYTES_MAX} bytes")])
    assert peak < 8 * 2**20


def test_quote_that_is_never_closed_does_not_swallow_a_gigabyte() -> None:
    count, peak, [problem] = peak_of(HEADER + b'"', b"x,\n" * 2**18, 2**30)
    assert (count, problem.what) == (0, "field larger than field limit (131072)")
    assert peak < 8 * 2**20


def test_many_lines_take_no_more_memory_than_a_few() -> None:
    lines = LINE * 1000
    few, peak_of_few, _ = peak_of(HEADER, lines, len(lines))
    many, peak_of_many, _ = peak_of(HEADER, lines, 20 * len(lines))
    assert (few, many) == (1000, 20_000)
    assert peak_of_many < 1.5 * peak_of_few
