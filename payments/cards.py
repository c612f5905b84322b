"""Finds card numbers, so that they can be refused before anything stores or logs them (PCI DSS requirement 3)."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

# Issuer prefixes with the lengths that they issue. Without the prefixes every tenth 13-digit time stamp in
# milliseconds would pass for a card number.
_CARD: Final = re.compile(
    r"""(?:
        4\d{12}(?:\d{3}){0,2}                                   # Visa: 13, 16, 19
      | (?:5[1-5]|2[2-7])\d{14}                                 # Mastercard: 16
      | 3[47]\d{13}                                             # American Express: 15
      | 3(?:0[0-5]|[689]\d)\d{11,16}                            # Diners: 14-19
      | 35(?:2[89]|[3-8]\d)\d{12,15}                            # JCB: 16-19
      | 6(?:011|4[4-9]\d|5\d\d)\d{12,15}                        # Discover: 16-19
      | 62\d{14,17}                                             # UnionPay: 16-19
      | (?:50|5[6-9]|6[1-9])\d{11,17}                           # Maestro: 13-19
    )""",
    re.VERBOSE,
)
# One random UUID in 1500 would hold a card number, and UUIDs are what clients use as keys; no card is printed so.
_UUID: Final = re.compile(
    r"(?<![0-9a-z])[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}(?![0-9a-z])", re.IGNORECASE
)
_SEPARATOR: Final = re.compile(r"[ \-.]")
_DIGIT_GROUPS: Final = re.compile(r"\d+(?:[ \-.]\d+)*")
# An international phone number (E.164): at most fifteen digits after a plus.
_PHONE: Final = re.compile(r"\+\d(?:[ \-.]?\d){5,14}(?![ \-.]?\d)")
# Cards print 4-4-4-4, 4-6-5, 4-6-4 or 6-13: only the last group may be shorter than four.
_GROUP_MIN: Final = 4
_LENGTH_MIN: Final = 13
_LENGTH_MAX: Final = 19


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def holds_card_number(text: str) -> bool:
    """Whether a card number stands in the text, also with spaces, dashes or dots between its digits."""
    if sum(character.isdigit() for character in text) < _LENGTH_MIN:
        return False
    plain = _PHONE.sub("x", _UUID.sub("x", unicodedata.normalize("NFKC", text)))
    return any(
        _CARD.fullmatch(number) is not None and _luhn(number)
        for run in _DIGIT_GROUPS.finditer(plain)
        for number in _joined(_SEPARATOR.split(run.group()))
    )


def _joined(groups: list[str]) -> Iterator[str]:
    """All groups of digits as one number, and neighbouring groups as one: a card number often has its expiry date or
    its check value beside it."""
    if _LENGTH_MIN <= sum(map(len, groups)) <= _LENGTH_MAX:
        yield "".join(groups)
    for first in range(len(groups)):
        number = ""
        for group in groups[first : first + _LENGTH_MAX // _GROUP_MIN + 1]:
            number += group
            if _LENGTH_MIN <= len(number) <= _LENGTH_MAX:
                yield number
            if len(number) > _LENGTH_MAX or len(group) < _GROUP_MIN:
                break


def _texts(value: object) -> Iterator[str]:
    """Every string, object key and number in a JSON value. Iterative: the depth is the sender's choice."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case bool():
                pass
            case int() | float() as number:
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
