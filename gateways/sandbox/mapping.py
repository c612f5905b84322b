"""The sandbox's wire format: operations out, outcomes in. Pure."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, assert_never

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    Field,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from gateways.port import NotExecuted, OutcomeUnknown
from payments.money import Amount, Currency
from payments.operations import (
    Authorize,
    Capture,
    Declined,
    Executed,
    Operation,
    Outcome,
    Refund,
    RequiresAction,
    Void,
)

# Something was done under this key, with another body: the look-up tells what.
_KEY_REUSED: Final = "idempotency_key_reused"
_HOLD_LAPSED: Final = "authorization_expired"
_LAPSED: Final = frozenset({_HOLD_LAPSED, "authentication_expired"})
# A hold that somebody else released, at the processor's own console for instance, is released; likewise one that has
# lapsed, or that the customer never confirmed.
_RELEASED: Final = frozenset({"authorization_voided", _HOLD_LAPSED})
WORDS_MAX: Final = 500
_NO_SUCH_OPERATION: Final = "operation_not_found"
# Refused unread: our credentials, our rate. Nothing happened, and the same request may go through later.
_NOT_EXECUTED: Final = frozenset({401, 403, 429})


# Within these every calculation with a time is possible.
_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2200

_Id = Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]


def _hint(value: Any, read: ValidatorFunctionWrapHandler) -> datetime | None:
    """When a hold lapses, if that makes sense. Nonsense is no reason to leave a hold's outcome unknown for ever."""
    try:
        at: datetime | None = read(value)
    except ValidationError:
        return None
    return at if at is not None and _FIRST_YEAR <= at.year <= _LAST_YEAR else None


_Hint = Annotated[AwareDatetime | None, WrapValidator(_hint)]


_HOLDS: Final[dict[str, Literal["open", "captured", "ended"]]] = {
    "open": "open",
    "captured": "captured",
    "voided": "ended",
    "expired": "ended",
}


class _Answer(BaseModel):
    id: _Id
    status: Literal["succeeded"]
    payment_id: str
    amount: Amount
    currency: Currency
    expires_at: _Hint = None
    hold: str | None = None

    def outcome(self) -> Executed:
        return Executed(
            reference=self.id,
            payment_id=self.payment_id,
            amount=self.amount,
            currency=self.currency,
            expires_at=self.expires_at,
            hold=_HOLDS.get(self.hold or ""),
        )


class _NextAction(BaseModel):
    type: Literal["redirect_to_url"]
    url: Annotated[str, Field(pattern=r"^https?://[!-~]{1,2000}$")]


class _Waiting(BaseModel):
    id: _Id
    status: Literal["requires_action"]
    next_action: _NextAction
    expires_at: _Hint = None

    def outcome(self) -> RequiresAction:
        return RequiresAction(reference=self.id, url=self.next_action.url, expires_at=self.expires_at)


_Word = Annotated[_Answer | _Waiting, Field(discriminator="status")]
_WORD: Final[TypeAdapter[_Word]] = TypeAdapter(_Word)


def _printable(text: str) -> str:
    """What a processor says is stored and shown: without control characters, and not without end."""
    return "".join(character for character in text if character.isprintable())[:WORDS_MAX]


class _Error(BaseModel):
    code: Annotated[str, AfterValidator(_printable)]
    message: Annotated[str, AfterValidator(_printable)]


class _Refusal(BaseModel):
    error: _Error


class _Status(BaseModel):
    status: str


def request_for(operation: Operation) -> tuple[str, dict[str, Any]]:
    """Path and JSON body of an operation."""
    body: dict[str, Any] = {
        "payment_id": operation.payment_id,
        "amount": operation.money.amount,
        "currency": operation.money.currency,
    }
    match operation:
        case Authorize():
            return "/v1/authorizations", body | {"payment_method": operation.payment_method}
        case Capture():
            return "/v1/captures", body | {"authorization": operation.authorization}
        case Void():
            return "/v1/voids", body | {"authorization": operation.authorization}
        case Refund():
            return "/v1/refunds", body | {"capture": operation.capture}
        case _:
            assert_never(operation)


def outcome_of(status: int, body: bytes) -> Outcome:
    """What an HTTP answer to an operation means. Raises `NotExecuted` or `OutcomeUnknown`."""
    try:
        if status == 200:
            return _WORD.validate_json(body).outcome()
        if status in {400, 402}:
            error = _Refusal.model_validate_json(body).error
            if error.code == _KEY_REUSED:
                raise OutcomeUnknown("the processor knows the key from a request with another body")
            return _declined(error)
    except ValidationError as error:
        raise OutcomeUnknown(f"the processor answered {status} with a body that can't be read") from error
    if status in _NOT_EXECUTED:
        raise NotExecuted(f"the processor answered {status}")
    # 409: a request with this key is still executing. 5xx: it may have executed.
    raise OutcomeUnknown(f"not known whether it happened: the processor answered {status}")


def _declined(error: _Error) -> Declined:
    return Declined(code=error.code, message=error.message, lapsed=error.code in _LAPSED)


def already_released(operation: Operation, outcome: Outcome) -> Outcome:
    """The outcome; a hold that is gone already counts as released, since that is all that releasing it is for."""
    if not (isinstance(operation, Void) and isinstance(outcome, Declined) and outcome.code in _RELEASED):
        return outcome
    return Executed(
        reference=operation.authorization,
        payment_id=operation.payment_id,
        amount=operation.money.amount,
        currency=operation.money.currency,
    )


def recorded_outcome(status: int, body: bytes) -> Outcome | None:
    """What an HTTP answer to a look-up means. Raises `OutcomeUnknown` when the record can't be read."""
    if status not in {200, 404}:
        raise OutcomeUnknown(f"the processor answered the look-up with {status}")
    try:
        if status == 404:
            # Not any 404: that of a proxy or of a wrong URL says nothing about the operation.
            if _Refusal.model_validate_json(body).error.code == _NO_SUCH_OPERATION:
                return None
            raise OutcomeUnknown("the processor answered the look-up with a 404 that is not about the operation")
        # Failed: a refund that had succeeded before.
        if _Status.model_validate_json(body).status in {"declined", "failed"}:
            return _declined(_Refusal.model_validate_json(body).error)
    except ValidationError as error:
        raise OutcomeUnknown("the processor's record can't be read") from error
    return outcome_of(200, body)
