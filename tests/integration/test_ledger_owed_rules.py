"""What is owed and held stands in the books whatever statement makes it so. Tried with plain SQL."""

from typing import Any

import asyncpg
import pytest

from tests.integration import ledger_rows
from tests.integration.ledger_rows import (
    ANSWER,
    RECEIVABLE,
    Connection,
    a_paid_payment,
    a_payment,
    a_posting,
    a_transaction,
    insert,
    rule_of,
)
from tests.integration.test_ledger_hold_rules import HELD
from tests.integration.test_ledger_refund_rules import a_refund

db = ledger_rows.db
MEMO, CONTRA = "held_authorizations:sandbox", "held_authorizations_contra"


MADE = "UPDATE refunds SET status = 'succeeded', processor_reference = 're' WHERE payment_id = $1"
REFUNDED = """
    UPDATE payments SET amount_refunding = 0, amount_refunded = 10, status = 'partially_refunded' WHERE id = $1
"""
AUTHORIZED = """
    UPDATE payments SET status = 'authorized', answer = $2, amount_authorized = 7, hold_reference = 'x' WHERE id = $1
"""


async def a_pending_refund(db: Connection) -> str:
    key = await a_paid_payment(db)
    async with db.transaction():
        await insert(db, "refunds", **a_refund(key, id="r"))
        await db.execute("UPDATE payments SET amount_refunding = 10 WHERE id = $1", key)
    return key


async def posted(db: Connection, key: str) -> list[tuple[Any, ...]]:
    rows = await db.fetch(
        "SELECT operation, debit_account, credit_account, amount FROM ledger_transactions t"
        " JOIN postings p ON p.transaction = t.sequence WHERE payment_id = $1 ORDER BY t.sequence",
        key,
    )
    return [tuple(row) for row in rows]


async def test_refund_that_is_made_takes_away_what_was_owed_for_it(db: Connection) -> None:
    """A program of another version, which posts it as it was posted before, is refused and tries again."""
    key = await a_pending_refund(db)
    for debit, rule in (("refunds", "owed_is_pending"), ("refunds_payable", None)):
        transaction = db.transaction()
        await transaction.start()
        await db.execute(MADE, key)
        await db.execute(REFUNDED, key)
        back = {"debit_account": debit, "credit_account": RECEIVABLE, "amount": 10}
        await insert(db, "postings", **a_posting(await a_transaction(db, key, "refund"), **back))
        if rule is None:
            await transaction.commit()
            continue
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await transaction.commit()
        assert rule_of(refusal) == rule


async def test_refund_that_is_refused_takes_away_what_was_owed_for_it(db: Connection) -> None:
    key = await a_pending_refund(db)
    async with db.transaction():
        await db.execute(
            "UPDATE refunds SET status = 'failed', failure_code = 'x', failure_message = 'x' WHERE payment_id = $1", key
        )
        await db.execute("UPDATE payments SET amount_refunding = 0 WHERE id = $1", key)
    assert (await posted(db, key))[1:] == [
        ("refund_reservation", "refunds", "refunds_payable", 10),
        ("refund_release", "refunds_payable", "refunds", 10),
    ]


async def posted_at_once(db: Connection, posting: dict[str, Any]) -> None:
    await insert(db, "postings", **posting)
    await db.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize(
    ("rule", "sides"),
    [
        ("owed_is_pending", {"debit_account": "refunds", "credit_account": "refunds_payable"}),
        ("owed_is_pending", {"debit_account": "refunds_payable", "credit_account": "refunds"}),
        ("held_is_authorized", {"debit_account": MEMO, "credit_account": CONTRA}),
        ("held_is_authorized", {"debit_account": CONTRA, "credit_account": MEMO}),
        ("memo_stays_off_the_balance_sheet", {"debit_account": MEMO, "credit_account": "sales"}),
        ("memo_stays_off_the_balance_sheet", {"debit_account": "sales", "credit_account": CONTRA}),
    ],
)
async def test_nothing_is_owed_or_held_without_its_reason(db: Connection, rule: str, sides: dict[str, str]) -> None:
    key = await a_pending_refund(db)
    await insert(db, "payments", **a_payment(**HELD))  # makes the accounts
    transaction = db.transaction()
    await transaction.start()
    recorded = await a_transaction(db, key, "hold")
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await posted_at_once(db, a_posting(recorded, **sides))
    await transaction.rollback()
    assert rule_of(refusal) == rule


async def test_hold_stands_in_the_books_as_long_as_its_payment_is_authorized(db: Connection) -> None:
    key = await insert(db, "payments", **a_payment(**HELD))
    other = await insert(db, "payments", **a_payment())
    await db.execute(AUTHORIZED, other, ANSWER)
    assert await posted(db, other) == [("hold", MEMO, CONTRA, 7)]
    await db.execute("UPDATE payments SET status = 'canceled', amount_authorized = 0 WHERE id = $1", key)
    assert await posted(db, key) == [("hold", MEMO, CONTRA, 4990), ("hold_release", CONTRA, MEMO, 4990)]


async def test_memo_accounts_are_never_closed(db: Connection) -> None:
    """Else a hold that was captured could not be recorded, and its charge would be undone."""
    await insert(db, "payments", **a_payment(**HELD))
    for account in (MEMO, CONTRA):
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await db.execute("UPDATE accounts SET closed_at = now() WHERE name = $1", account)
        assert rule_of(refusal) == "memo_is_never_closed"
