"""The worker process, with the default options of a worker."""

import asyncio
import os
import signal

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from benchmarks.systems.environment import TEMPORAL_ADDRESS, WORKER_READY
from benchmarks.systems.opening import opened_gateway, opened_pool
from benchmarks.systems.textbook.activities import Steps
from benchmarks.systems.textbook.messages import TASK_QUEUE
from benchmarks.systems.textbook.workflow import TextbookPayment
from ledger.postgres import PostgresLedger


async def main() -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = await Client.connect(os.environ[TEMPORAL_ADDRESS], data_converter=pydantic_data_converter)
    async with opened_pool() as pool, opened_gateway() as gateway:
        steps = Steps(gateway, PostgresLedger(pool))
        async with Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[TextbookPayment],
            activities=[steps.authorize, steps.capture, steps.record],
        ):
            print(WORKER_READY, flush=True)
            await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
