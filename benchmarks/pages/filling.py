"""Fills books with made-up payments, as fast as PostgreSQL takes them: rows without the rules that watch over them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from ledger.migrate import migrate

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
INTERVAL: Final = timedelta(seconds=1)
BIG_CUSTOMER: Final = "cus_0"
"""Every tenth payment is this one's: a shop's guests, or a reseller."""
RARE_CURRENCY: Final = "KWD"

# One a second. Of a thousand, 960 are charged, 30 declined, 10 failed; every 20th of those that are charged is refunded
# in part; one of 5,000 is in another currency.
_PAYMENTS: Final = """
    INSERT INTO payments (id, fingerprint, request, amount, currency, customer, order_id, processor, first_run,
        created_at, updated_at, status, amount_authorized, amount_captured, amount_refunded, failure_code,
        failure_message, answer)
    SELECT 'key-' || n, repeat('0', 64),
        '{"amount": 4990, "currency": "EUR", "payment_method": "pm_card_visa", "description": "Two books"}',
        4990, CASE WHEN n % 5000 = 1 THEN 'KWD' ELSE 'EUR' END,
        'cus_' || CASE WHEN n % 10 = 0 THEN 0 ELSE hashint8(n) & 131071 END, 'order-' || n, 'sandbox', 'run',
        at, at, CASE WHEN n % 1000 >= 990 THEN 'failed' WHEN n % 1000 >= 960 THEN 'declined'
                     WHEN n % 20 = 0 THEN 'partially_refunded' ELSE 'succeeded' END,
        4990, CASE WHEN n % 1000 < 960 THEN 4990 ELSE 0 END, CASE WHEN n % 1000 < 960 AND n % 20 = 0 THEN 10 ELSE 0 END,
        CASE WHEN n % 1000 >= 960 THEN 'no' END, CASE WHEN n % 1000 >= 960 THEN 'No.' END, '{"status": "decided"}'
    FROM generate_series($1::bigint, $2::bigint) AS n,
        LATERAL (SELECT $3::timestamptz + n * $4::interval AS at) AS moment
"""
_REFUNDS: Final = """
    INSERT INTO refunds (payment_id, id, fingerprint, amount, currency, requested_by, status, processor_reference,
        created_at)
    SELECT id, 'refund', repeat('0', 64), 10, currency, 'client', 'succeeded', 're_' || id, created_at
    FROM payments WHERE amount_refunded > 0
"""
_TRANSACTIONS: Final = """
    INSERT INTO ledger_transactions (operation_key, payment_id, operation, processor, processor_reference, created_at)
    SELECT 'capture-1-' || id, id, 'capture', 'sandbox', 'cap_' || id, created_at
        FROM payments WHERE amount_captured > 0
    UNION ALL
    SELECT 'refund-1-' || id, id, 'refund', 'sandbox', 're_' || id, created_at + interval '12 hours'
        FROM payments WHERE amount_refunded > 0
    ORDER BY created_at
"""
_POSTINGS: Final = """
    INSERT INTO postings (transaction, debit_account, credit_account, amount, currency)
    SELECT t.sequence, CASE operation WHEN 'capture' THEN 'processor_receivable:sandbox' ELSE 'refunds' END,
        CASE operation WHEN 'capture' THEN 'sales' ELSE 'processor_receivable:sandbox' END,
        CASE operation WHEN 'capture' THEN 4990 ELSE 10 END, p.currency
    FROM ledger_transactions t JOIN payments p ON p.id = t.payment_id ORDER BY t.sequence
"""
_PORTION: Final = 200_000
_HISTORY: Final = "0007"


async def fill(dsn: str, payments: int) -> float:
    """So many payments in an empty database, and what belongs to them; the history by its own migration.

    Returns how many seconds the migration took.
    """
    db = await asyncpg.connect(dsn)
    try:
        await migrate(db, before=_HISTORY)
        await db.execute("SET session_replication_role = replica")
        for first in range(1, payments + 1, _PORTION):
            last = min(first + _PORTION - 1, payments)
            await db.execute(_PAYMENTS, first, last, BEGIN, INTERVAL, timeout=None)
        for statement in (_REFUNDS, _TRANSACTIONS, _POSTINGS):
            await db.execute(statement, timeout=None)
        await db.execute("SET session_replication_role = origin")
        begun = time.monotonic()
        await migrate(db)
        seconds = time.monotonic() - begun
        await db.execute("VACUUM ANALYZE", timeout=None)
        return seconds
    finally:
        await db.close()
