"""What clients accept, and files that a spreadsheet opens without running them."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request

from api.exporting import Format, accepted, csv_lines, header
from api.problems import Code, ProblemError
from payments.history import Transaction, TransactionStatus, TransactionType
from payments.payment import Failure


def request(*accept: str) -> Request:
    return Request({"type": "http", "headers": [(b"accept", value.encode()) for value in accept]})


@pytest.mark.parametrize(
    ("accept", "format_"),
    [
        ((), Format.JSON),
        (("",), Format.JSON),
        (("*/*",), Format.JSON),
        (("application/json",), Format.JSON),
        (("application/*",), Format.JSON),
        (("text/csv",), Format.CSV),
        (("TEXT/CSV; charset=utf-8",), Format.CSV),
        (("text/*",), Format.CSV),
        (("application/x-ndjson",), Format.NDJSON),
        (("application/json;q=0.5, text/csv",), Format.CSV),
        (("text/csv;q=0.1", "application/x-ndjson;q=0.2"), Format.NDJSON),
        (("text/html,application/xhtml+xml,*/*;q=0.8",), Format.JSON),
        (("text/csv;q=0, */*",), Format.JSON),
        (("application/json;q=0, */*;q=0.1",), Format.CSV),
        (("text/csv;q=nonsense, application/json;q=0.1",), Format.JSON),
    ],
)
def test_format_is_the_one_that_is_liked_best(accept: tuple[str, ...], format_: Format) -> None:
    assert accepted(request(*accept)) is format_


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "application/json;q=0, text/html", "*/*;q=0"])
def test_what_we_do_not_have_is_refused(accept: str) -> None:
    with pytest.raises(ProblemError) as error:
        accepted(request(accept))
    assert error.value.code is Code.NOT_ACCEPTABLE


def a_line(**fields: Any) -> Transaction:
    least = Transaction(
        id="txn_1",
        type=TransactionType.REFUND,
        status=TransactionStatus.SUCCEEDED,
        amount=-1234,
        currency="EUR",
        amount_requested=1234,
        payment_id="p",
        customer=None,
        order_id=None,
        description=None,
        processor="sandbox",
        created_at=datetime(2026, 11, 23, 10, tzinfo=UTC),
    )
    return least.model_copy(update=fields)


def cells(line: Transaction) -> dict[str, str]:
    (row,) = csv.DictReader(io.StringIO(header() + csv_lines((line,)), newline=""))
    return row


def test_amounts_stay_numbers_in_both_units() -> None:
    row = cells(a_line())
    assert (row["amount"], row["amount_decimal"], row["amount_requested"]) == ("-1234", "-12.34", "1234")
    assert cells(a_line(amount=-1, currency="EUR"))["amount_decimal"] == "-0.01"
    assert cells(a_line(amount=-1234, currency="JPY"))["amount_decimal"] == "-1234"
    assert cells(a_line(amount=1234, currency="KWD"))["amount_decimal"] == "1.234"
    assert cells(a_line(amount=0))["amount_decimal"] == "0.00"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
@pytest.mark.parametrize("field", ["payment_id", "refund_id", "customer", "order_id", "description"])
def test_text_never_becomes_a_formula(field: str, start: str) -> None:
    text = f'{start}HYPERLINK("http://x","y"),1'
    assert cells(a_line(**{field: text}))[field] == f"'{text}"


def test_processors_words_never_become_a_formula() -> None:
    row = cells(a_line(failure=Failure(code="=1", message="@SUM(A1)"), processor_reference="-1", operation_key="+1"))
    words = [row[name] for name in ("failure_code", "failure_message", "processor_reference", "operation_key")]
    assert words == ["'=1", "'@SUM(A1)", "'-1", "'+1"]


def test_quotes_commas_and_line_breaks_stay_in_their_cell() -> None:
    text = 'two "books",\r\nand an emoji 🎈; x=1'
    assert cells(a_line(description=text))["description"] == text
