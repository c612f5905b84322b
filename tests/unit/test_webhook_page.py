"""The program in docs/webhooks.md, which shops copy, does what the page says."""

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateways.http_sender import body_of, headers_of
from gateways.sending import Outgoing
from payments.retrying import DISABLED_AFTER, DOWN_AFTER, PROBE_LAST, SCHEDULE
from payments.timeline import Actor, FeedEvent
from payments.webhooks import ENDPOINTS_MAX

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
Receive = Callable[[dict[str, str], bytes, str, set[str]], int]


@pytest.fixture
def receive() -> Receive:
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    return names["receive"]


def sent(now: datetime) -> tuple[dict[str, str], bytes]:
    event = FeedEvent(
        id="evt_1", sequence=1, type="payment.succeeded", actor=Actor.WORKFLOW, payment_id="p", data={}, created_at=now
    )
    outgoing = Outgoing(url="https://shop.example", secrets=(SECRET,), event=event)
    body = body_of(outgoing)
    return headers_of(outgoing, body, now), body


def test_program_takes_what_we_send_and_acts_once(receive: Receive, capsys: pytest.CaptureFixture[str]) -> None:
    (headers, body), seen = sent(datetime.now(UTC)), set[str]()
    assert [receive(headers, body, SECRET, seen) for _ in range(2)] == [204, 204]
    assert (capsys.readouterr().out, seen) == ("p payment.succeeded\n", {"evt_1"})


def test_program_refuses_what_is_altered_or_old(receive: Receive) -> None:
    headers, body = sent(datetime.now(UTC))
    assert receive(headers, body.replace(b"evt_1", b"evt_2"), SECRET, set()) == 400
    assert receive(*sent(datetime.now(UTC) - timedelta(minutes=6)), SECRET, set()) == 400


def test_page_says_the_figures_that_hold() -> None:
    pauses = "5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h"
    units = {"s": 1, "min": 60, "h": 3600}
    said = [int(number) * units[unit] for number, unit in re.findall(r"(\d+) (s|min|h)", pauses)]
    assert pauses in PAGE
    assert said == [pause.total_seconds() for pause in SCHEDULE]
    assert (5, timedelta(minutes=5), timedelta(days=5)) == (DOWN_AFTER, PROBE_LAST, DISABLED_AFTER)
    assert f"at most {ENDPOINTS_MAX}." in PAGE
