"""Names that other programs rely on: task queue, identifiers, search attributes."""

from typing import Final

from temporalio.common import SearchAttributeKey

TASK_QUEUE: Final = "payments"

# Webhooks have a queue and a worker of their own, so that endpoints that hang take nothing from payments.
WEBHOOKS_QUEUE: Final = "webhooks"
WAKE: Final = "wake"

STATUS: Final = SearchAttributeKey.for_keyword("PaymentStatus")
CURRENCY: Final = SearchAttributeKey.for_keyword("PaymentCurrency")
AMOUNT: Final = SearchAttributeKey.for_int("PaymentAmount")
CUSTOMER: Final = SearchAttributeKey.for_keyword("CustomerId")
ORDER: Final = SearchAttributeKey.for_keyword("OrderId")

# In the start's memo, so that a changed request can be told from a repeated one before the payment's row exists.
MEMO_FINGERPRINT: Final = "fingerprint"

# Why a `pay` is refused by its validator. Refusals are not stored: the same call may be answered later.
ASK_THE_LEDGER: Final = "AskTheLedger"
OTHER_REQUEST: Final = "OtherRequest"

# Why a refund request is refused by its validator: this run is about to end, and another one will take it.
CLOSING: Final = "Closing"


def webhooks_id(endpoint_id: str) -> str:
    """The ID of the workflow that serves an endpoint."""
    return f"webhooks-{endpoint_id}"
