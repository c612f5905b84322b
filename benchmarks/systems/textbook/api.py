"""The API process."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header, Request
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import WorkflowAlreadyStartedError

from benchmarks.systems.environment import PORT, TEMPORAL_ADDRESS
from benchmarks.systems.textbook.messages import TASK_QUEUE, PaymentInput
from benchmarks.systems.textbook.workflow import TextbookPayment
from payments.payment import Payment
from payments.request import PaymentRequest
from paysaga.dev.ports import HOST


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    app.state.client = await Client.connect(os.environ[TEMPORAL_ADDRESS], data_converter=pydantic_data_converter)
    yield


app = FastAPI(lifespan=_lifespan)


@app.post("/v1/payments", status_code=201)
async def create_payment(request: Request, body: PaymentRequest, idempotency_key: Annotated[str, Header()]) -> Payment:
    """Pay once for each key; a repetition gets the workflow's result."""
    client: Client = request.app.state.client
    try:
        return await client.execute_workflow(
            TextbookPayment.run,
            PaymentInput(payment_id=idempotency_key, request=body),
            id=idempotency_key,
            task_queue=TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
    except WorkflowAlreadyStartedError:
        return await client.get_workflow_handle_for(TextbookPayment.run, idempotency_key).result()


if __name__ == "__main__":
    # Without a log line for each request, as paysaga: it would be CPU that has nothing to do with paying.
    uvicorn.run(app, host=HOST, port=int(os.environ[PORT]), access_log=False, log_level="warning")
