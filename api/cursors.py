"""Where a list goes on: opaque to clients, signed, and good for the list and the filters that it was made for only."""

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final

from api.problems import Code, ProblemError
from payments.history import Place

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# Half a SHA-256: as many bits as nobody can try.
_TAG_BYTES: Final = 16
# An id has at most 255 characters.
_LENGTH_MAX: Final = 512


class Cursors:
    """Writes and reads cursors. All API processes with one API key read each other's."""

    def __init__(self, api_key: str) -> None:
        self._secret = hmac.digest(api_key.encode(), b"paysaga cursors", hashlib.sha256)

    def write(self, scope: str, place: Place) -> str:
        """The cursor for what comes after this place in the list that `scope` names."""
        text = f"{(place.created_at - _EPOCH) // _MICROSECOND}:{place.id}".encode()
        return base64.urlsafe_b64encode(self._tag(scope, text) + text).rstrip(b"=").decode()

    def read(self, scope: str, cursor: str) -> Place:
        """Raises `ProblemError` for any that we did not write for this list and these filters."""
        if len(cursor) > _LENGTH_MAX:
            raise _refused()
        try:
            content = base64.b64decode(
                cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
            )
        except (ValueError, binascii.Error):
            raise _refused() from None
        tag, text = content[:_TAG_BYTES], content[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(scope, text)):
            raise _refused()
        moment, _, id_ = text.decode().partition(":")
        return Place(created_at=_EPOCH + int(moment) * _MICROSECOND, id=id_)

    def _tag(self, scope: str, text: bytes) -> bytes:
        # The scope's length first, so that no two pairs look alike.
        message = b"%d:%b%b" % (len(scope.encode()), scope.encode(), text)
        return hmac.digest(self._secret, message, hashlib.sha256)[:_TAG_BYTES]


def _refused() -> ProblemError:
    return ProblemError(
        Code.CURSOR_INVALID,
        "This cursor was not made for this list with these filters, or the API key was changed since. Take it from "
        "`next_cursor` as it is and keep the filters, or begin again without one.",
    )
