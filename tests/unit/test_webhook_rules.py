"""Which addresses may be sent to; when a delivery is tried again and an endpoint counts as down."""

from datetime import UTC, datetime, timedelta

import pytest

from gateways.addresses import is_public
from payments.retrying import DOWN_AFTER, PROBE_LAST, RETRY_AFTER_MAX, SCHEDULE, Health, Progress, after
from payments.webhooks import DeliveryStatus, DisabledReason, Reply, url_problem

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OK = Reply(status=200, duration=timedelta(0))
FAILED = Reply(status=500, error="answered 500", duration=timedelta(0))
GONE = Reply(status=410, error="answered 410", duration=timedelta(0))


@pytest.mark.parametrize("address", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "2a00:1450::1"])
def test_address_out_there_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2001:0:7f00:1::",
        "2002:7f00:1::",
        "2002:a00:1::",
        "2001:db8::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "nonsense",
        "",
    ],
)
def test_address_inside_or_of_nobody_is_not_public(address: str) -> None:
    assert not is_public(address)


def test_shop_may_be_anywhere_on_the_web() -> None:
    for url in (
        "https://shop.example",
        "https://shop.example:8443/a?b=c%20d",
        "https://93.184.215.14/",
        "https://[2a00::1]/",
    ):
        assert url_problem(url, http=False) is None
    assert url_problem("http://127.0.0.1:8000/", http=True) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "http://shop.example/",
        "ftp://shop.example/",
        "file:///etc/passwd",
        "HTTPS//shop.example",
        "https://",
        "https:///path",
        "https://user:password@shop.example/",
        "https://@shop.example/",
        "https://shop.example/#fragment",
        "https://shop.example/#",
        "https://shop.example:0/",
        "https://shop.example:99999/",
        "https://shop.example:port/",
        "https://shop .example/",
        "https://shop.example/\n",
        "https://shop.example\\@inside/",
        "https://käse.example/",
        "https://[::1",
        "https://shop.example/" + "a" * 2000,
        "gopher://127.0.0.1:6379/_SET",
    ],
)
def test_address_that_can_not_be_sent_to_is_refused(url: str) -> None:
    assert url_problem(url, http=False) is not None


def test_schedule_is_that_of_standard_webhooks() -> None:
    pauses = [5, 300, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600]
    assert [pause.total_seconds() for pause in SCHEDULE] == pauses
    assert sum(SCHEDULE, timedelta(0)) > 3 * DAY


def test_failure_moves_along_the_schedule_with_a_little_jitter() -> None:
    progress, health, last = Progress(), Health(), None
    for pause in SCHEDULE:
        calm, jumpy = (after(FAILED, health, progress, last_attempt=last, now=NOW, jitter=j) for j in (0.0, 1.0))
        assert calm.progress.next_attempt_at == NOW + pause
        assert jumpy.progress.next_attempt_at == NOW + pause * 1.1
        progress, health, last = calm.progress, calm.health, NOW
    assert (health.failing, health.probe_at) == (1, None)
    assert progress.status is DeliveryStatus.PENDING


def test_it_is_given_up_only_when_the_endpoint_takes_others() -> None:
    tried = Progress(tries=len(SCHEDULE), failing_since=NOW - 3 * DAY)
    alone = Health(failing_since=NOW - 3 * DAY, failing=1)
    kept = after(FAILED, alone, tried, last_attempt=NOW - DAY, now=NOW, jitter=0).progress
    assert (kept.status, kept.next_attempt_at) == (DeliveryStatus.PENDING, NOW + SCHEDULE[-1])
    for others in (Health(), Health(failing_since=NOW - DAY, failing=1)):
        ended = after(FAILED, others, tried, last_attempt=NOW - DAY, now=NOW, jitter=0).progress
        assert (ended.status, ended.next_attempt_at) == (DeliveryStatus.FAILED, None)


def test_endpoint_counts_as_down_when_several_fail_in_a_row() -> None:
    health = Health()
    for _ in range(DOWN_AFTER):
        assert health.probe_at is None
        health = after(FAILED, health, Progress(), last_attempt=None, now=NOW, jitter=0).health
    assert health.probe_at is not None
    for _ in range(100):
        again = after(FAILED, Health(NOW, 1), Progress(), last_attempt=NOW, now=NOW, jitter=0).health
        assert again.probe_at is None, "one that fails again and again says nothing of the others"


def test_probes_become_seldom_but_not_too_seldom_and_the_schedule_stands_still() -> None:
    for since, pause in ((0, 5), (20, 20), (3600, 300), (2 * 86400, 300)):
        health = Health(NOW - timedelta(seconds=since), DOWN_AFTER, NOW)
        change = after(FAILED, health, Progress(tries=2), last_attempt=NOW, now=NOW, jitter=0)
        assert change.health.probe_at == NOW + timedelta(seconds=pause)
        assert change.progress.tries == 2
    assert timedelta(seconds=300) == PROBE_LAST


def test_success_ends_all_failing() -> None:
    change = after(OK, Health(NOW - DAY, 9, NOW), Progress(tries=4), last_attempt=NOW, now=NOW, jitter=0)
    assert (change.health, change.back, change.was_down) == (Health(), True, True)
    assert change.progress.status is DeliveryStatus.SUCCEEDED
    assert not after(OK, Health(), Progress(), last_attempt=None, now=NOW, jitter=0).back


def test_410_disables_and_loses_nothing() -> None:
    change = after(GONE, Health(), Progress(), last_attempt=None, now=NOW, jitter=0)
    assert change.health.disabled is DisabledReason.GONE
    assert (change.progress.status, change.progress.next_attempt_at) == (DeliveryStatus.PENDING, NOW)


def test_five_days_without_a_success_disable() -> None:
    for days, reason in ((4.9, None), (5.1, DisabledReason.FAILING)):
        health = Health(NOW - timedelta(days=days), 1)
        assert after(FAILED, health, Progress(), last_attempt=NOW, now=NOW, jitter=0).health.disabled is reason


def test_wish_to_come_back_later_is_honoured_up_to_an_hour() -> None:
    for asked, pause in ((1, 5), (1800, 1800), (10**9, RETRY_AFTER_MAX.total_seconds())):
        reply = FAILED.model_copy(update={"retry_after": timedelta(seconds=asked)})
        progress = after(reply, Health(), Progress(), last_attempt=None, now=NOW, jitter=0).progress
        assert progress.next_attempt_at == NOW + timedelta(seconds=pause)
