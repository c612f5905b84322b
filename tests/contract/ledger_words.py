"""Short ways to say what the ledger's tests are about."""

from datetime import UTC, datetime
from typing import Any

import asyncpg

from ledger.connections import Pool
from ledger.port import Claim, Decision, PaymentRecord
from ledger.postgres import PostgresLedger
from ledger.postings import Account, Movement
from payments.identifiers import OperationKind, operation_key
from payments.messages import Ending, RefundOrder
from payments.money import Money
from payments.operations import RequiresAction
from payments.payment import Failure
from payments.request import PaymentRequest
from payments.state import PaymentStatus
from tests.harness import a_request, new_key

EUR = Money(amount=4990, currency="EUR")
DECLINED = Failure(code="card_declined", message="No.")
ACTION = RequiresAction(reference="auth_1", url="http://bank.example/1", expires_at=datetime(2030, 1, 1, tzinfo=UTC))
RELEASE = Ending(step="release", status=PaymentStatus.CANCELED, failure=Failure(code="canceled", message="Canceled."))


def a_claim(key: str | None = None, *, run: str = "run-1", **fields: Any) -> Claim:
    request = PaymentRequest.model_validate(a_request(**fields))
    return Claim(payment_id=key or new_key("ledger"), request=request, processor="sandbox", run=run)


def charged(key: str, money: Money = EUR, account: Account = Account.SALES) -> Movement:
    return Movement(
        operation=OperationKind.CAPTURE,
        operation_key=operation_key(OperationKind.CAPTURE, key),
        processor_reference=f"cap_{key}",
        money=money,
        account=account,
    )


def given_back(key: str, money: Money = EUR, account: Account = Account.SUSPENSE) -> Movement:
    return Movement(
        operation=OperationKind.REFUND,
        operation_key=operation_key(OperationKind.REFUND, key),
        processor_reference=f"re_{key}",
        money=money,
        account=account,
    )


def a_refund(key: str, refund_id: str = "refund", amount: int | None = None, **fields: Any) -> RefundOrder:
    order = {"payment_id": key, "refund_id": refund_id, "fingerprint": "f" * 64, "amount": amount}
    return RefundOrder.model_validate(order | {"requested_by": "client"} | fields)


def refunded(key: str, refund_id: str, amount: int, currency: str = "EUR") -> Movement:
    return Movement(
        operation=OperationKind.REFUND,
        operation_key=operation_key(OperationKind.REFUND, key, refund_id=refund_id),
        processor_reference=f"re_{refund_id}",
        money=Money(amount=amount, currency=currency),
        account=Account.REFUNDS_PAYABLE,
    )


def succeeded(key: str, money: Money = EUR) -> Decision:
    return Decision(
        payment_id=key,
        status=PaymentStatus.SUCCEEDED,
        amount_authorized=money.amount,
        processor_reference=f"cap_{key}",
        movements=(charged(key, money),),
    )


def declined(key: str) -> Decision:
    return Decision(payment_id=key, status=PaymentStatus.DECLINED, failure=DECLINED)


def undone(key: str) -> Decision:
    return Decision(
        payment_id=key,
        status=PaymentStatus.FAILED,
        failure=Failure(code="recording_refused", message="Undone."),
        amount_authorized=EUR.amount,
        movements=(charged(key, account=Account.SUSPENSE), given_back(key)),
    )


class Books:
    """A ledger, and what its database really holds."""

    def __init__(self, ledger: PostgresLedger, pool: Pool) -> None:
        self.ledger = ledger
        self.pool = pool

    async def by_hand(self, statement: str, *values: object) -> None:
        """As the owner of the tables, who may do what the service may not."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL ROLE NONE")
            await connection.execute(statement, *values)

    async def claimed(self, **fields: Any) -> str:
        """The key of a new payment."""
        claim = a_claim(**fields)
        await self.ledger.claim(claim)
        return claim.payment_id

    async def found(self, key: str) -> PaymentRecord:
        record = await self.ledger.find(key)
        assert record is not None
        return record

    async def row(self, key: str) -> asyncpg.Record:
        row = await self.pool.fetchrow("SELECT * FROM payments WHERE id = $1", key)
        assert row is not None
        return row

    async def posted(self, key: str) -> list[tuple[str, str, str, int, str]]:
        """Operation, debited and credited account, amount, currency."""
        rows = await self.pool.fetch(
            """
            SELECT operation, debit_account, credit_account, amount, currency
            FROM ledger_transactions t JOIN postings p ON p.transaction = t.sequence
            WHERE payment_id = $1 ORDER BY p.sequence
            """,
            key,
        )
        return [tuple(row) for row in rows]

    async def transactions(self, key: str) -> int:
        return await self.pool.fetchval("SELECT count(*) FROM ledger_transactions WHERE payment_id = $1", key)


def sale(amount: int = EUR.amount, currency: str = EUR.currency) -> tuple[str, str, str, int, str]:
    """What a succeeded payment posts."""
    return ("capture", "processor_receivable:sandbox", "sales", amount, currency)
