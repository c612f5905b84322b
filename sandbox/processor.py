"""Decides each request: what its key says, which fault hits it, what is executed. Never awaits."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from sandbox import deadlines, faults, rules
from sandbox.faults import Fault
from sandbox.moment import USUAL, Moment, Terms
from sandbox.store import Store
from sandbox.words import Answer, MoneyRequest, Refusal

REPLAYED = (("Idempotent-Replayed", "true"),)


class Delivery(Enum):
    """How an answer gets to the client, or does not."""

    REPLY = auto()
    HANG = auto()
    RESET = auto()
    CUT_OFF = auto()
    WHEN_DONE = auto()


DELIVERY_OF = {
    "timeout_before_execution": Delivery.HANG,
    "timeout_after_execution": Delivery.HANG,
    "late_execution": Delivery.HANG,
    "reset_after_execution": Delivery.RESET,
    "malformed_reply": Delivery.CUT_OFF,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one request. Without an answer there is nothing to say, or not yet."""

    answer: Answer | None
    delivery: Delivery = Delivery.REPLY
    delay: float = 0.0
    due_at: float | None = None


class Processor:
    """Every request is one transaction: its effect, its key's answer and its fault are kept, or none of them is."""

    def __init__(self, store: Store, key_window: float, clock: Callable[[], float], terms: Terms = USUAL) -> None:
        self._store = store
        self._key_window = key_window
        self._clock = clock
        self._terms = terms

    @contextmanager
    def moment(self) -> Generator[Moment]:
        """A transaction that finds done what time does by itself."""
        with self._store.transaction():
            at = Moment(self._store, self._terms, self._clock())
            deadlines.settle(at)
            yield at

    def handle(self, request: MoneyRequest) -> Outcome:
        with self.moment() as at:
            pending = self._store.pending(request.key)
            saved = self._store.saved_answer(request.key, at.now - self._key_window)
            used_by = pending.fingerprint if pending else saved[0] if saved else None
            fault = faults.take(self._store, request, _can_hit(request, used_by, pending=pending is not None))
            if fault and fault.name in faults.BEFORE_EXECUTION:
                return _struck_down(fault)
            if used_by not in {None, request.fingerprint}:
                return Outcome(_key_reused().answer)
            if pending:
                return Outcome(_key_in_use().answer)
            if saved:
                return _replay(saved[1], fault)
            return self._first(at, request, fault)

    def finish(self, key: str) -> Answer:
        """Execute what a fault has put off."""
        with self.moment() as at:
            request = self._store.pending(key)
            if request is None:
                raise LookupError(f"nothing is pending under {key}")
            self._store.remove_pending(key)
            return self._execute(at, request, None)

    def _first(self, at: Moment, request: MoneyRequest, fault: Fault | None) -> Outcome:
        if fault and fault.name in faults.PUT_OFF:
            due_at = at.now + fault.seconds
            self._store.add_pending(request, due_at)
            waits = fault.name == "slow"
            return Outcome(None, Delivery.WHEN_DONE if waits else Delivery.HANG, due_at=due_at)
        if fault is None and self._is_unavailable_once(request):
            return _struck_down(Fault("unavailable"))
        answer = self._execute(at, request, fault)
        if fault is None and self._loses_reply_once(request, answer):
            return Outcome(answer, Delivery.HANG)
        return Outcome(answer, _delivery(fault))

    def _execute(self, at: Moment, request: MoneyRequest, fault: Fault | None) -> Answer:
        try:
            answer = Answer(200, rules.execute(at, request, fault))
        except Refusal as refusal:
            answer = refusal.answer
        if fault and fault.name == "wrong_amount":
            answer = _with_wrong_amount(answer)
        self._store.save_answer(request, answer, at.now)
        return answer

    def _is_unavailable_once(self, request: MoneyRequest) -> bool:
        return (
            request.operation == "authorize"
            and request.subject == rules.UNAVAILABLE_ONCE
            and self._store.first_misbehaviour(request.payment_id, rules.UNAVAILABLE_ONCE)
        )

    def _loses_reply_once(self, request: MoneyRequest, answer: Answer) -> bool:
        if request.operation != "capture" or answer.status != 200:
            return False
        hold = self._store.authorization(request.subject)
        return (
            hold is not None
            and hold.payment_method == rules.TIMEOUT_AFTER_CHARGE
            and self._store.first_misbehaviour(request.payment_id, rules.TIMEOUT_AFTER_CHARGE)
        )


def _can_hit(request: MoneyRequest, used_by: str | None, *, pending: bool) -> frozenset[str]:
    if used_by is None:
        return faults.FAULTS
    if pending or used_by != request.fingerprint:
        return faults.BEFORE_EXECUTION
    return faults.BEFORE_EXECUTION | faults.AROUND_EXECUTION


def _struck_down(fault: Fault) -> Outcome:
    refusal = faults.refusal_of(fault)
    return Outcome(refusal.answer if refusal else None, _delivery(fault))


def _replay(saved: Answer, fault: Fault | None) -> Outcome:
    answer = replace(saved, headers=REPLAYED)
    if fault and fault.name == "wrong_amount":
        answer = _with_wrong_amount(answer)
    return Outcome(answer, _delivery(fault), delay=fault.seconds if fault and fault.name == "slow" else 0.0)


def _delivery(fault: Fault | None) -> Delivery:
    return DELIVERY_OF.get(fault.name, Delivery.REPLY) if fault else Delivery.REPLY


def _with_wrong_amount(answer: Answer) -> Answer:
    if answer.status != 200:
        return answer
    body: dict[str, Any] = answer.body | {"amount": answer.body["amount"] + 1}
    return replace(answer, body=body)


def _key_reused() -> Refusal:
    message = "This key was used first with another body or for another operation."
    return Refusal("idempotency_key_reused", message, type_="idempotency_error")


def _key_in_use() -> Refusal:
    message = "The first request with this key is still executing; send the same key again later."
    return Refusal("idempotency_key_in_use", message, status=409, type_="idempotency_error")
