"""Finds card numbers, so that they can be refused before anything stores or logs them (PCI DSS requirement 3)."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

# Issuer prefixes with the lengths that they issue. Without the prefixes every tenth 13-digit time stamp in
# milliseconds would pass for a card number.
_CARD: Final = re.compile(
    r"""(?<!\d)(?:
        4\d{12}(?:\d{3}){0,2}                                   # Visa: 13, 16, 19
      | (?:5[1-5]|2[2-7])\d{14}                                 # Mastercard: 16
      | 3[47]\d{13}                                             # American Express: 15
      | 3(?:0[0-5]|[689]\d)\d{11,16}                            # Diners: 14-19
      | 35(?:2[89]|[3-8]\d)\d{12,15}                            # JCB: 16-19
      | 6(?:011|4[4-9]\d|5\d\d)\d{12,15}                        # Discover: 16-19
      | 62\d{14,17}                                             # UnionPay: 16-19
      | (?:50|5[6-9]|6[1-9])\d{11,17}                           # Maestro: 13-19
    )(?!\d)""",
    re.VERBOSE,
)
_SEPARATOR: Final = re.compile(r"(?<=\d)[ \-.](?=\d)")


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def holds_card_number(text: str) -> bool:
    """Whether a card number stands in the text, also with spaces, dashes or dots between its digits."""
    if sum(character.isdigit() for character in text) < 13:
        return False
    plain = unicodedata.normalize("NFKC", text)
    return any(_luhn(match.group()) for form in (plain, _SEPARATOR.sub("", plain)) for match in _CARD.finditer(form))


def _texts(value: object) -> Iterator[str]:
    """Every string, object key and whole number in a JSON value. Iterative: the depth is the sender's choice."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case bool():
                pass
            case int() as number:
                yield str(number)
            case list() as items:  # pyright: ignore[reportUnknownVariableType]
                waiting.extend(items)  # pyright: ignore[reportUnknownArgumentType]
            case dict() as fields:  # pyright: ignore[reportUnknownVariableType]
                waiting.extend(fields.keys())  # pyright: ignore[reportUnknownArgumentType]
                waiting.extend(fields.values())  # pyright: ignore[reportUnknownArgumentType]
            case _:
                pass


def json_holds_card_number(value: object) -> bool:
    """Whether a card number stands anywhere in a decoded JSON value: in texts, object keys or numbers."""
    return any(holds_card_number(text) for text in _texts(value))
