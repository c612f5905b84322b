"""What the supervisor and the load generator's process tell each other: one JSON line each. Light to import."""

import uuid
from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter

CURRENCY: Final = "EUR"
_LOWEST, _SPAN, _STRIDE = 100, 99_900, 7_919


@dataclass(frozen=True, slots=True)
class Sent:
    """A payment that a client asks for; the amount in the currency's minor unit."""

    payment_id: str
    amount: int
    currency: str = CURRENCY


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What is wrong with one payment."""

    payment_id: str
    what: str

    def __str__(self) -> str:
        return f"{self.payment_id}: {self.what}"


@dataclass(frozen=True, slots=True)
class Job:
    """Payments to be sent by this many clients, each of which sends its next one when it has the answer."""

    url: str
    headers: dict[str, str]
    clients: int
    payments: list[Sent]
    repeated: bool = False
    """They were sent before: each must get its first answer again."""
    asynchronous: bool = False
    """The headers ask for no outcome: each must be answered 202, and nothing is sent again after that."""
    until_told: bool = False
    """After the next line of standard input, which always comes, no client sends another one than its first."""
    patience_seconds: float = 90
    """Longer than any payment takes under the heaviest load; one that takes longer has failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went. `seconds` is from the first request to the last answer; a latency is from a payment's first request
    to its answer, with whatever had to be sent again meanwhile. There are as many as payments were sent."""

    seconds: float
    latencies_ms: list[float]
    sent_again: int = 0
    """How many replies were no answer but asked to send the same again later."""
    mismatches: list[Mismatch] = field(default_factory=list[Mismatch])


JOB: Final = TypeAdapter(Job)
OUTCOME: Final = TypeAdapter(Outcome)


def some_payments(prefix: str, count: int) -> list[Sent]:
    """So many payments with keys of their own, of different amounts. Their keys are UUIDs, as most clients': in other
    numbers a card number may stand by chance."""
    names = uuid.uuid5(uuid.NAMESPACE_OID, prefix)
    return [Sent(str(uuid.uuid5(names, str(n))), _LOWEST + n * _STRIDE % _SPAN) for n in range(count)]
