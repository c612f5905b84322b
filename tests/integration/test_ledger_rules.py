"""The rules of the books, tried with plain SQL: they hold whatever the code above them does."""

from typing import Any

import asyncpg
import pytest

from tests.harness import new_key
from tests.integration import ledger_rows
from tests.integration.ledger_rows import (
    ANSWER,
    RECEIVABLE,
    Connection,
    a_paid_payment,
    a_payment,
    a_posting,
    a_recorded_posting,
    a_transaction,
    insert,
    rule_of,
)

db = ledger_rows.db

PAYMENTS: list[tuple[str, dict[str, Any]]] = [
    *(
        ("payment_id_is_a_key", {"id": key})
        for key in ["", "x" * 256, "a/b", "a\\b", "a?", "a#", "a%", ".", "..", "ü", "a\n"]
    ),
    *(("fingerprint_is_sha256", {"fingerprint": text}) for text in ["", "0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n"]),
    ("status_is_known", {"status": "paid", "answer": ANSWER}),
    ("amount_is_positive", {"amount": 0}),
    ("amount_is_positive", {"amount": -1}),
    *(("currency_is_a_code", {"currency": code}) for code in ["eur", "EURO", "", "EU"]),
    ("refunded_within_captured", {"amount_captured": 5, "amount_refunded": 6}),
    ("refunded_within_captured", {"amount_captured": 5, "amount_refunded": -1}),
    ("refunded_within_captured", {"amount_captured": -1, "amount_refunded": -1}),
    ("authorized_is_not_negative", {"amount_authorized": -1}),
    ("answered_when_decided", {"answer": ANSWER}),
    ("answered_when_decided", {"status": "requires_action", "answer": ANSWER}),
    *(
        ("answered_when_decided", {"status": status, "failure_code": "x", "failure_message": "x"})
        for status in ["declined", "canceled", "failed", "expired", "authorized"]
    ),
    ("succeeded_means_charged", {"status": "succeeded", "answer": ANSWER}),
    ("succeeded_means_charged", {"status": "succeeded", "answer": ANSWER, "amount_captured": 4989}),
    ("succeeded_means_charged", {"status": "succeeded", "answer": ANSWER, "amount_captured": 4991}),
    (
        "succeeded_means_charged",
        {"status": "succeeded", "answer": ANSWER, "amount_captured": 4990, "amount_refunded": 1},
    ),
    ("succeeded_means_charged", {"status": "succeeded", "answer": ANSWER, "amount_captured": 4990, "conflicted": True}),
    *(
        (
            "refused_means_not_charged",
            {"status": status, "answer": ANSWER, "amount_captured": 1, "failure_code": "x", "failure_message": "x"},
        )
        for status in ["declined", "canceled", "expired"]
    ),
    (
        "failed_means_nothing_kept",
        {"status": "failed", "answer": ANSWER, "amount_captured": 2, "amount_refunded": 1}
        | {"failure_code": "x", "failure_message": "x"},
    ),
    ("failure_has_a_code", {"failure_code": "x"}),
    ("failure_has_a_code", {"failure_message": "x"}),
    ("failure_explains_failed", {"status": "failed", "answer": ANSWER}),
    ("failure_explains_failed", {"status": "declined", "answer": ANSWER}),
    ("unknown_is_whole", {"unknown_operation": "capture"}),
    (
        "decided_means_known",
        {"status": "canceled", "answer": ANSWER, "unknown_operation": "capture"}
        | {"unknown_since": "now", "unknown_next_check": "now"},
    ),
    ("undone_never_succeeds", {"status": "succeeded", "answer": ANSWER, "amount_captured": 4990, "undoing": "{}"}),
]


@pytest.mark.parametrize(("rule", "fields"), PAYMENTS)
async def test_payment_cannot_break_the_rule(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    now = await db.fetchval("SELECT now()")
    broken = {name: now if value == "now" else value for name, value in fields.items()}
    with pytest.raises(asyncpg.CheckViolationError) as error:
        await insert(db, "payments", **a_payment(**broken))
    assert rule_of(error) == rule


async def test_key_names_one_payment(db: Connection) -> None:
    key = await insert(db, "payments", **a_payment())
    with pytest.raises(asyncpg.UniqueViolationError) as error:
        await insert(db, "payments", **a_payment(id=key))
    assert rule_of(error) == "payments_pkey"


@pytest.mark.parametrize("status", ["processing", "requires_action"])
async def test_order_has_one_open_payment(db: Connection, status: str) -> None:
    order = new_key("order")
    await insert(db, "payments", **a_payment(order_id=order, status=status, next_action="{}"))
    with pytest.raises(asyncpg.UniqueViolationError) as error:
        await insert(db, "payments", **a_payment(order_id=order))
    assert rule_of(error) == "one_payment_for_an_order"


async def test_order_has_one_paid_payment(db: Connection) -> None:
    order = new_key("order")
    await a_paid_payment(db, order_id=order)
    with pytest.raises(asyncpg.UniqueViolationError) as error:
        await a_paid_payment(db, order_id=order)
    assert rule_of(error) == "one_payment_for_an_order"


POSTINGS: list[tuple[str, dict[str, Any]]] = [
    ("posting_moves_something", {"amount": 0}),
    ("posting_moves_something", {"amount": -4990}),
    ("posting_has_two_sides", {"credit_account": RECEIVABLE}),
    ("debit_account_exists", {"debit_account": "nowhere"}),
    ("credit_account_exists", {"credit_account": "nowhere"}),
    ("debit_account_exists", {"currency": "XOF"}),
    ("posting_of_transaction", {"transaction": 2**60}),
]


@pytest.mark.parametrize(("rule", "fields"), POSTINGS)
async def test_posting_cannot_break_the_rule(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    key = await insert(db, "payments", **a_payment())
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as error:
        await a_recorded_posting(db, key, **fields)
    assert rule_of(error) == rule


@pytest.mark.parametrize("side", ["debit_account", "credit_account", "amount", "currency", "transaction"])
async def test_posting_has_no_side_missing(db: Connection, side: str) -> None:
    key = await insert(db, "payments", **a_payment())
    with pytest.raises(asyncpg.NotNullViolationError):
        await a_recorded_posting(db, key, **{side: None})


async def test_posting_to_a_closed_account_is_refused_on_either_side(db: Connection) -> None:
    closed = f"closed_{new_key('a').replace('-', '_').translate(str.maketrans('0123456789', 'ghijklmnop'))}"
    await insert(db, "accounts", name=closed, currency="EUR", closed_at=await db.fetchval("SELECT now()"))
    key = await insert(db, "payments", **a_payment())
    for side in ("debit_account", "credit_account"):
        other = "credit_account" if side == "debit_account" else "debit_account"
        with pytest.raises(asyncpg.CheckViolationError) as error:
            async with db.transaction():
                await insert(
                    db, "postings", **a_posting(await a_transaction(db, key), **{side: closed, other: "sales"})
                )
        assert rule_of(error) == "account_is_open"


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("account_name_is_plain", {"name": "Sales", "currency": "EUR"}),
        ("account_name_is_plain", {"name": "a:b:c", "currency": "EUR"}),
        ("account_name_is_plain", {"name": "", "currency": "EUR"}),
        ("account_currency_is_a_code", {"name": "sales", "currency": "eur"}),
        ("accounts_pkey", {"name": "sales", "currency": "EUR"}),
    ],
)
async def test_account_cannot_break_the_rule(db: Connection, rule: str, fields: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as error:
        await insert(db, "accounts", **fields)
    assert rule_of(error) == rule


async def test_transaction_cannot_break_a_rule(db: Connection) -> None:
    key = await a_paid_payment(db)
    recorded = await db.fetchval("SELECT operation_key FROM ledger_transactions WHERE payment_id = $1", key)
    broken: dict[str, dict[str, Any]] = {
        "recorded_once": {"payment": key, "operation_key": recorded},
        "transaction_has_a_posting": {"payment": key},
        "operation_moves_money": {"payment": key, "operation": "void"},
        "transaction_of_payment": {"payment": new_key()},
    }
    for rule, fields in broken.items():
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as error:
            await a_transaction(db, **fields)
        assert rule_of(error) == rule
