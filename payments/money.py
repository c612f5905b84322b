"""Money in integer minor units. No floats, no mixed currencies."""

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from payments.currencies import EXPONENTS

# Twelve digits: above any sale of a shop, below 2^53 so that every JSON reader keeps it exact.
AMOUNT_MAX: Final = 999_999_999_999


def _known_currency(code: str) -> str:
    if code not in EXPONENTS:
        raise ValueError("must be an ISO 4217 currency code in capital letters, such as EUR")
    return code


Currency = Annotated[str, AfterValidator(_known_currency)]
"""An ISO 4217 code in capital letters."""

Amount = Annotated[int, Field(strict=True, gt=0, le=AMOUNT_MAX)]
"""A positive number of minor units: 4990 is EUR 49.90 and JPY 4,990."""


class Money(BaseModel):
    """An amount of one currency, in its minor unit. Where it comes from outside, Amount and Currency check it."""

    model_config = ConfigDict(frozen=True)

    amount: int
    currency: str

    @property
    def decimal(self) -> str:
        """In the major unit, with all the currency's decimals: `49.90`, `4990`, `-1.234`."""
        exponent = EXPONENTS.get(self.currency, 0)
        whole, part = divmod(abs(self.amount), 10**exponent)
        sign = "-" if self.amount < 0 else ""
        return f"{sign}{whole}.{part:0{exponent}d}" if exponent else f"{sign}{whole}"

    def __str__(self) -> str:
        """As people read it: `EUR 49.90`, `JPY 4990`, `KWD 1.234`."""
        if self.currency not in EXPONENTS:
            return f"{self.currency} {self.amount} in minor units"
        return f"{self.currency} {self.decimal}"
