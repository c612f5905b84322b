"""What the books have said can't be unsaid, and the payments and the journal can't part. Tried with plain SQL."""

import re
from pathlib import Path

import asyncpg
import pytest

from tests.harness import new_key
from tests.integration import ledger_rows
from tests.integration.ledger_rows import (
    ANSWER,
    RECEIVABLE,
    SQL,
    Connection,
    a_paid_payment,
    a_payment,
    a_posting,
    a_transaction,
    insert,
    rule_of,
)

db = ledger_rows.db
FAILED = {"status": "failed", "answer": ANSWER, "failure_code": "x", "failure_message": "x"}


@pytest.mark.parametrize("table", ["ledger_transactions", "postings"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET sequence = DEFAULT", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_journal_is_append_only(db: Connection, table: str, statement: str) -> None:
    await a_paid_payment(db)
    with pytest.raises(asyncpg.RestrictViolationError) as error:
        await db.execute(statement.format(table))
    assert rule_of(error) == "append_only"


@pytest.mark.parametrize("column", ["debit_account", "credit_account", "amount", "currency", "transaction"])
async def test_no_column_of_a_posting_can_be_changed(db: Connection, column: str) -> None:
    await a_paid_payment(db)
    with pytest.raises(asyncpg.RestrictViolationError) as error:
        await db.execute(f"UPDATE postings SET {column} = {column}")
    assert rule_of(error) == "append_only"


async def test_books_are_append_only_for_upserts_too(db: Connection) -> None:
    key = await a_paid_payment(db)
    with pytest.raises(asyncpg.RestrictViolationError):
        await db.execute(
            """INSERT INTO ledger_transactions (operation_key, payment_id, operation, processor, processor_reference)
            SELECT operation_key, payment_id, operation, processor, 'other' FROM ledger_transactions
            WHERE payment_id = $1 ON CONFLICT (operation_key) DO UPDATE SET processor_reference = 'other'""",
            key,
        )


@pytest.mark.parametrize("statement", ["DELETE FROM payments WHERE id = '{}'", "TRUNCATE payments CASCADE"])
async def test_payment_is_never_forgotten(db: Connection, statement: str) -> None:
    key = await insert(db, "payments", **a_payment())
    with pytest.raises(asyncpg.RestrictViolationError) as error:
        await db.execute(statement.format(key))
    assert rule_of(error) == "append_only"
    assert await db.fetchval("SELECT count(*) FROM payments WHERE id = $1", key) == 1


@pytest.mark.parametrize(
    "change",
    [
        "id = id || 'x'",
        "fingerprint = repeat('1', 64)",
        """request = '{"amount": 1}'""",
        "amount = amount + 1",
        "currency = 'USD'",
        "first_run = 'run-2'",
        "created_at = created_at + interval '1 second'",
    ],
)
async def test_what_was_asked_stays_as_it_was(db: Connection, change: str) -> None:
    key = await insert(db, "payments", **a_payment())
    with pytest.raises(asyncpg.RestrictViolationError) as error:
        await db.execute(f"UPDATE payments SET {change} WHERE id = $1", key)
    assert rule_of(error) == "request_and_answer_are_fixed"


@pytest.mark.parametrize("change", ["""answer = '{"status": "other"}'""", "answer = NULL, status = 'processing'"])
async def test_what_was_answered_stays_as_it_was(db: Connection, change: str) -> None:
    key = await a_paid_payment(db)
    with pytest.raises(asyncpg.RestrictViolationError) as error:
        await db.execute(f"UPDATE payments SET {change} WHERE id = $1", key)
    assert rule_of(error) == "request_and_answer_are_fixed"


async def test_payment_that_says_it_was_charged_needs_a_posting(db: Connection) -> None:
    paid = a_payment(status="succeeded", amount_captured=4990, answer=ANSWER)
    with pytest.raises(asyncpg.CheckViolationError) as error:
        async with db.transaction():
            await insert(db, "payments", **paid)
    assert rule_of(error) == "amounts_are_posted"
    assert await db.fetchval("SELECT count(*) FROM payments WHERE id = $1", paid["id"]) == 0


async def test_payment_cannot_become_charged_without_a_posting(db: Connection) -> None:
    key = await insert(db, "payments", **a_payment())
    with pytest.raises(asyncpg.CheckViolationError) as error:
        await db.execute(
            "UPDATE payments SET status = 'succeeded', amount_captured = amount, answer = $2 WHERE id = $1", key, ANSWER
        )
    assert rule_of(error) == "amounts_are_posted"


async def test_posting_needs_the_payment_to_say_the_amount(db: Connection) -> None:
    key = await insert(db, "payments", **a_payment())
    with pytest.raises(asyncpg.CheckViolationError) as error:
        async with db.transaction():
            await insert(db, "postings", **a_posting(await a_transaction(db, key)))
    assert rule_of(error) == "amounts_are_posted"
    assert await db.fetchval("SELECT count(*) FROM ledger_transactions WHERE payment_id = $1", key) == 0


async def test_charge_cannot_be_posted_twice(db: Connection) -> None:
    key = await a_paid_payment(db)
    with pytest.raises(asyncpg.CheckViolationError) as error:
        async with db.transaction():
            await insert(db, "postings", **a_posting(await a_transaction(db, key)))
    assert rule_of(error) == "amounts_are_posted"


async def test_refund_cannot_be_posted_unless_the_payment_says_so(db: Connection) -> None:
    key = await a_paid_payment(db)
    back = {"debit_account": "sales", "credit_account": RECEIVABLE}
    with pytest.raises(asyncpg.CheckViolationError) as error:
        async with db.transaction():
            await insert(db, "postings", **a_posting(await a_transaction(db, key, "refund"), **back))
    assert rule_of(error) == "amounts_are_posted"


async def test_payment_cannot_say_it_was_refunded_without_a_posting(db: Connection) -> None:
    key = await a_paid_payment(db)
    with pytest.raises(asyncpg.CheckViolationError) as error:
        await db.execute("UPDATE payments SET status = 'refunded', amount_refunded = 4990 WHERE id = $1", key)
    assert rule_of(error) == "amounts_are_posted"


async def test_charged_payment_cannot_be_made_to_say_that_nothing_was_charged(db: Connection) -> None:
    key = await a_paid_payment(db)
    with pytest.raises(asyncpg.CheckViolationError) as error:
        await db.execute(
            """UPDATE payments SET status = 'failed', amount_captured = 0, failure_code = 'x', failure_message = 'x'
            WHERE id = $1""",
            key,
        )
    assert rule_of(error) == "amounts_are_posted"


async def test_posting_of_a_payment_that_says_nothing_was_charged_fails_when_it_commits(db: Connection) -> None:
    fields = a_payment(**FAILED)
    transaction = db.transaction()
    await transaction.start()
    await insert(db, "payments", **fields)
    await insert(db, "postings", **a_posting(await a_transaction(db, fields["id"])))
    with pytest.raises(asyncpg.CheckViolationError) as error:
        await transaction.commit()
    assert rule_of(error) == "amounts_are_posted"


async def test_books_balance_and_agree_with_all_payments(db: Connection) -> None:
    for _ in range(3):
        await a_paid_payment(db, order_id=new_key("order"))
    unbalanced = "SELECT currency FROM entries GROUP BY currency HAVING sum(amount) <> 0"
    assert await db.fetch(unbalanced) == []
    books, payments = await db.fetchrow(
        """SELECT (SELECT sum(balance) FROM balances WHERE account = $1 AND currency = 'EUR'),
                  (SELECT sum(amount_captured - amount_refunded) FROM payments WHERE currency = 'EUR')""",
        RECEIVABLE,
    )
    assert books == payments >= 3 * 4990


def test_every_named_rule_has_a_test_that_breaks_it() -> None:
    """Each name stands in this file or in test_ledger_rules.py."""
    named = set(re.findall(r"CONSTRAINT (?:TRIGGER )?(\w+)", SQL)) | set(re.findall(r"CONSTRAINT = '(\w+)'", SQL))
    tests = Path(__file__).parent.glob("test_ledger_*.py")
    tried = " ".join(file.read_text(encoding="utf-8") for file in tests)
    lacking = {rule for rule in named if f'"{rule}"' not in tried}
    # Nobody can choose a sequence number; the same rule when a row is inserted speaks under its other name; and these
    # triggers write at the transaction's end, and refuse nothing.
    chosen_by_nobody = "history_pkey ledger_transactions_pkey payment_events_pkey postings_pkey"
    assert lacking == set(f"amounts_are_posted_at_first end_is_told end_is_told_at_first {chosen_by_nobody}".split())
