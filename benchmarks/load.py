"""The load generator: a process of its own, so that neither its CPU nor its pauses are the supervisor's.

    python -m benchmarks.load        # a job on each line of standard input, its outcome on a line of standard output

It remembers the answers, and ends with its standard input.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import aiohttp
import uvloop

from benchmarks.jobs import JOB, OUTCOME, Job, Mismatch, Outcome, Sent

# "Not decided yet" and "not now": a client sends the same request with the same key again, after `Retry-After`.
_SEND_AGAIN: Final = frozenset({202, 503})
# Who asked for no outcome has been answered with 202.
_SEND_AGAIN_ASYNCHRONOUS: Final = frozenset({503})


@dataclass(frozen=True, slots=True)
class _Answer:
    payment: Sent
    status: int
    content: bytes
    milliseconds: float
    sent_again: int


class Generator:
    """Sends jobs' payments; their first answers are kept."""

    def __init__(self) -> None:
        # Undecoded: decoded, a hundred thousand of them would take several times the memory.
        self._first_answers: dict[str, bytes] = {}

    async def run(self, job: Job, stop: asyncio.Event | None = None) -> Outcome:
        """Send everything, or as much as until `stop` is set, then look at the answers: looking costs CPU that must
        not slow down the sending."""
        stop = stop or asyncio.Event()
        answers: list[_Answer] = []
        timeout = aiohttp.ClientTimeout(total=job.patience_seconds)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector, headers=job.headers) as session:
            begun = time.perf_counter()
            left = iter(job.payments)
            await asyncio.gather(*(_client(session, job, left, answers, stop) for _ in range(job.clients)))
            seconds = time.perf_counter() - begun
        return Outcome(
            seconds,
            [answer.milliseconds for answer in answers],
            sum(answer.sent_again for answer in answers),
            [mismatch for answer in answers if (mismatch := self._check(answer, job)) is not None],
        )

    def _check(self, answer: _Answer, job: Job) -> Mismatch | None:
        payment, content = answer.payment, _json(answer.content)
        problem = answer_problem(payment, answer.status, content, asynchronous=job.asynchronous)
        if problem is None and job.repeated and content != _json(self._first_answers.get(payment.payment_id, b"")):
            problem = "another answer than the first time"
        if not job.repeated and not job.asynchronous:
            self._first_answers[payment.payment_id] = answer.content
        return None if problem is None else Mismatch(payment.payment_id, problem)


def answer_problem(payment: Sent, status: int, answer: object, *, asynchronous: bool = False) -> str | None:
    """What is wrong with an answer to a payment that must have succeeded, or, `asynchronous`, must only have been
    taken; None when nothing is."""
    if status != (202 if asynchronous else 201) or not isinstance(answer, dict):
        return f"answered {status} {answer!r}"[:300]
    expected = {
        "id": payment.payment_id,
        "status": "processing" if asynchronous else "succeeded",
        "amount": payment.amount,
        "amount_captured": 0 if asynchronous else payment.amount,
        "currency": payment.currency,
    }
    fields = cast("dict[str, object]", answer)
    wrong = {name: fields.get(name) for name, value in expected.items() if fields.get(name) != value}
    return f"answered with {wrong}" if wrong else None


async def _client(
    session: aiohttp.ClientSession, job: Job, left: Iterator[Sent], answers: list[_Answer], stop: asyncio.Event
) -> None:
    """One customer after another, each waiting for the answer."""
    for payment in left:
        answers.append(await _pay(session, job, payment))
        if stop.is_set():
            break


async def _pay(session: aiohttp.ClientSession, job: Job, payment: Sent) -> _Answer:
    """Send it, and again while that is what the service asks for."""
    body = {
        "amount": payment.amount,
        "currency": payment.currency,
        "payment_method": "pm_card_visa",
        "order_id": payment.payment_id,
    }
    headers = {"Idempotency-Key": payment.payment_id}
    send_again = _SEND_AGAIN_ASYNCHRONOUS if job.asynchronous else _SEND_AGAIN
    sent_again = 0
    begun = time.perf_counter()
    while True:
        try:
            async with session.post(job.url, json=body, headers=headers) as reply:
                status, content, retry_after = reply.status, await reply.read(), reply.headers.get("Retry-After", "1")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            status, content, retry_after = 0, f"no answer: {type(error).__name__}: {error}".encode(), ""
        seconds = time.perf_counter() - begun
        if status not in send_again or not retry_after.isdecimal() or seconds > job.patience_seconds:
            return _Answer(payment, status, content, seconds * 1000, sent_again)
        await asyncio.sleep(float(retry_after))
        sent_again += 1


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")


async def _line() -> bytes:
    return await asyncio.to_thread(sys.stdin.buffer.readline)


async def _set_when_told(stop: asyncio.Event) -> None:
    await _line()
    stop.set()


async def main() -> None:
    """Serve jobs until the end of standard input."""
    generator = Generator()
    while line := await _line():
        job, stop = JOB.validate_json(line), asyncio.Event()
        if job.until_told:
            outcome, _ = await asyncio.gather(generator.run(job, stop), _set_when_told(stop))
        else:
            outcome = await generator.run(job)
        sys.stdout.buffer.write(OUTCOME.dump_json(outcome) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(main())
