"""Moments in requests: RFC 3339, a date alone, and nothing that could mean two things."""

from datetime import UTC, datetime

import pytest

from payments.moments import parse_moment


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-23", "2026-11-23T00:00:00"),
        ("2026-11-23T10:00Z", "2026-11-23T10:00:00"),
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00"),
        ("2026-11-23t10:00:00.5z", "2026-11-23T10:00:00.500000"),
        ("2026-11-23T10:00:00.123456789Z", "2026-11-23T10:00:00.123456"),
        ("2026-11-23T10:00:00+05:45", "2026-11-23T04:15:00"),
        ("2026-11-23T10:00:00-12:00", "2026-11-23T22:00:00"),
        ("2026-11-23T10:00:00 14:00", "2026-11-22T20:00:00"),  # a + that the URL did not escape
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59"),
        ("0001-01-01", "0001-01-01T00:00:00"),
    ],
)
def test_moment_is_read_in_utc(text: str, utc: str) -> None:
    assert parse_moment(text) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "1795444800",
        "2026-11-23T10:00:00",  # whose ten o'clock?
        "20261123T100000Z",
        "2026-W48-1",
        "2026-11-31",
        "2026-02-29T00:00:00Z",
        "2026-11-23T25:00:00Z",
        "2026-11-23T10:00:00+25:00",
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+00:01",
        "10000-01-01",
        "２０２６-11-23",
        "2026-11-23T10:00:00Z\n",
        "2026-11-23' OR 1=1 --",
        20261123,
        None,
    ],
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^(must be a|is no) "):
        parse_moment(text)
