"""Reads a payment's row."""

from ledger.connections import Connection
from ledger.port import PaymentRecord
from ledger.queries import QUERIES
from ledger.rows import present, record_of


async def recorded(connection: Connection, payment_id: str) -> PaymentRecord:
    """The row as it is now, of a payment that must have one. Raises `LedgerUnavailable` when it is lost."""
    return record_of(present(await connection.fetchrow(QUERIES["find"], payment_id), payment_id))
