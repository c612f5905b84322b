"""Another processor is another class behind the port: no step, workflow or ledger is changed for it."""

from datetime import timedelta

from ledger.connections import open_pool
from ledger.postgres import PostgresLedger
from payments.messages import Start
from payments.operations import Executed, Operation, Outcome, key_of
from payments.request import PaymentRequest
from paysaga.worker import build_worker
from tests.contract.ledger_words import Books
from tests.harness import Stack, a_request, new_key


class Piggybank:
    """A processor in this process. It has nothing in common with the sandbox's adapter but the port."""

    name = "piggybank"
    key_window = timedelta(hours=24)

    def __init__(self) -> None:
        self.done: dict[str, Executed] = {}

    async def submit(self, operation: Operation) -> Outcome:
        money = operation.money
        first = Executed(
            reference=f"coin-{len(self.done)}",
            payment_id=operation.payment_id,
            amount=money.amount,
            currency=money.currency,
        )
        return self.done.setdefault(key_of(operation), first)

    async def find(self, operation: Operation) -> Outcome | None:
        return self.done.get(key_of(operation))


async def test_processor_that_nothing_knows_of_takes_a_payment(stack: Stack) -> None:
    key, queue, bank = new_key("piggy"), new_key("queue"), Piggybank()
    request = PaymentRequest.model_validate(a_request(payment_method="coins"))
    client = await stack.temporal()
    pool = await open_pool(stack.servers.postgres.dsn, 2)
    books = Books(PostgresLedger(pool), pool)
    async with build_worker(client, books.ledger, bank, queue):
        start = Start(request=request, fingerprint=request.fingerprint())
        await client.execute_workflow("PaymentWorkflow", start, id=key, task_queue=queue)
    payment = (await books.found(key)).payment
    assert (payment.status, payment.processor, payment.processor_reference) == ("succeeded", "piggybank", "coin-1")
    assert await books.posted(key) == [("capture", "processor_receivable:piggybank", "sales", 4990, "EUR")]
    assert [name.split("-")[0] for name in bank.done] == ["authorize", "capture"]
    assert await stack.journal(key) == []
    await pool.close()
