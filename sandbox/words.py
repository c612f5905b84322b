"""The words that the sandbox's parts share: operations, requests, answers, refusals."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

Operation = Literal["authorize", "capture", "void", "refund"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)

# Each operation works on one thing, which its request names in this field.
SUBJECT_FIELD: dict[Operation, str] = {
    "authorize": "payment_method",
    "capture": "authorization",
    "void": "authorization",
    "refund": "capture",
}
ID_PREFIX: dict[Operation, str] = {"authorize": "auth", "capture": "cap", "void": "void", "refund": "re"}
# What an operation brings about; events are named for it.
EFFECT: dict[Operation, str] = {
    "authorize": "authorization",
    "capture": "capture",
    "void": "void",
    "refund": "refund",
}


@dataclass(frozen=True, slots=True)
class MoneyRequest:
    """A request that moves money, its shape already checked."""

    operation: Operation
    key: str
    fingerprint: str
    payment_id: str
    amount: int
    currency: str
    subject: str
    # Where the client reached us, and where its customers do.
    base_url: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the processor decided to say; whether it reaches the client is another matter."""

    status: int
    body: dict[str, Any]
    headers: tuple[tuple[str, str], ...] = ()


class Refusal(Exception):
    """The processor says no; nothing has changed."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        type_: str = "invalid_request_error",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.error = {"code": code, "message": message, "type": type_}
        self.headers = headers

    @property
    def answer(self) -> Answer:
        return Answer(self.status, {"error": self.error}, self.headers)


class Decline(Refusal):
    """The issuer says no; unlike other refusals it is an operation of its own, and can be looked up."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message, status=402, type_="card_error")


def iso_time(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
