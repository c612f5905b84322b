"""One of several processes that decide the same payments, started as a module with DSN NAME CURRENCY AMOUNT KEY...

Decides every payment twice, four at a time, in an order of its own. Imports only what it needs: it starts quickly.
"""

import asyncio
import random
import sys

from ledger.connections import open_pool
from ledger.port import Decision
from ledger.postgres import PostgresLedger
from ledger.postings import Account, Movement
from payments.identifiers import OperationKind, operation_key
from payments.money import Money
from payments.payment import Failure, Payment
from payments.state import PaymentStatus

CONNECTIONS = 4


def declined(key: str) -> Decision:
    return Decision(payment_id=key, status=PaymentStatus.DECLINED, failure=Failure(code="declined", message="No."))


def succeeded(key: str, money: Money) -> Decision:
    charge = Movement(
        operation=OperationKind.CAPTURE,
        operation_key=operation_key(OperationKind.CAPTURE, key),
        processor_reference=f"cap_{key}",
        money=money,
        account=Account.SALES,
    )
    return Decision(payment_id=key, status=PaymentStatus.SUCCEEDED, movements=(charge,))


async def main(dsn: str, name: str, money: Money, keys: list[str]) -> None:
    dice = random.Random(name)
    order = keys * 2
    dice.shuffle(order)
    # The processes don't agree about some: whoever comes first decides how the payment ends.
    decisions = [declined(key) if dice.random() < 0.2 else succeeded(key, money) for key in order]
    pool = await open_pool(dsn, CONNECTIONS)
    books = PostgresLedger(pool)
    turn = asyncio.Semaphore(CONNECTIONS)

    async def decided(decision: Decision) -> Payment:
        async with turn:
            return await books.decide(decision)

    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    answers = await asyncio.gather(*(decided(decision) for decision in decisions))
    for key in keys:
        assert len({answer.model_dump_json() for answer in answers if answer.id == key}) == 1, f"{key} has two answers"
    await pool.close()


if __name__ == "__main__":
    amount = Money(currency=sys.argv[3], amount=int(sys.argv[4]))
    asyncio.run(main(sys.argv[1], sys.argv[2], amount, sys.argv[5:]))
