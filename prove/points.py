"""The moments at which a payment is struck: from its claim to the last answer, by what goes over the wire.

Operation keys are derived here once more, since the proof imports nothing of what it proves; a test holds this against
the original.
"""

import hashlib
import json
from typing import Final

from prove.moments import Fate, Point, Sight, Target, answer, edit, forward, reset

# PostgreSQL has committed and waits for the next statement.
_READY: Final = b"Z\x00\x00\x00\x05I"
_FINGERPRINT_FOLLOWS: Final = b"\x00\x00\x00\x40"
_COMMIT: Final = b"Q\x00\x00\x00\x0cCOMMIT;\x00"
_COMMITTED: Final = b"COMMIT\x00"
_PAGE: Final = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


def operation_key(operation: str, payment: str, refund: str | None = None) -> str:
    """The key of an operation's first attempt, as the processor gets it."""
    subject = payment if refund is None else f"{payment}\n{refund}"
    return f"{operation}-1-{hashlib.sha256(subject.encode()).hexdigest()[:32]}"


def _http(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


BAD_GATEWAY: Final = answer(_http("502 Bad Gateway", "text/html", _PAGE))
"""What stands in front of a processor says this, whatever the processor did."""
TOO_MANY: Final = answer(_http("429 Too Many Requests", "application/json", b'{"error": {"code": "rate_limited"}}'))
"""Without Retry-After."""


def points_of(payment: str, currency: str = "EUR") -> dict[str, Point]:
    """Every moment of a payment that is charged at once."""
    return {point.name: point for point in (*_deaths(payment), *_words(payment, currency))}


def points_of_refund(payment: str, refund: str) -> dict[str, Point]:
    """Every moment of a refund of a charged payment."""
    reserve = _up("postgres", _texts(payment, refund) + _FINGERPRINT_FOLLOWS)
    request = _up("processor", _key_header("refund", payment, refund))
    end = _up("postgres", _texts(payment, refund, "succeeded"))
    commit = Sight("worker", "postgres", "up", _COMMIT, same=True)
    done = Sight("worker", "postgres", "down", _COMMITTED, same=True)
    points = (
        _dies("refund_reserve_unsent", ("F32",), "it wrote the reservation", reserve),
        _dies("refund_reserve_uncommitted", ("F32",), "it committed the reservation", reserve, commit),
        _dies("refund_reserve_unheard", ("F32",), "it heard that the amount is reserved", reserve, done),
        _dies("refund_request_unsent", ("F32",), "the processor was asked for the refund", request),
        _dies("refund_reply_unheard", ("F32",), "it heard that the processor has refunded", request, _REPLY),
        _dies("refund_end_unsent", ("F32",), "it recorded the refund", end),
        _dies("refund_end_uncommitted", ("F32",), "it committed what it recorded of the refund", end, commit),
        _dies("refund_end_unheard", ("F32",), "it heard that the refund is recorded", end, done),
    )
    return {point.name: point for point in points}


_REPLY: Final = Sight("worker", "processor", "down", b"HTTP/1.1 ", same=True)


def _deaths(payment: str) -> tuple[Point, ...]:
    claim = _up("postgres", _texts(payment) + _FINGERPRINT_FOLLOWS)
    ready = Sight("worker", "postgres", "down", _READY, same=True)
    authorize = _up("processor", _key_header("authorize", payment))
    capture = _up("processor", _key_header("capture", payment))
    captured = Sight("worker", "processor", "down", operation_key("capture", payment).encode())
    record = _up("postgres", _texts(payment, "succeeded"))
    # The result of the activity that has recorded the payment, whichever it was.
    completed = _up("temporal", f'{{"id":{json.dumps(payment)},"status":"succeeded"'.encode())
    start = Sight("api", "temporal", "up", _workflow_to_start(payment))
    return (
        _point("start_unsent", ("F01",), "the API dies before its start reaches Temporal", start, target="api"),
        _point(
            *("started_unanswered", ("F03",), "the API dies when a worker claims what it has started", claim),
            target="api",
            fate=forward,
        ),
        _dies("claim_unsent", ("F04",), "its claim reached PostgreSQL", claim),
        _dies("authorize_unsent", ("F05",), "the processor was asked for the hold", authorize),
        _dies("authorize_reply_unheard", ("F06",), "it heard that the processor holds the amount", authorize, _REPLY),
        _dies("capture_unsent", ("F05",), "the processor was asked for the charge", capture),
        _dies("capture_reply_unheard", ("F06",), "it heard that the processor has charged", capture, _REPLY),
        _dies(
            "record_unbegun",
            ("F07",),
            "it read the row that it would write",
            captured,
            _up("postgres", _texts(payment)),
        ),
        _dies("record_unsent", ("F07",), "it wrote and committed the charge", record),
        _dies("record_unheard", ("F08",), "it heard that the charge is committed", record, ready),
        _dies("completion_unsent", ("F08",), "Temporal heard that it is done", completed),
        _point("claim_answer_lost", ("F20",), "the connection is lost with the claim's commit", claim, ready),
        _point("record_answer_lost", ("F20",), "the connection is lost with the recording's commit", record, ready),
        _point("postgres_dies_at_claim", ("F18",), "PostgreSQL dies before a claim", claim, target="postgres"),
        _point(
            *("postgres_dies_at_record", ("F18", "F20"), "PostgreSQL dies when a charge is to be committed", record),
            target="postgres",
            after=True,
        ),
        _point(
            *("stopped_at_capture", ("F52",), "the worker is told to stop when it asks for the charge", capture),
            target="worker",
            gently=True,
            fate=forward,
        ),
    )


def _words(payment: str, currency: str) -> tuple[Point, ...]:
    """The processor's, or whoever speaks in its place."""
    capture = _up("processor", _key_header("capture", payment))
    word, other_word = b'"status": "succeeded"', b'"status": "scheduled"'
    money, other_money = (f'"currency": "{c}"'.encode() for c in (currency, "CHF" if currency != "CHF" else "EUR"))
    return (
        _point("request_reset", ("F17",), "the connection is reset before the request arrives", capture),
        _point("reply_reset", ("F17",), "the connection is reset when the reply comes", capture, _REPLY),
        _point("bad_gateway_not_done", ("F12",), "502 and a page, nothing done", capture, fate=BAD_GATEWAY),
        _point("bad_gateway_done", ("F12",), "502 and a page, and it is done", capture, _REPLY, fate=BAD_GATEWAY),
        _point("too_many", ("F13",), "429 without Retry-After", capture, fate=TOO_MANY),
        _point("unknown_word", ("F15",), "a status nobody knows", capture, _reply(word), fate=edit(word, other_word)),
        _point(
            *("other_currency", ("F15",), "the reply names another currency", capture, _reply(money)),
            fate=edit(money, other_money),
        ),
    )


def _point(
    name: str,
    covers: tuple[str, ...],
    what: str,
    *sights: Sight,
    target: Target | None = None,
    gently: bool = False,
    fate: Fate = reset,
    after: bool = False,
) -> Point:
    return Point(name, covers, what, sights, target, gently, fate, after)


def _dies(name: str, covers: tuple[str, ...], before: str, *sights: Sight) -> Point:
    """What was seen last never arrives."""
    return _point(name, covers, f"the worker dies before {before}", *sights, target="worker")


def _up(server: str, pattern: bytes) -> Sight:
    return Sight("worker", server, "up", pattern)


def _reply(pattern: bytes) -> Sight:
    return Sight("worker", "processor", "down", pattern, same=True)


def _key_header(operation: str, payment: str, refund: str | None = None) -> bytes:
    """Of the request itself: who looks an operation up names its key in the path."""
    return f"Idempotency-Key: {operation_key(operation, payment, refund)}\r\n".encode()


def _workflow_to_start(payment: str) -> bytes:
    """Of the message in which it is asked for: the workflow's id is the second field, and its type follows."""
    length = len(payment)
    size = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    return b"\x12" + size + payment.encode() + b"\x1a"


def _texts(*values: str) -> bytes:
    """Parameters of a statement that follow one another."""
    return b"".join(len(encoded := value.encode()).to_bytes(4, "big") + encoded for value in values)
