"""The client's key names the payment; the processor gets its hash."""

import re

import pytest

from payments.identifiers import OperationKind, idempotency_key_problem, operation_key
from payments.money import Money
from payments.operations import Authorize, Capture, Operation, Refund, Void, key_of

EUR = Money(amount=4990, currency="EUR")


def test_operation_key_is_operation_attempt_and_32_hex_digits() -> None:
    for kind in OperationKind:
        assert re.fullmatch(rf"{kind}-7-[0-9a-f]{{32}}", operation_key(kind, "order-1", 7))


def test_operation_key_stays_what_it_is() -> None:
    """Written down here: an edit that changes it would charge every payment in flight again."""
    assert operation_key(OperationKind.CAPTURE, "order-1") == "capture-1-0bafe22156d2698c143b86040446d366"


def test_operation_keys_differ_by_operation_attempt_and_payment() -> None:
    keys = [operation_key(kind, name, n) for kind in OperationKind for name in ("a", "b", "a-1") for n in (1, 2, 11)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("length", [1, 255])
def test_operation_key_is_short_enough_for_every_processor(length: int) -> None:
    assert len(operation_key(OperationKind.AUTHORIZE, "x" * length, 999)) < 64


@pytest.mark.parametrize("payment_id", ["jane.doe@example.com", "+49 170 1234567", "customer-7"])
def test_operation_key_never_holds_the_clients_key(payment_id: str) -> None:
    hashed = operation_key(OperationKind.CAPTURE, payment_id).removeprefix("capture-1-")
    assert payment_id not in hashed


def test_processor_gets_one_key_for_an_operation_whatever_else_it_says() -> None:
    def keys(money: Money, subject: str) -> list[str]:
        operations: list[Operation] = [
            Authorize(payment_id="p", money=money, payment_method=subject),
            Capture(payment_id="p", money=money, authorization=subject),
            Void(payment_id="p", money=money, authorization=subject),
            Refund(payment_id="p", money=money, capture=subject),
        ]
        return [key_of(operation) for operation in operations]

    assert keys(EUR, "a") == keys(Money(amount=1, currency="JPY"), "b")
    assert keys(EUR, "a") == [operation_key(kind, "p", 1) for kind in OperationKind]


def test_a_new_attempt_has_a_new_key() -> None:
    first = Capture(payment_id="p", money=EUR, authorization="a")
    assert key_of(first.model_copy(update={"n": 2})) == operation_key(OperationKind.CAPTURE, "p", 2) != key_of(first)


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        '"quoted"',
        "it's",
        "with space",
        "...",
        ".a",
        "a.",
        "~!@$^&*()_+-=[]{};:,<>|`",
        "x" * 255,
    ],
)
def test_idempotency_key_is_usable(key: str) -> None:
    assert idempotency_key_problem(key) is None


@pytest.mark.parametrize("key", ["a/b", "a\\b", "a?", "#a", "100%", ".", ".."])
def test_idempotency_key_is_refused_when_it_cannot_be_a_path_segment(key: str) -> None:
    assert "URL path" in str(idempotency_key_problem(key))


@pytest.mark.parametrize(
    "key", ["", "x" * 256, "schlüssel", "ключ", "🔑", "４１", "a\n", "a\tb", "a\x00", "\x7f", "a\x85", "\ud800"]
)
def test_idempotency_key_is_refused_when_it_is_not_1_to_255_printable_ascii(key: str) -> None:
    assert "1 to 255 printable ASCII" in str(idempotency_key_problem(key))
