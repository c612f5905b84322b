"""The sandbox's webhooks: whether it has sent a request, when, and what it is about. Pure."""

import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ValidationError

from gateways.port import Concern, ProcessorEvent, WebhookRefused

HEADER: Final = "Sandbox-Signature"
# Both ways. Stripe's libraries have the same: longer than a request takes, and than clocks differ.
TOLERANCE_SECONDS: Final = 300
# Room for a dozen signatures; while a secret is replaced there are two.
_HEADER_LENGTH_MAX: Final = 1024
_TIME: Final = re.compile(r"[0-9]{1,12}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
# By the first word of the type.
_CONCERNS: Final = {
    "authorization": Concern.AUTHORIZATION,
    "void": Concern.AUTHORIZATION,
    "refund": Concern.REFUND,
}


class SandboxWebhookReader:
    """Implements `gateways.port.WebhookReader`. Any of the secrets will do: while one is replaced there are two."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = tuple(secrets)

    def read(self, headers: Sequence[tuple[str, str]], body: bytes, now: datetime) -> ProcessorEvent:
        """See `WebhookReader.read`."""
        sent_at, digests = _signature(headers)
        expected = [hmac.digest(secret, f"{sent_at}.".encode() + body, "sha256").hex() for secret in self._secrets]
        if not any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in digests):
            raise WebhookRefused(f"No signature in {HEADER} is one of these bytes by a secret that is known here.")
        if abs(now.timestamp() - int(sent_at)) > TOLERANCE_SECONDS:
            raise WebhookRefused(f"It was signed more than {TOLERANCE_SECONDS} seconds ago, or ahead: send it anew.")
        return _event(body)


def _signature(headers: Sequence[tuple[str, str]]) -> tuple[str, list[str]]:
    """The time that was signed, as it was written, and the signatures of the one version that is known."""
    values = [value for name, value in headers if name == HEADER.lower()]
    if len(values) != 1 or len(values[0]) > _HEADER_LENGTH_MAX:
        raise WebhookRefused(f"Send one {HEADER} header: `t=<seconds since 1970>,v1=<hexadecimal HMAC-SHA256>`.")
    parts = [part.strip().partition("=") for part in values[0].split(",")]
    times = [value for name, _, value in parts if name == "t"]
    # Signatures of other versions are passed over, as the processor may add a better one.
    digests = [value for name, _, value in parts if name == "v1"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        raise WebhookRefused(f"{HEADER} needs one time: `t=<seconds since 1970>`.")
    if not digests or not all(_DIGEST.fullmatch(digest) for digest in digests):
        raise WebhookRefused(f"{HEADER} needs a signature: `v1=<64 hexadecimal digits>`.")
    return times[0], digests


class _About(BaseModel):
    payment_id: str


class _Event(BaseModel):
    id: str
    type: str
    data: _About


def _event(body: bytes) -> ProcessorEvent:
    try:
        event = _Event.model_validate_json(body)
        concerns = _CONCERNS.get(event.type.partition(".")[0], Concern.OTHER)
        return ProcessorEvent(id=event.id, type=event.type, payment_id=event.data.payment_id, concerns=concerns)
    except ValidationError:
        # Not what is wrong with it: that would show what stands in it.
        raise WebhookRefused(
            "The body is no event: a JSON object with `id`, `type` and `data.payment_id`, in printable ASCII."
        ) from None
