"""Executes what faults have put off, when it is due, whoever still waits for it."""

import asyncio
import time

from sandbox.processor import Processor
from sandbox.words import Answer


class LateExecutions:
    """One timer per pending request; the requests themselves are in the store, so a restart arms them again."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._answers: dict[str, asyncio.Future[Answer]] = {}

    def arm(self, key: str, due_at: float) -> None:
        loop = asyncio.get_running_loop()
        self._answers[key] = loop.create_future()
        self._timers[key] = loop.call_later(max(0.0, due_at - time.time()), self._finish, key)

    async def answer(self, key: str) -> Answer:
        # Shielded: a client that leaves takes nothing away from what is executing.
        return await asyncio.shield(self._answers[key])

    def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    def _finish(self, key: str) -> None:
        del self._timers[key]
        self._answers.pop(key).set_result(self._processor.finish(key))
