"""Tells payments that their processor has something to say of them: each is signalled to ask it, and woken for that."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from datetime import timedelta
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from api.calling import read
from api.opening import reopening
from gateways.port import Concern
from ledger.port import Delivery, Inbox, Ledger, LedgerUnavailable, PaymentRecord, WebhookEvent
from payments.payment import Payment
from payments.state import CHARGED, OPEN, PaymentStatus

SIGNAL: Final = "check"
# An event is delivered as soon as it is stored. This is for those of an API that stopped before it could, or failed to.
POLL_SECONDS: Final = 5.0
LEASE: Final = timedelta(seconds=POLL_SECONDS)
# After something that meets every payment: no reason to try again with the next event that comes.
PAUSE_SECONDS: Final = 1.0
BATCH: Final = 100
# Few: clients need the connections to PostgreSQL more.
AT_ONCE: Final = 4
# The SDK's client retries by itself for longer.
TEMPORAL_SECONDS: Final = 3.0
# A run takes ten thousand signals, for instance. No other payment must wait for such a one.
_THIS_PAYMENT_ONLY: Final = frozenset({RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.FAILED_PRECONDITION})

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Delivering:
    """A loop of each API process. Told twice, a payment asks twice: an event that is stored is told at least once."""

    def __init__(self, client: Client, ledger: Ledger, inbox: Inbox, quiet_period: timedelta) -> None:
        self._client = client
        self._ledger = ledger
        self._inbox = inbox
        self._quiet_period = quiet_period
        self._stored = asyncio.Event()
        self._waiting = False

    def soon(self) -> None:
        """An event was stored just now."""
        self._stored.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Deliver meanwhile. What it is at when it is stopped is delivered by the next one."""
        loop = asyncio.create_task(self._run())
        try:
            yield
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._stored.clear()
            try:
                while await self._deliver_some():
                    pass
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._stored.wait()
            except Exception as error:
                # Whatever it is, the events stay where they are. An outage is one line, however long it lasts.
                if not self._waiting:
                    _warn("webhooks_wait", error)
                self._waiting = True
                await asyncio.sleep(PAUSE_SECONDS)

    async def _deliver_some(self) -> bool:
        """Whether there may be more. Raises the outage that none of the payments told at once has got through."""
        events = await read(self._inbox.take_events(BATCH, LEASE))
        payments = _by_payment(events)
        for first in range(0, len(payments), AT_ONCE):
            some = payments[first : first + AT_ONCE]
            ends = await asyncio.gather(*(self._deliver(of_one) for of_one in some), return_exceptions=True)
            errors = [end for end in ends if isinstance(end, Exception)]
            if len(errors) == len(some) and all(map(_is_outage, errors)):
                raise errors[0]
            self._waiting = False
            for error in errors:
                _warn("webhook_waits", error)
        return len(events) == BATCH

    async def _deliver(self, events: list[WebhookEvent]) -> None:
        """Signal the payment that these are about, once for all of them, unless none can matter to it."""
        record = await read(self._ledger.find(events[0].payment_id))
        told: list[WebhookEvent] = []
        if record is not None and (told := [event for event in events if _matters(event, record.payment)]):
            await self._signal(record, told)
        rest = [event for event in events if event not in told]
        for delivery, ended in ((Delivery.DELIVERED, told), (Delivery.IGNORED, rest)):
            if ended:
                ids = [event.id for event in ended]
                await read(self._inbox.end_delivery(ended[0].processor, ids, delivery))

    async def _signal(self, record: PaymentRecord, events: list[WebhookEvent]) -> None:
        start, options = reopening(record, self._quiet_period)
        async with asyncio.timeout(TEMPORAL_SECONDS):
            await self._client.start_workflow(  # pyright: ignore[reportUnknownMemberType]
                "PaymentWorkflow",
                start,
                id=record.payment.id,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                start_signal=SIGNAL,
                # For people who read the history: the workflow asks the processor, whatever stands here.
                start_signal_args=[{"events": [event.id for event in events]}],
                **options,
            )


def _by_payment(events: Iterable[WebhookEvent]) -> list[list[WebhookEvent]]:
    """Those of one processor and payment together."""
    found: dict[tuple[str, str], list[WebhookEvent]] = {}
    for event in events:
        found.setdefault((event.processor, event.payment_id), []).append(event)
    return list(found.values())


def _matters(event: WebhookEvent, payment: Payment) -> bool:
    """Whether it can be news. Nothing happens to the hold of a payment that was charged; and what was not charged is
    not refunded, unless it is being undone."""
    if event.processor != payment.processor:
        return False
    match event.concerns:
        case Concern.AUTHORIZATION:
            return payment.status not in CHARGED
        case Concern.REFUND:
            # An undone charge of another currency than was asked for stands in the books only, not in the amounts.
            return payment.status in OPEN | {PaymentStatus.FAILED} or payment.amount_captured > 0
        case _:
            return False


def _is_outage(error: Exception) -> bool:
    """What may pass, and would meet every payment."""
    if isinstance(error, RPCError):
        return error.status not in _THIS_PAYMENT_ONLY
    # RuntimeError: the client connects when it is first used, and can't.
    return isinstance(error, LedgerUnavailable | RuntimeError | TimeoutError)


def _warn(what: str, error: Exception) -> None:
    _log.warning(what, error=f"{type(error).__name__}: {error}", exc_info=None if _is_outage(error) else error)
