"""What crosses Temporal."""

from pydantic import BaseModel

from payments.operations import Executed
from payments.request import RecordedRequest

TASK_QUEUE = "payments"


class PaymentInput(BaseModel):
    """Input of the workflow and of its first activity."""

    payment_id: str
    request: RecordedRequest


class HeldPayment(BaseModel):
    """Input of the capture."""

    payment: PaymentInput
    hold: Executed


class ChargedPayment(BaseModel):
    """Input of the recording."""

    payment: PaymentInput
    hold: Executed
    charge: Executed
