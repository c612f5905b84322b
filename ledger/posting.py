"""Writes one movement into the books."""

from ledger.connections import Connection
from ledger.postings import Movement, posting_for
from ledger.queries import QUERIES
from payments.payment import Payment


async def post(connection: Connection, payment: Payment, movement: Movement) -> None:
    """In the caller's transaction. What was recorded before is not posted again."""
    posting = posting_for(movement, str(payment.processor))
    await connection.execute(
        QUERIES["post"],
        payment.id,
        movement.operation_key,
        movement.operation,
        payment.processor,
        movement.processor_reference,
        posting.debit_account,
        posting.credit_account,
        posting.money.amount,
        posting.money.currency,
    )
