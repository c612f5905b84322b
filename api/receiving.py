"""Takes a processor's event in: verified, and stored before anybody is told that it was."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog

from api.calling import read
from api.delivering import Delivering
from api.problems import Code, ProblemError
from gateways.port import WebhookReader, WebhookRefused
from ledger.port import Inbox, WebhookEvent

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Webhooks:
    """What the API does with webhooks; a processor without a reader has none here."""

    def __init__(self, readers: Mapping[str, WebhookReader], inbox: Inbox, delivering: Delivering) -> None:
        self._readers = readers
        self._inbox = inbox
        self._delivering = delivering

    def reader(self, processor: str) -> WebhookReader:
        """Raises `ProblemError` when this processor's webhooks are not taken."""
        if processor not in self._readers:
            raise ProblemError(
                Code.NOT_FOUND,
                "No webhooks of such a processor are taken here. Who runs this service names the secret that they are "
                "signed with in PAYSAGA_WEBHOOK_SECRET.",
            )
        return self._readers[processor]

    async def receive(self, processor: str, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Store the event, unless it is there already. Raises `ProblemError` and `LedgerUnavailable`."""
        try:
            event = self.reader(processor).read(headers, body, datetime.now(UTC))
        except WebhookRefused as refusal:
            _log.warning("webhook_refused", processor=processor, reason=str(refusal))
            raise ProblemError(Code.WEBHOOK_REFUSED, f"Nothing was taken. {refusal}") from None
        stored = WebhookEvent(
            processor=processor, id=event.id, type=event.type, concerns=event.concerns, payment_id=event.payment_id
        )
        if await read(self._inbox.store_event(stored)):
            self._delivering.soon()

    @asynccontextmanager
    async def delivered(self) -> AsyncGenerator[None]:
        """Meanwhile payments are told of their events, and of what reconciliation has found at the processor."""
        async with self._delivering.running():
            yield
