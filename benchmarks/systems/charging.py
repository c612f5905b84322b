"""The parts of a payment that textbook and handwritten have in common: what is asked for and what is written."""

from gateways.sandbox.gateway import SandboxGateway
from ledger.port import Claim, Decision
from ledger.postings import Account, Movement
from payments.identifiers import OperationKind
from payments.operations import Authorize, Capture, Declined, Executed, Operation, key_of
from payments.request import RecordedRequest
from payments.state import PaymentStatus


class ChargeRefused(Exception):
    """The processor declined, or confirmed something else than what was asked: not to be retried."""


async def executed(gateway: SandboxGateway, operation: Operation) -> Executed:
    """Have it done at the processor. Raises `ChargeRefused`, and `GatewayError` when it isn't known."""
    outcome = await gateway.submit(operation)
    if not isinstance(outcome, Executed):
        why = f"{outcome.code}: {outcome.message}" if isinstance(outcome, Declined) else outcome.outcome
        raise ChargeRefused(f"{operation.kind}: {why}")
    if (difference := outcome.differs_from(operation)) is not None:
        raise ChargeRefused(difference)
    return outcome


def hold_for(payment_id: str, request: RecordedRequest) -> Authorize:
    """The first operation."""
    return Authorize(payment_id=payment_id, money=request.money, payment_method=request.payment_method)


def capture_of(payment_id: str, request: RecordedRequest, hold: Executed) -> Capture:
    """The second one."""
    return Capture(payment_id=payment_id, money=request.money, authorization=hold.reference)


def claim_of(payment_id: str, request: RecordedRequest, run: str) -> Claim:
    """The payment's row."""
    return Claim(payment_id=payment_id, request=request, processor=SandboxGateway.name, run=run)


def success_of(payment_id: str, request: RecordedRequest, hold: Executed, charge: Executed) -> Decision:
    """The end of a payment that was charged, with the one movement of its money."""
    movement = Movement(
        operation=OperationKind.CAPTURE,
        operation_key=key_of(capture_of(payment_id, request, hold)),
        processor_reference=charge.reference,
        money=request.money,
        account=Account.SALES,
    )
    return Decision(
        payment_id=payment_id,
        status=PaymentStatus.SUCCEEDED,
        amount_authorized=hold.amount,
        processor_reference=charge.reference,
        movements=(movement,),
    )
