"""What a client asks for, and its fingerprint: how we know that a repeated key brings the same request."""

import hashlib
import json
import unicodedata
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from payments.money import Amount, Currency, Money

# Format characters (zero-width and soft hyphens among them), line and paragraph separators.
_INVISIBLE: Final = frozenset({"Cf", "Zl", "Zp"})


def _no_control_characters(text: str) -> str:
    """PostgreSQL can't store NUL, and the other control characters only serve to forge log lines. Half of a surrogate
    pair, which JSON can spell, is no character: nothing can store or send it."""
    if any(unicodedata.category(character) in {"Cc", "Cs"} and character not in "\t\n\r" for character in text):
        raise ValueError("must not contain control characters")
    return text


def _one_line(text: str) -> str:
    """For what things are found by: two orders must not differ in what nobody can see."""
    if any(character in "\t\n\r" or unicodedata.category(character) in _INVISIBLE for character in text):
        raise ValueError("must not contain line breaks, tabs or invisible characters")
    if text != text.strip() or text != unicodedata.normalize("NFC", text):
        raise ValueError("must not begin or end with a space, and must be in Unicode's normal form C")
    return text


_Text = Annotated[str, AfterValidator(_no_control_characters)]
_Line = Annotated[_Text, AfterValidator(_one_line)]

# The limits are Stripe's for the same fields (https://docs.stripe.com/api/metadata).
Identifier = Annotated[_Line, Field(min_length=1, max_length=255)]
Description = Annotated[_Text, Field(max_length=1000)]
Metadata = Annotated[
    dict[Annotated[_Line, Field(min_length=1, max_length=40)], Annotated[_Text, Field(max_length=500)]],
    Field(max_length=50),
]
PaymentMethod = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:\-]{1,255}$")]
"""A token that stands for a card or wallet at the processor, never the card's number."""


MANUAL: Final = "manual"


def _known(capture: str) -> str:
    if capture not in {"automatic", MANUAL}:
        raise ValueError("must be automatic (charge at once) or manual (hold now, charge on request)")
    return capture


Capture = Annotated[str, AfterValidator(_known)]


class RecordedRequest(BaseModel):
    """A request to pay as it is kept in the ledger and in Temporal's histories: its shape, without the rules.

    Rules may become stricter with a deployment; what was accepted before must still be readable, or the payments under
    way would be wedged. A new field must be optional and default to None: fingerprints must stay what they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Annotated[int, Field(strict=True)]
    currency: str
    payment_method: str
    customer: str | None = None
    order_id: str | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None
    capture: str = "automatic"

    @property
    def money(self) -> Money:
        """What is to be paid."""
        return Money(amount=self.amount, currency=self.currency)

    def fingerprint(self) -> str:
        """SHA-256 (64 hex digits) of what the request means: equal for any order of fields and for null or absent."""
        canonical = json.dumps(self._meaning(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def differing_fields(self, other: "RecordedRequest") -> list[str]:
        """Names of the fields in which two requests differ. Names only: the values may be another customer's."""
        mine, others = self._meaning(), other._meaning()
        return [name for name in type(self).model_fields if mine.get(name) != others.get(name)]

    def _meaning(self) -> dict[str, Any]:
        """The fields that say something: null is the same as absent, and so is empty metadata."""
        meaning = self.model_dump(mode="json", exclude_none=True)
        return {name: value for name, value in meaning.items() if name != "metadata" or value}


class PaymentRequest(RecordedRequest):
    """A request to pay, as sent to `POST /v1/payments`."""

    amount: Amount
    currency: Currency
    payment_method: PaymentMethod
    customer: Identifier | None = None
    order_id: Identifier | None = None
    description: Description | None = None
    metadata: Metadata | None = None
    capture: Capture = "automatic"
