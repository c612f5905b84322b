"""Every error that a caller can get, as RFC 9457 problem details (https://www.rfc-editor.org/rfc/rfc9457)."""

from enum import StrEnum
from typing import Any, Final, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from ledger.port import LedgerUnavailable
from payments.cards import holds_card_number

MEDIA_TYPE: Final = "application/problem+json"
# An outage that is over in a second is common (a restart); one that lasts makes clients back off by themselves.
RETRY_AFTER_SECONDS: Final = 1

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Code(StrEnum):
    """What went wrong, for programs. Names are part of the contract."""

    IDEMPOTENCY_KEY_MISSING = "idempotency_key_missing"
    IDEMPOTENCY_KEY_INVALID = "idempotency_key_invalid"
    MALFORMED_JSON = "malformed_json"
    CURSOR_INVALID = "cursor_invalid"
    WEBHOOK_REFUSED = "webhook_refused"
    UNAUTHENTICATED = "unauthenticated"
    NOT_FOUND = "not_found"
    PAYMENT_NOT_FOUND = "payment_not_found"
    CASE_NOT_FOUND = "case_not_found"
    WEBHOOK_ENDPOINT_NOT_FOUND = "webhook_endpoint_not_found"
    DELIVERY_NOT_FOUND = "delivery_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    ORDER_ALREADY_PAID = "order_already_paid"
    PAYMENT_NOT_CAPTURABLE = "payment_not_capturable"
    PAYMENT_NOT_CANCELABLE = "payment_not_cancelable"
    PAYMENT_NOT_REFUNDABLE = "payment_not_refundable"
    REFUND_EXCEEDS_REFUNDABLE = "refund_exceeds_refundable"
    CASE_NOT_OPEN = "case_not_open"
    WEBHOOK_ENDPOINT_LIMIT = "webhook_endpoint_limit"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    VALIDATION_FAILED = "validation_failed"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    CARD_NUMBER_REFUSED = "card_number_refused"
    INTERNAL_ERROR = "internal_error"
    TEMPORAL_UNAVAILABLE = "temporal_unavailable"
    DATABASE_UNAVAILABLE = "database_unavailable"


_STATUS: Final[dict[Code, int]] = {
    Code.IDEMPOTENCY_KEY_MISSING: 400,
    Code.IDEMPOTENCY_KEY_INVALID: 400,
    Code.MALFORMED_JSON: 400,
    Code.CURSOR_INVALID: 400,
    Code.WEBHOOK_REFUSED: 400,
    Code.UNAUTHENTICATED: 401,
    Code.NOT_FOUND: 404,
    Code.PAYMENT_NOT_FOUND: 404,
    Code.CASE_NOT_FOUND: 404,
    Code.WEBHOOK_ENDPOINT_NOT_FOUND: 404,
    Code.DELIVERY_NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.NOT_ACCEPTABLE: 406,
    Code.ORDER_ALREADY_PAID: 409,
    Code.PAYMENT_NOT_CAPTURABLE: 409,
    Code.PAYMENT_NOT_CANCELABLE: 409,
    Code.PAYMENT_NOT_REFUNDABLE: 409,
    Code.REFUND_EXCEEDS_REFUNDABLE: 409,
    Code.CASE_NOT_OPEN: 409,
    Code.WEBHOOK_ENDPOINT_LIMIT: 409,
    Code.PAYLOAD_TOO_LARGE: 413,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.VALIDATION_FAILED: 422,
    Code.IDEMPOTENCY_KEY_REUSED: 422,
    Code.CARD_NUMBER_REFUSED: 422,
    Code.INTERNAL_ERROR: 500,
    Code.TEMPORAL_UNAVAILABLE: 503,
    Code.DATABASE_UNAVAILABLE: 503,
}
# The same request with the same key may succeed later. A 500 is a bug of ours: its outcome is not known either.
_RETRYABLE: Final = frozenset({Code.INTERNAL_ERROR, Code.TEMPORAL_UNAVAILABLE, Code.DATABASE_UNAVAILABLE})


class FieldError(BaseModel):
    """One thing that is wrong with the body."""

    pointer: str = Field(description="JSON Pointer (RFC 6901) to the field", examples=["/amount"])
    detail: str = Field(examples=["Input should be greater than 0"])


class Problem(BaseModel):
    """The body of every error."""

    type: str = Field(examples=["urn:paysaga:problem:validation_failed"])
    title: str = Field(examples=["Validation failed"])
    status: int = Field(examples=[422])
    detail: str = Field(description="What happened, and what to do next")
    instance: str = Field(examples=["/v1/payments"])
    code: Code
    retryable: bool = Field(description="Whether the same request, with the same key, may succeed later")
    errors: list[FieldError] | None = None


class ProblemError(Exception):
    """Raised anywhere below the API, rendered once."""

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        errors: list[FieldError] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}


def payment_not_found() -> ProblemError:
    """For an id that nobody ever paid under."""
    return ProblemError(
        Code.PAYMENT_NOT_FOUND, "There is no payment with this id. Its id is the Idempotency-Key it was sent with."
    )


def webhook_endpoint_not_found() -> ProblemError:
    """For an id that no endpoint has."""
    return ProblemError(
        Code.WEBHOOK_ENDPOINT_NOT_FOUND, "There is no webhook endpoint with this id, or it was deleted."
    )


def temporal_unavailable() -> ProblemError:
    """Temporal gives no answer."""
    return ProblemError(
        Code.TEMPORAL_UNAVAILABLE,
        "Temporal can't be reached now, so nothing can be said of this request. Send the same one with the same key "
        "again: it is done at most once.",
    )


def database_unavailable() -> ProblemError:
    """PostgreSQL gives no answer."""
    return ProblemError(
        Code.DATABASE_UNAVAILABLE,
        "The ledger can't be reached now. Send the same request with the same key again: it is done at most once.",
    )


def _problem(code: Code, detail: str, instance: str, errors: list[FieldError] | None) -> Problem:
    return Problem(
        type=f"urn:paysaga:problem:{code}",
        title=code.value.replace("_", " ").capitalize(),
        status=_STATUS[code],
        detail=detail,
        instance=instance,
        code=code,
        retryable=code in _RETRYABLE,
        errors=errors,
    )


def problem_response(request: Request, problem: ProblemError) -> JSONResponse:
    """The error as the caller sees it."""
    status = _STATUS[problem.code]
    path: str = request.scope["path"]
    instance = "/" if holds_card_number(path) else request.scope["raw_path"].decode("ascii", "replace")
    body = _problem(problem.code, problem.detail, instance, problem.errors)
    headers = dict(problem.headers)
    if status == 503:
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    if status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    return JSONResponse(
        body.model_dump(mode="json", exclude_none=True), status_code=status, headers=headers, media_type=MEDIA_TYPE
    )


async def _on_problem(request: Request, error: Exception) -> JSONResponse:
    return problem_response(request, cast("ProblemError", error))


async def _on_ledger_unavailable(request: Request, error: Exception) -> JSONResponse:
    _log.warning("database_unavailable", error=str(error))
    return problem_response(request, database_unavailable())


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """What the framework itself refuses: unknown paths and methods."""
    error = cast("HTTPException", error)
    if error.status_code == 405:
        allowed = _methods(request) or dict(error.headers or {}).get("Allow", "")
        detail = f"{request.method} is not possible here, but {allowed}."
        problem = ProblemError(Code.METHOD_NOT_ALLOWED, detail, headers={"Allow": allowed})
    else:
        problem = ProblemError(Code.NOT_FOUND, "There is nothing at this address. GET /docs lists what there is.")
    return problem_response(request, problem)


def _methods(request: Request) -> str:
    """All that this address knows. The framework names those of one route only, and an address may have several."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    here = [methods for template, methods in paths.items() if compile_path(template)[0].match(request.scope["path"])]
    return ", ".join(sorted({method.upper() for methods in here for method in methods}))


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    """What the framework finds wrong with path, query or header parameters."""
    problems = cast("RequestValidationError", error).errors()
    errors = [
        FieldError(pointer="/" + "/".join(str(part) for part in p["loc"]), detail=str(p["msg"])) for p in problems
    ]
    detail = "A parameter of the request is not valid. See `errors`."
    return problem_response(request, ProblemError(Code.VALIDATION_FAILED, detail, errors=errors))


async def _on_client_left(request: Request, _error: Exception) -> JSONResponse:
    """In the middle of the request: nothing was begun, and nobody reads this."""
    _log.info("client_left", method=request.method)
    return problem_response(request, ProblemError(Code.MALFORMED_JSON, "The request ended before its body did."))


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    _log.error("internal_error", method=request.method, error=type(error).__name__, exc_info=error)
    return problem_response(
        request,
        ProblemError(
            Code.INTERNAL_ERROR,
            "Something broke on our side. If this was a payment, its outcome is not known: send the same request with "
            "the same key again, or GET the payment.",
            # The server closes the connection after a bug; clients should know before they use it again.
            headers={"Connection": "close"},
        ),
    )


def install(app: FastAPI) -> None:
    """Render every error of this app as a problem."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(LedgerUnavailable, _on_ledger_unavailable)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(ClientDisconnect, _on_client_left)
    app.add_exception_handler(Exception, _on_bug)


def responses(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of these errors, with one example for each code."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in sorted({_STATUS[code] for code in codes}):
        these = [code for code in codes if _STATUS[code] == status]
        examples = {code.value: {"value": _example(code)} for code in these}
        schema = {"$ref": "#/components/schemas/Problem"}
        described[status] = {
            "description": " or ".join(f"`{code}`" for code in these),
            "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
        }
    return described


def _example(code: Code) -> dict[str, Any]:
    detail = "What happened, and what to do next."
    return _problem(code, detail, "/v1/payments", _EXAMPLE_ERRORS.get(code)).model_dump(mode="json", exclude_none=True)


_EXAMPLE_ERRORS: Final = {
    Code.VALIDATION_FAILED: [FieldError(pointer="/amount", detail="Input should be greater than 0")],
    Code.IDEMPOTENCY_KEY_REUSED: [FieldError(pointer="/amount", detail="differs from the first request")],
}
