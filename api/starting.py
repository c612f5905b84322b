"""Starts a payment and finds its answer: one call to Temporal, and whenever that gives none, the ledger decides."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

from api.calling import Deadline, is_closed, read, retrieve, within
from api.looking import Looking
from api.opening import start_input, start_options
from api.problems import Code, FieldError, ProblemError, temporal_unavailable
from ledger.port import Ledger, PaymentRecord
from payments.messages import Pay, PayAnswer
from payments.payment import Payment, processing_payment
from payments.request import RecordedRequest
from workflows import names


@dataclass(frozen=True)
class Decided:
    """The payment's first decided state: the answer to this request for ever."""

    payment: Payment
    replayed: bool


@dataclass(frozen=True)
class Undecided:
    """The payment goes on; its state as far as it is known."""

    payment: Payment


class NoAnswer(Enum):
    """Why Temporal gave no answer."""

    STARTED = auto()
    """It was started just now, for a caller who doesn't wait."""
    NOT_YET = auto()
    """The payment is running and the time to wait is over, or it can't tell us."""
    OTHER_REQUEST = auto()
    """The running payment was started with another request, as far as it knows."""
    CLOSED = auto()
    """The workflow is closed, or closed while we waited."""


class Payments:
    """What the API does with payments."""

    def __init__(self, client: Client, ledger: Ledger, quiet_period: timedelta) -> None:
        self._client = client
        self._ledger = ledger
        self._looking = Looking(client)
        self._quiet_period = quiet_period

    async def pay(self, payment_id: str, request: RecordedRequest, wait_seconds: float) -> Decided | Undecided:
        """Start the payment, or join the one that has this key, and wait for its answer.

        Raises `ProblemError` when the key belongs to another request or Temporal is down, and `LedgerUnavailable`.
        """
        deadline = Deadline(wait_seconds)
        # The ledger first: a payment that was decided is answered without Temporal, and nothing is started that
        # couldn't be claimed.
        record = await read(self._ledger.find(payment_id))
        if record is not None and (answer := _answer_of(record, request)):
            return answer
        for reuse in (WorkflowIDReusePolicy.REJECT_DUPLICATE, WorkflowIDReusePolicy.ALLOW_DUPLICATE):
            word = await self._ask(payment_id, request, reuse, deadline, record)
            if isinstance(word, Decided):
                return word
            if word is NoAnswer.STARTED:
                return Undecided(processing_payment(payment_id, request, datetime.now(UTC)))
            record = await read(self._ledger.find(payment_id))
            if record is not None and (answer := _answer_of(record, request)):
                return answer
            if word is NoAnswer.CLOSED:
                # Closed and undecided: terminated, or its claim was refused. A new run goes on with the same keys, for
                # the request that had the key first.
                if record is None and (started := await self._looking.first_event(payment_id)):
                    _refuse_difference(started.request, request)
                continue
            if word is NoAnswer.OTHER_REQUEST and record is None:
                await self._probe(payment_id, request, record)
            return Undecided(record.payment if record else processing_payment(payment_id, request, datetime.now(UTC)))
        raise temporal_unavailable()

    async def find(self, payment_id: str) -> Payment | None:
        """The payment as it stands now, also before it has a row. Raises `ProblemError` and `LedgerUnavailable`."""
        if (payment := await read(self._ledger.find_payment(payment_id))) is not None:
            return payment
        started = await self._looking.first_event(payment_id)
        if started is None:
            return None
        if not await self._looking.is_open(payment_id):
            # Closed meanwhile, with a row; or without one, and then it was no payment.
            return await read(self._ledger.find_payment(payment_id))
        return processing_payment(payment_id, started.request, started.at)

    async def _ask(
        self,
        payment_id: str,
        request: RecordedRequest,
        reuse: WorkflowIDReusePolicy,
        deadline: Deadline,
        record: PaymentRecord | None,
    ) -> Decided | NoAnswer:
        """One call to Temporal, within the caller's time and our own."""
        if deadline.seconds_left > 0:
            ask = self._start_and_wait(payment_id, request, reuse, confirmed=_confirmed(record))
        else:
            # An update is accepted when the workflow's first task is done, which is too late for who doesn't wait.
            ask = self._start(payment_id, request, reuse, record)
        word = await within(deadline, self._looking, ask)
        if word is None:
            # A busy Temporal may take long to start it; of one that isn't started nothing may be said.
            await self._probe(payment_id, request, record)
            return NoAnswer.NOT_YET
        return word

    async def _start_and_wait(
        self, payment_id: str, request: RecordedRequest, reuse: WorkflowIDReusePolicy, *, confirmed: bool
    ) -> Decided | NoAnswer | None:
        """Update-with-Start: starts the payment or joins it, and brings the answer."""
        pay, start = Pay(fingerprint=request.fingerprint()), start_input(request, reuse, self._quiet_period)
        # Temporal keeps the first answer of an ID, also of a run that was terminated since: that would start no other.
        update_id = pay.fingerprint if reuse is WorkflowIDReusePolicy.REJECT_DUPLICATE else start.nonce
        operation: WithStartWorkflowOperation[object, object] = WithStartWorkflowOperation(
            "PaymentWorkflow",
            start,
            id=payment_id,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=reuse,
            **start_options(request),
        )
        try:
            answer: PayAnswer = await self._client.execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType]
                "pay",
                pay,
                # Until the customer has confirmed, the first answer is that they must.
                id=f"{update_id}-confirmed" if confirmed else update_id,
                start_workflow_operation=operation,
                result_type=PayAnswer,
            )
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            return None  # given up, by us or by Temporal: whether it was started, nobody has said
        # RuntimeError: the client connects when it is first used, and can't.
        except (WorkflowAlreadyStartedError, WorkflowUpdateFailedError, RPCError, RuntimeError) as error:
            return _no_answer(error)
        finally:
            await retrieve(operation)
        if answer.waits:
            return NoAnswer.NOT_YET if await self._looking.is_open(payment_id) else NoAnswer.CLOSED
        if answer.payment is None:
            return NoAnswer.CLOSED
        return Decided(answer.payment, replayed=answer.nonce != start.nonce)

    async def _start(
        self, payment_id: str, request: RecordedRequest, reuse: WorkflowIDReusePolicy, record: PaymentRecord | None
    ) -> NoAnswer:
        """Starts the payment unless it is there. Raises `ProblemError` when it is there for another request."""
        try:
            await self._client.start_workflow(  # pyright: ignore[reportUnknownMemberType]
                "PaymentWorkflow",
                start_input(request, reuse, self._quiet_period),
                id=payment_id,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=reuse,
                **start_options(request),
            )
        except WorkflowAlreadyStartedError:
            await self._probe(payment_id, request, record)
            return NoAnswer.NOT_YET if await self._looking.is_open(payment_id) else NoAnswer.CLOSED
        except (RPCError, RuntimeError) as error:
            return _no_answer(error)
        return NoAnswer.STARTED

    async def _probe(self, payment_id: str, request: RecordedRequest, record: PaymentRecord | None) -> None:
        """Raises `ProblemError` unless this payment is there with this request: in the ledger, or in Temporal."""
        if record is not None:
            # A run that was woken was started without the request.
            return
        started = await self._looking.first_event(payment_id)
        if started is None:
            raise temporal_unavailable()
        _refuse_difference(started.request, request)


def _confirmed(record: PaymentRecord | None) -> bool:
    return record is not None and record.action_ended_at is not None


def _no_answer(error: Exception) -> NoAnswer:
    """What it means that Temporal gave no answer. Raises `ProblemError` when Temporal is down."""
    match error:
        case WorkflowUpdateFailedError(cause=ApplicationError(type=names.OTHER_REQUEST)):
            return NoAnswer.OTHER_REQUEST
        # It was woken, or started by hand: whose request it is, the ledger or its first event tells.
        case WorkflowUpdateFailedError(cause=ApplicationError(type=names.ASK_THE_LEDGER)):
            return NoAnswer.OTHER_REQUEST
        case _:
            return NoAnswer.CLOSED if is_closed(error) else NoAnswer.NOT_YET


def _answer_of(record: PaymentRecord, request: RecordedRequest) -> Decided | None:
    """The stored answer, when there is one. Raises `ProblemError` when the row belongs to another request."""
    if record.fingerprint != request.fingerprint():
        _refuse_difference(record.request, request)
    return Decided(record.answer, replayed=True) if record.answer else None


def _refuse_difference(first: RecordedRequest, second: RecordedRequest) -> None:
    fields = first.differing_fields(second)
    if fields:
        raise ProblemError(
            Code.IDEMPOTENCY_KEY_REUSED,
            "This Idempotency-Key was used for another request; nothing was charged for this one. Repeat the first "
            f"request, or choose a new key for a new payment. What differs: {', '.join(fields)}.",
            errors=[FieldError(pointer=f"/{name}", detail="differs from the first request") for name in fields],
        )
