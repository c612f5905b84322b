"""The ways in which a payment ends without a charge, in words for programs and for people."""

from payments.messages import Ending, Requester
from payments.operations import Conflicted, Declined
from payments.payment import Failure
from payments.state import PaymentStatus


def declined(outcome: Declined) -> Ending:
    """The processor refused; a hold that is left is released."""
    failure = Failure(code=outcome.code, message=outcome.message)
    status = PaymentStatus.EXPIRED if outcome.lapsed else PaymentStatus.DECLINED
    return Ending(step="release", status=status, failure=failure)


def not_captured_in_time() -> Ending:
    """The processor would let the hold lapse soon; it is released."""
    failure = Failure(code="hold_expired", message="The hold was not captured in time and was released.")
    return Ending(step="release", status=PaymentStatus.EXPIRED, failure=failure, gives_up=True)


def hold_ended() -> Ending:
    """The processor says that the hold has ended there: by its own clock, or somebody's hand at its console."""
    failure = Failure(code="hold_expired", message="The hold had ended at the processor before it was captured.")
    return Ending(step="release", status=PaymentStatus.EXPIRED, failure=failure, gives_up=True)


def not_confirmed_in_time() -> Ending:
    """The customer had time enough; what waits for them is voided."""
    failure = Failure(
        code="authentication_expired", message="The customer did not confirm in time. Nothing was charged."
    )
    return Ending(step="release", status=PaymentStatus.EXPIRED, failure=failure, gives_up=True)


def hold_conflicted(outcome: Conflicted) -> Ending:
    """The processor confirmed another hold than the one asked for; it is released."""
    failure = Failure(code="processor_conflict", message=f"The hold was released: {outcome.detail}.")
    return Ending(step="release", status=PaymentStatus.FAILED, failure=failure, conflicted=True)


def charge_conflicted(outcome: Conflicted) -> Ending:
    """The processor confirmed another charge than the one asked for; it is given back."""
    failure = Failure(code="processor_conflict", message=f"The charge was refunded: {outcome.detail}.")
    return Ending(step="undo-charge", status=PaymentStatus.FAILED, failure=failure, conflicted=True)


def charged_after_all(ending: Ending) -> Ending:
    """The hold was to be released, but the processor's record has a charge: it is given back instead."""
    if ending.status is PaymentStatus.FAILED:
        return ending
    failure = ending.failure or Failure(code=str(ending.status), message="The payment was not to be charged.")
    return ending.model_copy(update={"status": PaymentStatus.FAILED, "failure": failure})


def not_recordable(reason: str) -> Ending:
    """The books refuse the charge for good; it is given back."""
    failure = Failure(code="recording_refused", message=f"The charge was refunded: {reason}")
    return Ending(step="undo-charge", status=PaymentStatus.FAILED, failure=failure)


def canceled(by: Requester) -> Ending:
    """Canceled before the charge was sent; the hold is released."""
    failure = Failure(code="canceled", message="The payment was canceled before it was charged.")
    return Ending(step="release", status=PaymentStatus.CANCELED, failure=failure, gives_up=True, by=by)
