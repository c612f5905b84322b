"""A payment as its client knows it: what it may become, and what was said of it, which is never taken back."""

import json
from collections import defaultdict
from typing import Any, Final

import httpx2

from payments.state import CHARGED, OPEN, TRANSITIONS, PaymentStatus

Fields = dict[str, Any]

AMOUNT: Final = 10_000
CONFIRMED_BY_CUSTOMER: Final = "pm_card_authenticationRequired"
CAPTURE_DECLINED: Final = "pm_sandbox_captureDeclined"
DECLINED: Final = frozenset({"pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds"})

# A refund's statuses after each one.
_REFUND_LATER: Final = {
    "pending": {"pending", "succeeded", "failed"},
    "succeeded": {"succeeded", "failed"},
    "failed": {"failed"},
}


class KnownPayment:
    """What its client has asked for and been told. Every method raises `AssertionError` for what must not be."""

    def __init__(self, key: str, body: Fields) -> None:
        self.key = key
        self.body = body
        self.status = "processing"
        self.answer: tuple[int, bytes] | None = None
        self.heard = False
        """Some answer has said that it exists."""
        self.next_action: Fields | None = None
        self.terminated = False
        self.was_reset = False
        self.refund_signals_are_sent = False
        self.refunds_may_be_declined = False
        self.refunds_may_fail_later = False
        self.captured_by: tuple[str, int | None] | None = None
        self.signaled: set[str] = set()
        """Ids of refunds that Temporal has taken a signal for."""
        self.captures: defaultdict[str, set[int | None]] = defaultdict(set)
        self.refunds: defaultdict[str, set[int | None]] = defaultdict(set)
        """The amounts that were ever asked for under an id, by whatever way."""
        self._refund_answers: dict[tuple[str, int | None], tuple[int, bytes]] = {}
        self._captured = 0
        self._listed: dict[str, Fields] = {}
        self._ends = self._usual_ends()

    def _usual_ends(self) -> set[str]:
        if self.method in DECLINED:
            return {"declined"}
        if self.is_manual or self.method == CONFIRMED_BY_CUSTOMER:
            return set()
        return {self.end_of_capture}

    @property
    def method(self) -> str:
        return self.body["payment_method"]

    @property
    def order_id(self) -> str | None:
        return self.body.get("order_id")

    @property
    def is_manual(self) -> bool:
        return self.body["capture"] == "manual"

    @property
    def end_of_capture(self) -> str:
        return "declined" if self.method == CAPTURE_DECLINED else "charged"

    @property
    def is_recorded(self) -> bool:
        """It surely has a row."""
        return self.answer is not None or self.next_action is not None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def waits_for_customer(self) -> bool:
        return self.status == PaymentStatus.REQUIRES_ACTION

    def part(self, percent: int | None) -> int | None:
        return None if percent is None else AMOUNT * percent // 100

    def permit(self, end: str) -> None:
        """From now on it may end like this, unless it has ended already."""
        if self.is_open:
            self._ends.add(end)

    # What was answered.

    def hear_payment(self, reply: httpx2.Response, before: tuple[int, bytes] | None) -> None:
        """`before`: the answer that was known when the request was sent."""
        self._expect(reply, 201, 202, 409)
        self.heard = True
        payment = reply.json()
        if reply.status_code == 202:
            assert before is None, f"{self.key} was decided: {before}"
            assert payment["status"] in {"processing", "requires_action"}, payment
            return
        answer = reply.status_code, reply.content
        if self.answer is None:
            self.answer = answer
            status = payment["status"] if reply.status_code == 201 else self._refused_for_order(payment)
            assert status != "authorized" or self.is_manual
            assert status == "authorized" or self._may_end(status), f"{self.key} may only end {self._ends}: {payment}"
        assert self.answer == answer, f"{self.key} was answered {self.answer} first, now {answer}"

    def hear_another_request(self, reply: httpx2.Response) -> None:
        self._expect(reply, 422)
        assert reply.json()["code"] == "idempotency_key_reused", reply.text

    def hear_capture(
        self, key: str, amount: int | None, reply: httpx2.Response, before: tuple[str, int | None] | None
    ) -> None:
        self._expect(reply, 200, 202, 409, 422)
        answer = reply.json()
        match reply.status_code:
            case 200:
                assert self.captured_by in {None, (key, amount)}, f"{self.key}: captured by {self.captured_by} before"
                self.captured_by = (key, amount)
                assert answer["status"] not in OPEN, answer
                assert answer["amount_captured"] in {0, amount or self.body["amount"]}, answer
            case 409:
                assert answer["code"] == "payment_not_capturable", answer
                assert before != (key, amount), f"{self.key}: was captured by {key}, which is now told {answer}"
            case 422:
                assert answer["code"] == "idempotency_key_reused", answer
                assert len(self.captures[key]) > 1, answer
                assert before != (key, amount), f"{self.key}: was captured by {key}, which is now told {answer}"
            case _:
                pass

    def hear_cancel(self, reply: httpx2.Response, status_before: str) -> None:
        self._expect(reply, 200, 202, 409)
        answer = reply.json()
        if reply.status_code == 200:
            assert answer["status"] == "canceled", answer
        if reply.status_code == 409:
            assert answer["code"] == "payment_not_cancelable", answer
            assert status_before != "canceled", answer

    def refund_answer(self, refund_id: str, amount: int | None) -> tuple[int, bytes] | None:
        return self._refund_answers.get((refund_id, amount))

    def hear_refund(
        self, refund_id: str, amount: int | None, reply: httpx2.Response, before: tuple[int, bytes] | None
    ) -> None:
        self._expect(reply, 201, 202, 409, 422)
        answer = reply.json()
        told = f"{self.key}: refund {refund_id} was answered {before}, now {reply.status_code} {reply.text}"
        match reply.status_code:
            case 201:
                self._hear_ended_refund(refund_id, amount, answer)
                assert before is None or before[1] == reply.content or self._failed_later(before, answer), told
                self._refund_answers[refund_id, amount] = 201, reply.content
            case 202:
                assert answer["status"] == "pending", answer
                assert before is None, told
            case 409 if answer["code"] == "refund_exceeds_refundable":
                assert before is None or before[0] == 409, told
                self._refund_answers[refund_id, amount] = 409, b""
            case 409:
                # Not for ever: it may be charged later.
                assert answer["code"] == "payment_not_refundable", answer
                assert before is None, told
            case _:
                assert answer["code"] == "idempotency_key_reused", answer
                assert before is None, told
                assert len(self.refunds[refund_id]) > 1, told

    def _hear_ended_refund(self, refund_id: str, amount: int | None, refund: Fields) -> None:
        assert (refund["id"], refund["payment_id"]) == (refund_id, self.key), refund
        assert amount in {None, refund["amount"]}, refund
        others = [a for (id_, a), (status, _) in self._refund_answers.items() if id_ == refund_id and status == 201]
        assert set(others) <= {amount}, f"{self.key}: refund {refund_id} was made for {others} and for {amount}"
        self._check_failure(refund)

    def _failed_later(self, before: tuple[int, bytes], refund: Fields) -> bool:
        first: Fields = json.loads(before[1] or "{}")
        return (
            self.refunds_may_fail_later
            and (first.get("status"), refund["status"]) == ("succeeded", "failed")
            and {k: first[k] for k in _KEPT} == {k: refund[k] for k in _KEPT}
        )

    def check_refusal(self, seen: Fields) -> None:
        """A refund was refused as too much: then more was asked for, all in all, than was charged."""
        asked = [AMOUNT if None in amounts else max(a or 0 for a in amounts) for amounts in self.refunds.values()]
        assert sum(asked) > seen["amount_captured"], (asked, seen)

    def _check_failure(self, refund: Fields) -> None:
        code = refund["failure"] and refund["failure"]["code"]
        allowed = {None, "payment_not_refundable", "refund_exceeds_refundable", "malformed"}
        allowed |= {"card_declined"} if self.refunds_may_be_declined else set()
        allowed |= {"refund_failed"} if self.refunds_may_fail_later else set()
        assert code in allowed, f"{self.key}: nobody had this refund fail: {refund}"

    # What is seen.

    def see(self, seen: Fields) -> None:
        """The payment as GET shows it, compared with what was seen before."""
        self.heard = True
        assert _reachable(self.status, seen["status"]), f"{self.key} went from {self.status} to {seen['status']}"
        assert seen["status"] in OPEN or self._may_end(seen["status"]), f"{self.key} may only end {self._ends}: {seen}"
        assert self._captured in {0, seen["amount_captured"]}, f"{self.key}: {self._captured} was captured, now {seen}"
        now = {refund["id"]: refund for refund in seen["refunds"]}
        assert set(self._listed) <= set(now), f"{self.key} forgot refunds: {self._listed}, now {seen}"
        for id_, refund in now.items():
            before: Fields = self._listed.get(id_) or refund
            assert {k: before[k] for k in _KEPT} == {k: refund[k] for k in _KEPT}, (before, refund)
            assert refund["status"] in _REFUND_LATER[before["status"]], (before, refund)
            self._check_failure(refund)
        self.status, self.next_action = seen["status"], seen["next_action"] or self.next_action
        self._captured, self._listed = seen["amount_captured"], now

    def see_the_end(self, seen: Fields, journal: list[Fields]) -> None:
        """Nothing is under way any more: everything adds up, and to what the processor did."""
        self.see(seen)
        assert not self.is_open, f"{self.key} has not ended: {seen}"
        refunds = seen["refunds"]
        assert {r["status"] for r in refunds} <= {"succeeded", "failed"}, seen
        moved = {name: sorted(e["amount"] for e in journal if e["operation"] == name) for name in _PAID_OUT}
        kept = sum(moved["capture"]) - sum(moved["refund"]) + sum(moved["refund_failed"])
        assert 0 <= kept <= self.body["amount"], f"{self.key}: {journal}"
        if seen["status"] in CHARGED:
            assert seen["amount_refunded"] == sum(r["amount"] for r in refunds if r["status"] == "succeeded"), seen
            assert seen["amount_refundable"] == seen["amount_captured"] - seen["amount_refunded"], seen
            # What the processor was asked for and did not decline is known by the processor's name for it.
            made = [r for r in refunds if r["processor_reference"]]
            assert moved["refund"] == sorted(r["amount"] for r in made), (seen, journal)
            assert moved["refund_failed"] == sorted(r["amount"] for r in made if r["status"] == "failed"), seen
        else:
            assert kept == 0, f"{self.key} kept money: {seen} {journal}"
            assert not any(r["status"] == "succeeded" for r in refunds), seen
        captured_by = self.captured_by
        if captured_by is not None and seen["status"] in CHARGED:
            assert seen["amount_captured"] == (captured_by[1] or self.body["amount"]), seen
        if not self.terminated:
            assert self.signaled <= {r["id"] for r in refunds}, f"{self.key} lost signals: {self.signaled} {seen}"

    def _may_end(self, status: str) -> bool:
        return ("charged" if status in CHARGED else status) in self._ends

    def _refused_for_order(self, problem: Fields) -> str:
        assert problem["code"] == "order_already_paid", problem
        return "failed"

    def _expect(self, reply: httpx2.Response, *statuses: int) -> None:
        assert reply.status_code in statuses, f"{self.key}: {reply.status_code} {reply.text}"


_KEPT: Final = ("id", "payment_id", "amount", "currency", "reason", "created_at")
_PAID_OUT: Final = ("capture", "refund", "refund_failed")


def _reachable(old: str, new: str) -> bool:
    found, todo = {old}, [PaymentStatus(old)]
    while todo:
        following = TRANSITIONS.get(todo.pop(), frozenset()) - found
        found |= following
        todo += following
    return new in found
