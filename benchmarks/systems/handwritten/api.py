"""The only process."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header, HTTPException, Request

from benchmarks.systems.charging import ChargeRefused
from benchmarks.systems.environment import PORT
from benchmarks.systems.handwritten.steps import KeyReused, Steps
from benchmarks.systems.opening import opened_gateway, opened_pool
from gateways.port import GatewayError
from ledger.port import LedgerError
from payments.payment import Payment
from payments.request import PaymentRequest
from paysaga.dev.ports import HOST


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with opened_pool() as pool, opened_gateway() as gateway:
        app.state.steps = Steps(pool, gateway)
        yield


app = FastAPI(lifespan=_lifespan)


@app.post("/v1/payments", status_code=201)
async def create_payment(request: Request, body: PaymentRequest, idempotency_key: Annotated[str, Header()]) -> Payment:
    """Pay once for each key; a repetition gets the stored answer."""
    steps: Steps = request.app.state.steps
    try:
        return await steps.pay(idempotency_key, body)
    except KeyReused:
        raise HTTPException(422, "the key was used for another request") from None
    except ChargeRefused as error:
        raise HTTPException(402, str(error)) from None
    except (LedgerError, GatewayError) as error:
        raise HTTPException(503, str(error), headers={"Retry-After": "1"}) from None


if __name__ == "__main__":
    # Without a log line for each request, as paysaga: it would be CPU that has nothing to do with paying.
    uvicorn.run(app, host=HOST, port=int(os.environ[PORT]), access_log=False, log_level="warning")
