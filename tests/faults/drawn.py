"""What is drawn at random: first requests, what is done to a payment after them, and what goes wrong meanwhile."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.faults.deeds import (
    Cancel,
    CancelOtherwise,
    Capture,
    Check,
    CustomerActs,
    Nonsense,
    Pay,
    PayAnotherAmount,
    ProcessorFails,
    Refund,
    RefundBySignal,
    Reset,
    Terminate,
)
from tests.faults.known_payment import AMOUNT, CAPTURE_DECLINED, CONFIRMED_BY_CUSTOMER
from tests.faults.quiet import ENDINGS, Ending
from tests.faults.test_every_fault import FAULTS
from tests.workflow.test_refunds_by_signal import NONSENSE

# Most of them are charged sooner or later.
METHODS = st.sampled_from(
    [
        *["pm_card_visa"] * 6,
        *[CONFIRMED_BY_CUSTOMER] * 2,
        CAPTURE_DECLINED,
        "pm_card_chargeDeclined",
        "pm_sandbox_timeoutAfterCharge",
        "pm_sandbox_unavailableOnce",
    ]
)
WAITS = st.sampled_from([5, 1, 0])
PERCENT = st.sampled_from([40, 60, None, 20, 120])
IDS = st.sampled_from(["a", "b", "c"])


def faults_of(operation: str) -> st.SearchStrategy[ProcessorFails]:
    """What can go wrong with it at the processor."""
    deciding = {
        "authorize": ["decline", "wrong_amount"],
        "capture": ["decline", "wrong_amount"],
        # One that is declined needs a person.
        "void": ["wrong_amount"],
        "refund": ["decline", "wrong_amount", "refund_fails_later", "refund_fails_later"],
    }
    return st.builds(ProcessorFails, st.just(operation), st.sampled_from(FAULTS + deciding[operation]))


FAULTS_OF_PAYING = faults_of("authorize") | faults_of("capture") | faults_of("void")
CAPTURE = st.builds(Capture, wait=WAITS, key=IDS, percent=PERCENT)
CANCEL = st.builds(Cancel, wait=WAITS) | st.builds(CancelOtherwise, by_signal=st.booleans())
REFUND = st.builds(Refund, wait=WAITS, refund_id=IDS, percent=PERCENT)
SIGNAL = st.builds(RefundBySignal, refund_id=IDS, percent=PERCENT, wakes=st.booleans())
CUSTOMER = st.builds(CustomerActs, confirms=st.booleans(), late=st.booleans())
INTERFERENCE = (
    st.builds(Pay, wait=WAITS)
    | st.builds(Nonsense, number=st.integers(0, len(NONSENSE) - 1), wakes=st.booleans())
    | st.sampled_from([PayAnotherAmount(), Check(), Terminate(), Reset()])
)
AT_ONCE = st.lists(CAPTURE | CANCEL | REFUND | SIGNAL | CUSTOMER | INTERFERENCE, min_size=2, max_size=4)
MOMENTS = st.sampled_from([0.0, 0.01, 0.05, 0.3])


@dataclass(frozen=True)
class FirstRequest:
    """A payment as its client asks for it, what goes wrong at once, and what becomes of it in the end."""

    method: str
    capture: str
    order: str | None
    fault: ProcessorFails | None
    wait: int
    ending: Ending

    def body(self, sequence: str) -> dict[str, Any]:
        body = {"amount": AMOUNT, "payment_method": self.method, "capture": self.capture}
        return body if self.order is None else body | {"order_id": f"{sequence}-{self.order}"}


FIRST = st.builds(
    FirstRequest,
    method=METHODS,
    capture=st.sampled_from(["automatic", "automatic", "automatic", "manual"]),
    order=st.sampled_from([None, None, "order-1", "order-2"]),
    fault=st.none() | FAULTS_OF_PAYING,
    wait=WAITS,
    ending=st.sampled_from(ENDINGS),
)
