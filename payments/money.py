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

    def __str__(self) -> str:
        """As people read it: `EUR 49.90`, `JPY 4990`, `KWD 1.234`."""
        exponent = EXPONENTS.get(self.currency)
        if exponent is None:
            return f"{self.currency} {self.amount} in minor units"
        if exponent == 0:
            return f"{self.currency} {self.amount}"
        whole, part = divmod(self.amount, 10**exponent)
        return f"{self.currency} {whole}.{part:0{exponent}d}"
