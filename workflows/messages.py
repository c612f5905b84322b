"""Decodes by hand what comes in, so that nothing which anybody sends can make a workflow task fail for ever."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ExecuteWorkflowInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from activities.failures import FailureType, describe
from payments.identifiers import idempotency_key_problem
from payments.messages import Start

Decoded = TypeVar("Decoded", bound=BaseModel)


def malformed(problem: str) -> ApplicationError:
    """A failure that ends a run or refuses an update, for a sender who must send something else."""
    return ApplicationError(problem, type=FailureType.MALFORMED, non_retryable=True)


def decode(raw: RawValue, expected: type[Decoded]) -> Decoded:
    """The message in a payload. Raises `ApplicationError` of type Malformed, without the values: they may be secret."""
    try:
        return expected.model_validate_json(raw.payload.data)
    except ValidationError as error:
        raise malformed(describe(error, expected.__name__)) from None


def accepted(raw_start: RawValue) -> Start:
    """What a run was started with. Raises `ApplicationError` when it is no payment, and none to be woken."""
    start = decode(raw_start, Start)
    problem = idempotency_key_problem(workflow.info().workflow_id)
    if problem is not None:
        raise malformed(f"the workflow ID is no idempotency key: {problem}")
    if start.request is not None and start.fingerprint != start.request.fingerprint():
        raise malformed("the fingerprint is not that of the request")
    return start


class MessageGuard(Interceptor):
    """Counts arguments before they reach a handler: a wrong count raises TypeError there, which fails the workflow
    task again and again and wedges the payment."""

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        """See `Interceptor.workflow_interceptor_class`."""
        return _CountArguments


class _CountArguments(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        if len(input.args) != 1:
            raise malformed(f"the workflow takes one argument, not {len(input.args)}")
        return await super().execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        if len(input.args) != 1:
            # The handler shows it as a request that can't be read.
            input.args = [RawValue(Payload(data=json.dumps({"arguments": len(input.args)}).encode()))]
        await super().handle_signal(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        if len(input.args) != 1:
            raise malformed(f"the update takes one argument, not {len(input.args)}")
        super().handle_update_validator(input)
