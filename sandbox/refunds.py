"""Refunds that succeed and are sent back by the customer's bank days later, here seconds."""

from sandbox import events
from sandbox.moment import Moment
from sandbox.store import SentBack
from sandbox.words import Decline, iso_time


def fail(at: Moment, refund: SentBack) -> None:
    at.store.take_refund_back(refund)
    error = Decline("refund_failed", "The customer's bank sent the refund back.").error
    body = refund.body | {"status": "failed", "error": error}
    # The refund stays in the journal, since it did happen; its failure is an effect of its own.
    at.store.add_operation(body, operation="refund_failed", status="succeeded", executed_at=iso_time(at.now))
    events.tell(at, "refund.failed", body)
