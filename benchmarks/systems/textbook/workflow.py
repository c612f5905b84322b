"""The workflow: authorize, capture, record."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from benchmarks.systems.textbook.activities import Steps
    from benchmarks.systems.textbook.messages import ChargedPayment, HeldPayment, PaymentInput
    from payments.payment import Payment

_TIMEOUT = timedelta(seconds=10)
_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=5))


@workflow.defn(name="TextbookPayment")
class TextbookPayment:
    """One payment; its ID is the client's idempotency key."""

    @workflow.run
    async def run(self, payment: PaymentInput) -> Payment:
        """Pay, and return the payment as it was decided."""
        hold = await workflow.execute_activity_method(
            Steps.authorize, payment, start_to_close_timeout=_TIMEOUT, retry_policy=_RETRY
        )
        charge = await workflow.execute_activity_method(
            Steps.capture,
            HeldPayment(payment=payment, hold=hold),
            start_to_close_timeout=_TIMEOUT,
            retry_policy=_RETRY,
        )
        return await workflow.execute_activity_method(
            Steps.record,
            ChargedPayment(payment=payment, hold=hold, charge=charge),
            start_to_close_timeout=_TIMEOUT,
            retry_policy=_RETRY,
        )
