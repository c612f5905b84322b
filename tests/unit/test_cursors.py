"""A cursor is good for the list, the filters and the key that it was made with, and for nothing else."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursors import Cursors
from api.problems import Code, ProblemError
from payments.history import Place

CURSORS = Cursors("sk_test_0123456789abcdef")
PLACE = Place(created_at=datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=UTC), id="order-1:2 & more")
GOOD = CURSORS.write("/v1/payments?{}", PLACE)


def refused(cursor: str, scope: str = "/v1/payments?{}", cursors: Cursors = CURSORS) -> bool:
    with pytest.raises(ProblemError) as error:
        cursors.read(scope, cursor)
    return error.value.code is Code.CURSOR_INVALID


@given(st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.just(UTC)), st.text(min_size=1, max_size=255))  # noqa: DTZ001
def test_place_comes_back_exactly(created_at: datetime, id_: str) -> None:
    place = Place(created_at=created_at, id=id_.encode("utf-8", "replace").decode())
    cursors = Cursors("sk_test_0123456789abcdef")
    if len(place.id.encode()) <= 255:  # a key's letters are ASCII
        assert cursors.read("x", cursors.write("x", place)) == place


def test_other_process_with_the_same_key_reads_it() -> None:
    assert Cursors("sk_test_0123456789abcdef").read("/v1/payments?{}", GOOD) == PLACE


def test_foreign_cursor_is_refused() -> None:
    assert refused(GOOD, scope="/v1/transactions?{}")
    assert refused(GOOD, scope='/v1/payments?{"status":"declined"}')
    assert refused(GOOD, cursors=Cursors("sk_test_another_key_0001"))


def test_scope_and_place_cannot_run_into_each_other() -> None:
    longer = Place(created_at=PLACE.created_at, id="x")
    assert refused(CURSORS.write("ab", longer), scope="a")


@pytest.mark.parametrize("position", range(0, len(GOOD), 3))
def test_changed_letter_is_refused(position: int) -> None:
    other = "A" if GOOD[position] != "A" else "B"
    assert refused(GOOD[:position] + other + GOOD[position + 1 :])


@pytest.mark.parametrize(
    "cursor",
    ["", "=", "a", GOOD[:-1], GOOD[:-4], GOOD[4:], GOOD + "A", GOOD * 20, "ü" + GOOD, GOOD + "\x00", "%00"],
)
def test_torn_cursor_is_refused(cursor: str) -> None:
    assert refused(cursor)


def test_forged_cursor_is_refused() -> None:
    text = b"1795428000000000:order-1"
    assert refused(base64.urlsafe_b64encode(b"\x00" * 16 + text).decode().rstrip("="))
    assert refused(base64.urlsafe_b64encode(text).decode().rstrip("="))
