"""Runs a money step to its end, whatever is canceled meanwhile."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Shield:
    """Keeps cancellations away from steps that move money, and remembers that one was asked for.

    Cancelling such a step would lose its outcome: Temporal reports it canceled although the money may have moved.
    """

    def __init__(self) -> None:
        self.cancel_requested = False

    async def finish(self, step: Coroutine[Any, Any, Result]) -> Result:
        """The step's result, or what it raises. A cancellation is noted and the step goes on."""
        task = asyncio.ensure_future(step)
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                self.cancel_requested = True
                current = asyncio.current_task()
                if current is not None:
                    current.uncancel()
            except Exception:  # noqa: S112 - the step's own failure is raised by result() below
                continue
        return task.result()
