"""`PaymentGateway` for the sandbox processor."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import aiohttp

from gateways.port import GatewayError, NotExecuted, OutcomeUnknown
from gateways.sandbox.mapping import already_released, outcome_of, recorded_outcome, request_for
from payments.operations import Operation, Outcome, key_of

# A look-up reads one row; it needn't wait as long as a card network may take.
LOOKUP_TIMEOUT_SECONDS: Final = 2.0
# An answer of the processor has some hundred bytes; a gateway page in its place may have any number.
REPLY_BYTES_MAX: Final = 64 * 1024
# A processor may ask us to come back in a year by mistake; a payment must not hang on that.
RETRY_AFTER_MAX: Final = timedelta(hours=1)


class SandboxGateway:
    """Speaks HTTP to the sandbox. It never retries by itself: Temporal does, where people can see it."""

    name = "sandbox"

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, *, timeout_seconds: float, key_window: timedelta
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self.key_window = key_window

    async def submit(self, operation: Operation) -> Outcome:
        """See `PaymentGateway.submit`."""
        status, retry_after, content = await self._post(operation)
        try:
            return already_released(operation, outcome_of(status, content))
        except GatewayError as error:
            error.retry_after = error.retry_after or retry_after
            raise

    async def _post(self, operation: Operation) -> tuple[int, timedelta | None, bytes]:
        path, body = request_for(operation)
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._session.post(
                    self._base_url + path,
                    json=body,
                    headers={"Idempotency-Key": key_of(operation)},
                    allow_redirects=False,  # a request of its own, which may go to somebody else
                ) as reply,
            ):
                return reply.status, _retry_after(reply), await _read(reply)
        except aiohttp.ClientConnectorError as error:
            raise NotExecuted(f"the processor can't be reached: {error}") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise OutcomeUnknown(f"not known whether it happened: {_words(error)}") from error

    async def find(self, operation: Operation) -> Outcome | None:
        """See `PaymentGateway.find`."""
        try:
            async with (
                asyncio.timeout(LOOKUP_TIMEOUT_SECONDS),
                self._session.get(
                    f"{self._base_url}/v1/operations/{key_of(operation)}", allow_redirects=False
                ) as reply,
            ):
                return recorded_outcome(reply.status, await _read(reply))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise OutcomeUnknown(f"the processor's record can't be read: {type(error).__name__}") from error


@asynccontextmanager
async def open_sandbox_gateway(
    base_url: str, *, timeout_seconds: float, key_window: timedelta
) -> AsyncGenerator[SandboxGateway]:
    """A gateway with a connection pool of its own."""
    # The deadline is ours (asyncio.timeout around the whole exchange), not the session's.
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        yield SandboxGateway(session, base_url, timeout_seconds=timeout_seconds, key_window=key_window)


def _words(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else "the connection was lost"


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    content = await reply.content.read(REPLY_BYTES_MAX)
    while not reply.content.at_eof() and len(content) < REPLY_BYTES_MAX:
        content += await reply.content.read(REPLY_BYTES_MAX - len(content))
    return content


def _retry_after(reply: aiohttp.ClientResponse) -> timedelta | None:
    seconds = reply.headers.get("Retry-After", "")
    # Nine digits are 31 years: enough to be capped, and short enough for a timedelta.
    return min(timedelta(seconds=int(seconds[:9])), RETRY_AFTER_MAX) if seconds.isdecimal() else None
