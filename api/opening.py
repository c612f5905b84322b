"""What a payment's workflow is started with."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Final, TypedDict

from temporalio.common import Priority, TypedSearchAttributes, WorkflowIDReusePolicy

from payments.messages import Start
from payments.request import RecordedRequest
from workflows import names
from workflows.telling import details, search_attributes, summary

# How long Temporal waits for a worker that has taken a payment and died with it. A worker that lives tells Temporal in
# time that it needs longer.
TASK_TIMEOUT: Final = timedelta(seconds=5)


class StartOptions(TypedDict):
    """Keyword arguments of `Client.start_workflow` and `WithStartWorkflowOperation`."""

    task_queue: str
    task_timeout: timedelta
    memo: dict[str, str]
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
        # When workers come back to thousands of payments, those of each minute get an equal share of them: who stands
        # at the checkout now doesn't wait behind who has left it. (https://docs.temporal.io/develop/task-queue-priority-fairness)
        priority=Priority(fairness_key=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M")),
    )


def start_input(request: RecordedRequest, reuse: WorkflowIDReusePolicy) -> Start:
    """What it is started with."""
    again = reuse is not WorkflowIDReusePolicy.REJECT_DUPLICATE
    return Start(request=request, fingerprint=request.fingerprint(), again=again, nonce=secrets.token_hex(8))
