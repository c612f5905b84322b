"""Moments as people and programs write them. Pure."""

import re
from datetime import UTC, datetime
from typing import Final

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[Tt](?P<time>\d\d:\d\d(:\d\d(\.\d{1,9})?)?)(?P<zone>[Zz]|[+ -]\d\d:\d\d)"
)


def parse_moment(text: object) -> datetime:
    """A moment in UTC, from RFC 3339 (https://www.rfc-editor.org/rfc/rfc3339) or a date alone, its first moment in UTC.

    A `+` that was not escaped in a URL arrives as a space; nothing else could be meant. Raises ValueError.
    """
    if not isinstance(text, str):
        raise ValueError("must be a moment such as 2026-11-23T10:00:00Z")  # noqa: TRY004 - pydantic takes ValueError
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        if match := _MOMENT.fullmatch(text):
            zone = match["zone"].replace(" ", "+").upper()
            return datetime.fromisoformat(f"{match['day']}T{match['time']}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is no moment of the calendar, or one outside the years 1 to 9999") from None
    raise ValueError("must be a date, or a moment with its offset, such as 2026-11-23T10:00:00Z or +01:00")
