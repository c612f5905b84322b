"""Reads a request: who sends it, its key, its body, how long it wants to wait. Each refusal is a problem."""

import hmac
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from api.problems import Code, FieldError, ProblemError
from payments.cards import holds_card_number, json_holds_card_number
from payments.identifiers import idempotency_key_problem

Body = TypeVar("Body", bound=BaseModel)

# A request has at most 50 metadata pairs of 540 characters; in the longest JSON escapes that is 330 kB.
BODY_BYTES_MAX: Final = 512 * 1024
# An answer must not be many times as long as the request, and nobody reads the thirty-thousandth error.
ERRORS_MAX: Final = 100
NAME_MAX: Final = 255
# Temporal's server ends a long poll after about a minute; callers who can wait longer can GET.
WAIT_SECONDS_MAX: Final = 60.0
WAIT_SECONDS_DEFAULT: Final = 10.0

_JSON: Final = re.compile(r"application/json\s*(;\s*charset=\"?utf-8\"?\s*)?", re.IGNORECASE)
_WAIT: Final = re.compile(r"wait\s*=\s*\"?(\d{1,6})\"?", re.IGNORECASE)
_CARD_REFUSED: Final = (
    "The request holds what looks like a card number. It was refused unread and not logged. Send a token of the "
    "processor as payment_method, never the number itself."
)


def refuse_card_number() -> ProblemError:
    """For a card number anywhere in a request."""
    return ProblemError(Code.CARD_NUMBER_REFUSED, _CARD_REFUSED)


def authenticate(request: Request, api_key: str) -> None:
    """Raises `ProblemError` unless the request carries the Bearer key (RFC 6750)."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), api_key.encode())
    if scheme.lower() != "bearer" or not same:
        raise ProblemError(
            Code.UNAUTHENTICATED,
            "Send the API key as `Authorization: Bearer <key>`; this one has none that is valid.",
        )


def idempotency_key(request: Request) -> str:
    """The request's one Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07), taken literally."""
    values = request.headers.getlist("Idempotency-Key")
    if not values:
        raise ProblemError(
            Code.IDEMPOTENCY_KEY_MISSING,
            "Send an Idempotency-Key header: a string that you choose once for a payment and repeat with each retry.",
        )
    if len(values) > 1:
        raise ProblemError(Code.IDEMPOTENCY_KEY_INVALID, "Send one Idempotency-Key header, not several.")
    key = values[0]
    if holds_card_number(key):
        raise refuse_card_number()
    problem = idempotency_key_problem(key)
    if problem is not None:
        raise ProblemError(Code.IDEMPOTENCY_KEY_INVALID, problem)
    return key


def wait_seconds(request: Request) -> float:
    """How long the caller wants to wait (RFC 7240 `Prefer: wait=N`, `respond-async`). What can't be read is ignored."""
    wait = WAIT_SECONDS_DEFAULT
    for preference in ",".join(request.headers.getlist("Prefer")).split(","):
        if preference.strip().lower() == "respond-async":
            return 0.0
        if match := _WAIT.fullmatch(preference.strip()):
            wait = min(float(match.group(1)), WAIT_SECONDS_MAX)
    return wait


def body_of(model: type[Body], *, optional: bool = False) -> Callable[[Request], Awaitable[Body]]:
    """A dependency that reads a JSON body strictly: no duplicate names, no NaN, no unknown fields, no coercion."""

    async def read(request: Request) -> Body:
        if optional and request.headers.get("Content-Length", "0") == "0" and not request.headers.get("Content-Type"):
            return model()
        if not _JSON.fullmatch(request.headers.get("Content-Type", "")):
            raise ProblemError(Code.UNSUPPORTED_MEDIA_TYPE, "Send the body as `application/json` in UTF-8, and say so.")
        value = parse_json(await raw_body(request, BODY_BYTES_MAX))
        if json_holds_card_number(value):
            raise refuse_card_number()
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise ProblemError(
                Code.VALIDATION_FAILED,
                "The body is not a valid request; nothing was charged and the key is still free. See `errors`.",
                errors=field_errors(error),
            ) from None

    return read


async def raw_body(request: Request, bytes_max: int) -> bytes:
    """The body, byte by byte. Raises `ProblemError` when it is longer, without reading it to its end."""
    too_large = ProblemError(Code.PAYLOAD_TOO_LARGE, f"The body must not have more than {bytes_max} bytes.")
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and int(length[:12]) > bytes_max:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > bytes_max:
            raise too_large
    return bytes(content)


def parse_json(content: bytes) -> object:
    """The value in a JSON text (RFC 8259), refusing what parsers disagree about."""
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    # RecursionError: thousands of nested arrays. ValueError: not JSON, not UTF-8, or a number of thousands of digits.
    except (ValueError, RecursionError):
        raise ProblemError(
            Code.MALFORMED_JSON, "The body is not valid JSON, or names a field twice, or is nested too deeply."
        ) from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field stands twice")
    return fields


def field_errors(error: ValidationError) -> list[FieldError]:
    """What is wrong, with a JSON Pointer to where, and without the values: they may be secret."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    return [FieldError(pointer=_pointer(problem["loc"]), detail=problem["msg"]) for problem in problems[:ERRORS_MAX]]


def _pointer(place: tuple[int | str, ...]) -> str:
    # Pydantic marks what is wrong with a key of our one dictionary so. A sender may use the word, but not as a third.
    parts = [str(part) for part in (place[:2] if place[2:] == ("[key]",) else place)]
    # A name can be as long as the body: then the object that has it must do.
    if parts and len(parts[-1]) > NAME_MAX:
        parts.pop()
    return "".join(f"/{_escape(part)}" for part in parts)


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
