"""The payment that a request is about."""

from api.calling import read
from api.problems import Code, ProblemError, payment_not_found
from api.services import Services
from ledger.port import PaymentRecord
from payments.identifiers import idempotency_key_problem


async def recorded(services: Services, payment_id: str, too_early: Code) -> PaymentRecord:
    """Its row. Raises `ProblemError` when there is no such payment, or it was started this very moment."""
    if idempotency_key_problem(payment_id):
        raise payment_not_found()
    record = await read(services.ledger.find(payment_id))
    if record is not None:
        return record
    if await services.payments.find(payment_id) is None:
        raise payment_not_found()
    raise ProblemError(too_early, "It was only just started. Try again when it is decided.")
