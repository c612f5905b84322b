"""A webhook is read only if the processor has signed exactly these bytes a moment ago."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateways.port import Concern, ProcessorEvent, WebhookRefused
from gateways.sandbox.webhooks import HEADER, SandboxWebhookReader
from sandbox.webhooks import Listener

SECRET = b"whsec_0123456789abcdef"
OTHER = b"whsec_fedcba9876543210"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
AT = int(NOW.timestamp())


def an_event(**fields: Any) -> bytes:
    data = {"id": "re_1", "payment_id": "order-1001", "status": "failed", "amount": 4990}
    event = {"id": "evt_1", "type": "refund.failed", "created_at": "2026-11-23T12:00:00.000000Z", "data": data}
    return json.dumps(event | fields).encode()


BODY = an_event()


def digest(body: bytes = BODY, at: int | str = AT, secret: bytes = SECRET) -> str:
    return hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def signed(body: bytes = BODY, at: int = AT, secret: bytes = SECRET) -> str:
    return f"t={at},v1={digest(body, at, secret)}"


def read(signature: str, body: bytes = BODY, *secrets: bytes, now: datetime = NOW) -> ProcessorEvent:
    headers = [("host", "shop"), (HEADER.lower(), signature)]
    return SandboxWebhookReader(secrets or (SECRET,)).read(headers, body, now)


def refusal(signature: str, body: bytes = BODY, *secrets: bytes) -> str:
    with pytest.raises(WebhookRefused) as refused:
        read(signature, body, *secrets)
    return str(refused.value)


def test_what_the_processor_signs_is_read() -> None:
    signature = Listener("http://shop", SECRET).signature(BODY, AT)
    event = read(signature)
    assert (event.id, event.type, event.payment_id) == ("evt_1", "refund.failed", "order-1001")
    assert event.concerns is Concern.REFUND


@pytest.mark.parametrize(
    ("type_", "concerns"),
    [
        ("authorization.succeeded", Concern.AUTHORIZATION),
        ("authorization.expired", Concern.AUTHORIZATION),
        ("void.succeeded", Concern.AUTHORIZATION),
        ("refund.succeeded", Concern.REFUND),
        ("capture.succeeded", Concern.OTHER),
        ("payout.paid", Concern.OTHER),
        ("refunds", Concern.OTHER),
    ],
)
def test_event_is_sorted_by_what_it_is_about(type_: str, concerns: Concern) -> None:
    body = an_event(type=type_)
    assert read(signed(body), body).concerns is concerns


def test_another_secret_is_refused() -> None:
    assert "secret" in refusal(signed(secret=OTHER))


def test_every_altered_byte_is_refused() -> None:
    signature = signed()
    for place in range(len(BODY)):
        altered = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert "secret" in refusal(signature, altered)
    assert "secret" in refusal(signature, BODY + b" ")
    assert "secret" in refusal(signature, b"")


def test_another_time_than_the_signed_one_is_refused() -> None:
    assert "secret" in refusal(f"t={AT + 1},v1={digest()}")
    assert "secret" in refusal(f"t=0{AT},v1={digest()}")


@pytest.mark.parametrize("seconds", [-299, -60, 0, 60, 299])
def test_clocks_may_differ_by_five_minutes(seconds: int) -> None:
    assert read(signed(at=AT + seconds)).id == "evt_1"


@pytest.mark.parametrize("seconds", [-(10**9), -86_400, -301, 301, 86_400, 10**9])
def test_what_was_signed_long_ago_or_ahead_is_refused(seconds: int) -> None:
    assert "300 seconds" in refusal(signed(at=AT + seconds))


def test_a_replay_is_refused_once_the_five_minutes_are_over() -> None:
    signature = signed()
    assert read(signature, now=NOW + timedelta(seconds=300)).id == "evt_1"
    with pytest.raises(WebhookRefused):
        read(signature, now=NOW + timedelta(seconds=301))


@pytest.mark.parametrize("headers", [[], [("x-sandbox-signature", signed())], [(HEADER.lower(), signed())] * 2])
def test_exactly_one_signature_header_is_read(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(WebhookRefused, match=f"one {HEADER}"):
        SandboxWebhookReader([SECRET]).read(headers, BODY, NOW)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "t=,v1=",
        digest(),
        f"v1={digest()}",
        f"t={AT}",
        f"t={AT},v0={digest()}",
        f"t={AT},v1=",
        f"t={AT},v1={digest()[:-1]}",
        f"t={AT},v1={digest().upper()}",
        f"t={AT},v1={digest()}\x00",
        f"t={AT},v1=é{digest()[1:]}",
        f"t={AT},v1={digest()},v1=x",
        f"t={AT},t={AT},v1={digest()}",
        f"t={AT},v1={digest()},t={AT + 1}",
        f"t={AT}.0,v1={digest()}",
        f"t=+{AT},v1={digest()}",
        f"t={'9' * 13},v1={digest(at='9' * 13)}",
        f"t={'٣' * 10},v1={digest(at='٣' * 10)}",
        f"t=-1,v1={digest(at=-1)}",
        f"t={AT};v1={digest()}",
        "," * 1000,
        f"t={AT}," + f"v1={digest(secret=OTHER)}," * 20 + f"v1={digest()}",
        "ÿ" * 100,
    ],
)
def test_header_that_is_no_signature_is_refused_and_not_repeated(signature: str) -> None:
    reason = refusal(signature)
    assert HEADER in reason
    assert digest() not in reason


def test_signatures_of_other_versions_are_passed_over() -> None:
    assert read(f"t={AT},v0=nonsense,v1={digest()},v2={'0' * 64},future").id == "evt_1"


def test_while_the_secret_is_replaced_either_will_do() -> None:
    assert read(signed(secret=OTHER), BODY, SECRET, OTHER).id == "evt_1"
    assert read(signed(secret=SECRET), BODY, SECRET, OTHER).id == "evt_1"
    both = f"t={AT},v1={digest(secret=OTHER)},v1={digest(secret=SECRET)}"
    assert read(both, BODY, SECRET).id == "evt_1"
    assert read(both, BODY, OTHER).id == "evt_1"
    assert "secret" in refusal(both, BODY, b"another secret of ours")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        an_event(id=None),
        an_event(id=7),
        an_event(id=""),
        an_event(id="evt\x00"),
        an_event(id="evt 1"),
        an_event(id="evt_1\n"),
        an_event(id="evt_é"),
        an_event(id="e" * 5_000),
        an_event(id="\ud800"),
        an_event(type=""),
        an_event(type="refund.failed\x00"),
        an_event(type="t" * 101),
        an_event(data=None),
        an_event(data={}),
        an_event(data={"payment_id": ""}),
        an_event(data={"payment_id": "order\x00"}),
        an_event(data={"payment_id": "p" * 256}),
        an_event(data={"payment_id": ["order-1001"]}),
    ],
)
def test_signed_body_that_is_no_event_is_refused_without_repeating_it(body: bytes) -> None:
    reason = refusal(signed(body), body)
    assert reason.startswith("The body is no event")
    assert "order" not in reason


def test_id_may_have_as_many_characters_as_are_stored() -> None:
    body = an_event(id="e" * 255, type="t" * 100, data={"payment_id": "p" * 255})
    assert read(signed(body), body).id == "e" * 255
