"""What a payment's workflow is started with."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Final, TypedDict

from temporalio.common import Priority, TypedSearchAttributes, WorkflowIDReusePolicy

from ledger.port import PaymentRecord
from payments.messages import Start
from payments.request import RecordedRequest
from workflows import names
from workflows.telling import details, search_attributes, summary

# How long Temporal waits for a worker that has taken a payment and died with it. A worker that lives tells Temporal in
# time that it needs longer.
TASK_TIMEOUT: Final = timedelta(seconds=5)

# When workers come back to thousands of payments, who stands at the checkout now shall not wait behind who has left it.
# So payments share the workers by the time of their start, in groups of ten seconds of which each has more weight than
# the one before, twice as much after two minutes. Temporal takes weights from 0.001 to 1000: after forty minutes they
# begin anew, and then old ones come first for a while, as they always would without this.
GROUP_SECONDS: Final = 10
GROUPS: Final = 240
GROUPS_TO_DOUBLE: Final = 12
WEIGHT_MIN: Final = 0.001


class StartOptions(TypedDict):
    """Keyword arguments of `Client.start_workflow` and `WithStartWorkflowOperation`."""

    task_queue: str
    task_timeout: timedelta
    memo: dict[str, str] | None
    search_attributes: TypedSearchAttributes
    static_summary: str
    static_details: str
    priority: Priority


def start_options(request: RecordedRequest) -> StartOptions:
    """How a payment's workflow is started, whoever starts it."""
    return StartOptions(
        task_queue=names.TASK_QUEUE,
        task_timeout=TASK_TIMEOUT,
        memo={names.MEMO_FINGERPRINT: request.fingerprint()},
        search_attributes=search_attributes(request),
        static_summary=summary(request),
        static_details=details(request),
        priority=fair_share(datetime.now(UTC)),
    )


def wake_options(request: RecordedRequest) -> StartOptions:
    """How it is woken once it has slept. Without the memo: a woken run answers no `pay`, the ledger does."""
    options = start_options(request)
    options["memo"] = None
    return options


def fair_share(now: datetime) -> Priority:
    """A payment's place among those that wait for a worker (https://docs.temporal.io/develop/task-queue-priority-fairness)."""
    group = int(now.timestamp()) // GROUP_SECONDS
    weight = WEIGHT_MIN * 2 ** (group % GROUPS / GROUPS_TO_DOUBLE)
    return Priority(fairness_key=str(group), fairness_weight=weight)


def start_input(request: RecordedRequest, reuse: WorkflowIDReusePolicy, quiet_period: timedelta) -> Start:
    """What it is started with."""
    return Start(
        request=request,
        fingerprint=request.fingerprint(),
        again=reuse is not WorkflowIDReusePolicy.REJECT_DUPLICATE,
        nonce=secrets.token_hex(8),
        quiet_seconds=int(quiet_period.total_seconds()),
    )


def reopening(record: PaymentRecord, quiet_period: timedelta) -> tuple[Start, StartOptions]:
    """What the workflow of a payment that has a row is started with, if it isn't running: a decided one is woken, an
    undecided one goes on with its request and the same keys."""
    if record.answer is None:
        start = start_input(record.request, WorkflowIDReusePolicy.ALLOW_DUPLICATE, quiet_period)
        return start, start_options(record.request)
    return Start(quiet_seconds=int(quiet_period.total_seconds())), wake_options(record.request)
