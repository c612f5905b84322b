"""The three steps. Each may be run twice: the processor and the ledger know their keys."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from benchmarks.systems.charging import ChargeRefused, capture_of, claim_of, executed, hold_for, success_of
from benchmarks.systems.textbook.messages import ChargedPayment, HeldPayment, PaymentInput
from gateways.sandbox.gateway import SandboxGateway
from ledger.postgres import PostgresLedger
from payments.operations import Executed, Operation
from payments.payment import Payment


class Steps:
    """Activities that share the process's connections."""

    def __init__(self, gateway: SandboxGateway, ledger: PostgresLedger) -> None:
        self._gateway = gateway
        self._ledger = ledger

    @activity.defn
    async def authorize(self, payment: PaymentInput) -> Executed:
        """Place the hold."""
        return await self._do(hold_for(payment.payment_id, payment.request))

    @activity.defn
    async def capture(self, held: HeldPayment) -> Executed:
        """Charge what is held."""
        return await self._do(capture_of(held.payment.payment_id, held.payment.request, held.hold))

    @activity.defn
    async def record(self, charged: ChargedPayment) -> Payment:
        """Write the payment and its posting."""
        payment_id, request = charged.payment.payment_id, charged.payment.request
        await self._ledger.claim(claim_of(payment_id, request, activity.info().workflow_run_id or ""))
        return await self._ledger.decide(success_of(payment_id, request, charged.hold, charged.charge))

    async def _do(self, operation: Operation) -> Executed:
        try:
            return await executed(self._gateway, operation)
        except ChargeRefused as error:
            raise ApplicationError(str(error), type="ChargeRefused", non_retryable=True) from error
