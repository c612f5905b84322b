"""The sandbox processor as a process: every test here talks HTTP to a real one."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

Json = dict[str, Any]
# Longer than any plain answer takes, shorter than anyone wants to wait for a reply that is lost on purpose.
PATIENCE = 0.3
_numbers = count(1)


class Sandbox:
    """A client of one running sandbox, with one payment per test so that tests can share the process."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.http = httpx2.Client(base_url=url, timeout=5)
        self.payment = f"pay-{next(_numbers)}"

    def post(self, path: str, key: str, body: Json, timeout: float = 5) -> httpx2.Response:
        body = {"payment_id": self.payment, "amount": 1000, "currency": "EUR"} | body
        headers = {"Idempotency-Key": f"{self.payment}/{key}"}
        return self.http.post(f"/v1/{path}", json=body, headers=headers, timeout=timeout)

    def authorize(self, key: str = "a", method: str = "pm_card_visa", **more: Any) -> httpx2.Response:
        timeout = more.pop("timeout", 5)
        return self.post("authorizations", key, {"payment_method": method} | more, timeout)

    def hold(self, method: str = "pm_card_visa") -> str:
        return succeeded(self.authorize("hold", method))["id"]

    def capture(self, hold: str, key: str = "c", **more: Any) -> httpx2.Response:
        timeout = more.pop("timeout", 5)
        return self.post("captures", key, {"authorization": hold} | more, timeout)

    def void(self, hold: str, key: str = "v", **more: Any) -> httpx2.Response:
        return self.post("voids", key, {"authorization": hold} | more)

    def refund(self, capture: str, key: str = "r", **more: Any) -> httpx2.Response:
        return self.post("refunds", key, {"capture": capture} | more)

    def fault(self, name: str, **more: Any) -> Json:
        answer = self.http.post("/faults", json={"payment_id": self.payment, "fault": name} | more)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def truth(self, key: str) -> httpx2.Response:
        return self.http.get(f"/v1/operations/{self.payment}%2F{key}")

    def journal(self) -> list[tuple[str, int]]:
        data = self.http.get("/journal", params={"payment_id": self.payment}).json()["data"]
        return [(entry["operation"], entry["amount"]) for entry in data]


@contextmanager
def running(data: Path, *options: str) -> Generator[Sandbox]:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--data", str(data), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("sandbox processor on ").strip()
            sandbox = Sandbox(process, url)
            with sandbox.http:
                yield sandbox
        finally:
            process.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox") / "shared.sqlite") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    shared.payment = f"pay-{next(_numbers)}"
    shared.http.delete("/faults")
    return shared


def succeeded(answer: httpx2.Response) -> Json:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def eventually(is_so: Callable[[], bool], within: float = 3) -> None:
    deadline = time.monotonic() + within
    while not is_so():
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.02)


# Operations and keys


def test_a_payment_is_held_captured_and_refunded_and_the_journal_says_so_in_order(sandbox: Sandbox):
    hold = sandbox.hold()
    capture = succeeded(sandbox.capture(hold, amount=900))
    succeeded(sandbox.refund(capture["id"], amount=400))

    assert capture["id"].startswith("cap_")
    del capture["id"], capture["created_at"]
    assert capture == {
        "operation": "capture",
        "key": f"{sandbox.payment}/c",
        "status": "succeeded",
        "authorization": hold,
        "payment_id": sandbox.payment,
        "amount": 900,
        "currency": "EUR",
    }
    assert sandbox.journal() == [("authorize", 1000), ("capture", 900), ("refund", 400)]


def test_a_journal_entry_has_exactly_the_agreed_fields(sandbox: Sandbox):
    sandbox.hold()
    [entry] = sandbox.http.get("/journal", params={"payment_id": sandbox.payment}).json()["data"]
    assert set(entry) == {"operation", "key", "payment_id", "amount", "currency", "executed_at"}
    assert entry in sandbox.http.get("/journal").json()["data"]


def test_same_key_and_body_moves_money_once_and_replays_the_first_answer(sandbox: Sandbox):
    first, second = sandbox.authorize(), sandbox.authorize()
    assert first.json() == second.json()
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert sandbox.journal() == [("authorize", 1000)]


def test_same_key_sent_ten_times_at_once_moves_money_once(sandbox: Sandbox):
    with ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(sandbox.authorize) for _ in range(10)]
    assert len({succeeded(answer.result())["id"] for answer in answers}) == 1
    assert sandbox.journal() == [("authorize", 1000)]


def test_same_key_with_another_body_or_operation_is_refused(sandbox: Sandbox):
    hold = sandbox.hold()
    for answer in (sandbox.authorize("hold", amount=999), sandbox.capture(hold, "hold")):
        assert refused(answer) == (400, "idempotency_key_reused")
        assert answer.json()["error"]["type"] == "idempotency_error"
    assert sandbox.journal() == [("authorize", 1000)]


def test_a_decline_and_an_illegal_request_are_replayed_too(sandbox: Sandbox):
    for first, again in [
        (sandbox.authorize("d", "pm_card_chargeDeclined"), sandbox.authorize("d", "pm_card_chargeDeclined")),
        (sandbox.capture("auth_none"), sandbox.capture("auth_none")),
    ]:
        assert again.json() == first.json()
        assert again.headers["Idempotent-Replayed"] == "true"


def test_a_malformed_request_does_not_take_its_key(sandbox: Sandbox):
    assert refused(sandbox.authorize(amount=True)) == (400, "validation_failed")
    assert "Idempotent-Replayed" not in sandbox.authorize().headers


def test_money_without_a_key_is_refused(sandbox: Sandbox):
    assert refused(sandbox.http.post("/v1/refunds", json={})) == (400, "idempotency_key_missing")
    assert refused(sandbox.authorize("k" * 256)) == (400, "idempotency_key_invalid")


def test_a_key_forgotten_after_its_window_executes_again_but_the_journal_never_forgets(tmp_path: Path):
    with running(tmp_path / "s.sqlite", "--key-window", "0.2") as sandbox:
        first = succeeded(sandbox.authorize())
        time.sleep(0.25)
        second = succeeded(sandbox.authorize())
        assert first["id"] != second["id"]
        assert sandbox.journal() == [("authorize", 1000)] * 2
        assert sandbox.truth("a").json() == second


# State rules


def test_a_hold_is_captured_once_and_never_beyond_its_amount(sandbox: Sandbox):
    hold = sandbox.hold()
    assert refused(sandbox.capture(hold, "c1", amount=1001)) == (400, "amount_too_large")
    assert refused(sandbox.capture(hold, "c2", currency="USD")) == (400, "currency_mismatch")
    succeeded(sandbox.capture(hold, "c3", amount=10))
    assert refused(sandbox.capture(hold, "c4", amount=10)) == (400, "authorization_captured")
    assert sandbox.journal() == [("authorize", 1000), ("capture", 10)]


def test_refunds_never_add_up_to_more_than_was_captured(sandbox: Sandbox):
    capture = succeeded(sandbox.capture(sandbox.hold(), amount=900))["id"]
    succeeded(sandbox.refund(capture, "r1", amount=500))
    assert refused(sandbox.refund(capture, "r2", amount=401)) == (400, "amount_too_large")
    succeeded(sandbox.refund(capture, "r3", amount=400))
    assert refused(sandbox.refund(capture, "r4", amount=1)) == (400, "amount_too_large")
    assert sandbox.journal()[2:] == [("refund", 500), ("refund", 400)]


def test_a_captured_hold_cannot_be_voided_nor_a_voided_one_captured(sandbox: Sandbox):
    captured = sandbox.hold()
    succeeded(sandbox.capture(captured))
    assert refused(sandbox.void(captured, "v1")) == (400, "authorization_captured")
    voided = succeeded(sandbox.authorize("second"))["id"]
    assert refused(sandbox.void(voided, "v2", amount=999)) == (400, "amount_mismatch")
    assert succeeded(sandbox.void(voided, "v3"))["authorization"] == voided
    assert refused(sandbox.capture(voided, "c2")) == (400, "authorization_voided")
    assert refused(sandbox.void(voided, "v4")) == (400, "authorization_voided")


def test_a_hold_of_another_payment_cannot_be_captured_nor_refunded(sandbox: Sandbox):
    hold = sandbox.hold()
    assert refused(sandbox.capture(hold, "c1", payment_id="other")) == (400, "authorization_not_found")
    capture = succeeded(sandbox.capture(hold))["id"]
    assert refused(sandbox.refund(capture, payment_id="other")) == (400, "capture_not_found")


# Payment methods


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_paypal"])
def test_a_good_payment_method_is_approved(sandbox: Sandbox, method: str):
    succeeded(sandbox.capture(sandbox.hold(method)))


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("pm_card_chargeDeclined", "card_declined"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_authenticationRequired", "authentication_required"),
    ],
)
def test_a_declined_method_holds_nothing_and_the_decline_can_be_looked_up(sandbox: Sandbox, method: str, code: str):
    answer = sandbox.authorize(method=method)
    assert refused(answer) == (402, code)
    truth = succeeded(sandbox.truth("a"))
    assert (truth["status"], truth["error"]) == ("declined", answer.json()["error"])
    assert truth["error"]["type"] == "card_error"
    assert sandbox.journal() == []


def test_an_unknown_method_is_refused_and_nothing_happened(sandbox: Sandbox):
    assert refused(sandbox.authorize(method="pm_nope")) == (400, "payment_method_invalid")
    assert refused(sandbox.truth("a")) == (404, "operation_not_found")


def test_capture_declined_leaves_the_hold_to_be_voided(sandbox: Sandbox):
    hold = sandbox.hold("pm_sandbox_captureDeclined")
    assert refused(sandbox.capture(hold)) == (402, "capture_declined")
    succeeded(sandbox.void(hold))
    assert sandbox.journal() == [("authorize", 1000), ("void", 1000)]


def test_timeout_after_charge_moves_money_and_loses_one_reply(sandbox: Sandbox):
    hold = sandbox.hold("pm_sandbox_timeoutAfterCharge")
    with pytest.raises(httpx2.ReadTimeout):
        sandbox.capture(hold, timeout=PATIENCE)
    assert sandbox.journal() == [("authorize", 1000), ("capture", 1000)]
    assert succeeded(sandbox.capture(hold)) == sandbox.truth("c").json()


def test_unavailable_once_is_unavailable_once(sandbox: Sandbox):
    assert refused(sandbox.authorize(method="pm_sandbox_unavailableOnce")) == (503, "unavailable")
    assert refused(sandbox.truth("a")) == (404, "operation_not_found")
    succeeded(sandbox.authorize(method="pm_sandbox_unavailableOnce"))


# Faults


def test_timeout_before_execution_does_nothing_and_takes_no_key(sandbox: Sandbox):
    sandbox.fault("timeout_before_execution")
    with pytest.raises(httpx2.ReadTimeout):
        sandbox.authorize(timeout=PATIENCE)
    assert sandbox.journal() == []
    assert "Idempotent-Replayed" not in sandbox.authorize().headers


def test_timeout_after_execution_moves_money_without_a_reply(sandbox: Sandbox):
    sandbox.fault("timeout_after_execution")
    with pytest.raises(httpx2.ReadTimeout):
        sandbox.authorize(timeout=PATIENCE)
    assert sandbox.journal() == [("authorize", 1000)]
    assert sandbox.authorize().headers["Idempotent-Replayed"] == "true"


def test_late_execution_happens_once_after_the_client_has_left(sandbox: Sandbox):
    sandbox.fault("late_execution", seconds=1)
    with pytest.raises(httpx2.ReadTimeout):
        sandbox.authorize(timeout=0.2)
    in_use = sandbox.authorize()
    assert refused(in_use) == (409, "idempotency_key_in_use")
    assert refused(sandbox.authorize(amount=1)) == (400, "idempotency_key_reused")
    assert refused(sandbox.truth("a")) == (404, "operation_not_found")
    eventually(lambda: sandbox.truth("a").status_code == 200)
    assert succeeded(sandbox.authorize()) == sandbox.truth("a").json()
    assert sandbox.journal() == [("authorize", 1000)]


def test_reset_after_execution_moves_money_and_resets_the_connection(sandbox: Sandbox):
    sandbox.fault("reset_after_execution")
    with pytest.raises(httpx2.ReadError, match="reset"):
        sandbox.authorize()
    assert sandbox.journal() == [("authorize", 1000)]
    assert sandbox.authorize().headers["Idempotent-Replayed"] == "true"


def test_unavailable_and_rate_limited_execute_nothing_and_store_nothing(sandbox: Sandbox):
    sandbox.fault("unavailable", times=2)
    sandbox.fault("rate_limited", operation="authorize")
    assert refused(sandbox.authorize()) == (503, "unavailable")
    assert refused(sandbox.authorize()) == (503, "unavailable")
    limited = sandbox.authorize()
    assert refused(limited) == (429, "rate_limited")
    assert limited.headers["Retry-After"] == "1"
    assert sandbox.journal() == []
    assert "Idempotent-Replayed" not in sandbox.authorize().headers


def test_rate_limited_asks_to_come_back_after_its_seconds(sandbox: Sandbox):
    sandbox.fault("rate_limited", seconds=120)
    limited = sandbox.authorize()
    assert refused(limited) == (429, "rate_limited")
    assert limited.headers["Retry-After"] == "120"
    succeeded(sandbox.authorize())


def test_malformed_reply_moves_money_and_answers_what_cannot_be_read(sandbox: Sandbox):
    sandbox.fault("malformed_reply")
    answer = sandbox.authorize()
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()
    assert succeeded(sandbox.authorize()) == sandbox.truth("a").json()


def test_wrong_amount_is_said_and_replayed_while_journal_and_lookup_tell_the_truth(sandbox: Sandbox):
    sandbox.fault("wrong_amount")
    assert succeeded(sandbox.authorize())["amount"] == 1001
    assert succeeded(sandbox.authorize())["amount"] == 1001
    assert sandbox.truth("a").json()["amount"] == 1000
    assert sandbox.journal() == [("authorize", 1000)]


def test_slow_executes_and_answers_at_its_end_and_its_key_is_in_use_meanwhile(sandbox: Sandbox):
    sandbox.fault("slow", seconds=0.6)
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        first = pool.submit(sandbox.authorize)
        time.sleep(0.2)
        assert refused(sandbox.authorize()) == (409, "idempotency_key_in_use")
        assert succeeded(first.result()) == sandbox.truth("a").json()
        assert time.monotonic() - began > 0.55


def test_decline_is_stored_under_its_key(sandbox: Sandbox):
    sandbox.fault("decline", operation="capture")
    hold = sandbox.hold()
    assert refused(sandbox.capture(hold)) == (402, "card_declined")
    assert refused(sandbox.capture(hold)) == (402, "card_declined")
    succeeded(sandbox.capture(hold, "another"))


@pytest.mark.parametrize("fault", ["unavailable", "rate_limited"])
def test_a_fault_hits_a_replay_as_well(sandbox: Sandbox, fault: str):
    succeeded(sandbox.authorize())
    sandbox.fault(fault)
    assert sandbox.authorize().status_code in {429, 503}
    succeeded(sandbox.authorize())


def test_a_decline_waits_for_something_to_decline_instead_of_lying_about_a_success(sandbox: Sandbox):
    hold = sandbox.hold()
    sandbox.fault("decline")
    assert sandbox.hold() == hold
    assert refused(sandbox.capture(hold)) == (402, "card_declined")


def test_faults_are_listed_until_used_up_and_can_be_cleared(sandbox: Sandbox):
    stored = sandbox.fault("unavailable", times=2, operation="authorize")
    assert sandbox.http.get("/faults").json()["data"] == [stored]
    sandbox.authorize()
    assert sandbox.http.get("/faults").json()["data"] == [stored | {"remaining": 1}]
    sandbox.authorize()
    assert sandbox.http.get("/faults").json()["data"] == []
    sandbox.fault("decline")
    assert sandbox.http.delete("/faults").status_code == 204
    succeeded(sandbox.authorize())


def test_an_unknown_fault_is_refused_with_the_known_ones(sandbox: Sandbox):
    answer = sandbox.http.post("/faults", json={"fault": "gremlins"})
    assert refused(answer) == (400, "validation_failed")
    assert "reset_after_execution" in answer.json()["error"]["message"]


# The process


def test_killed_and_started_again_it_has_forgotten_nothing(tmp_path: Path):
    once = "pm_sandbox_unavailableOnce"
    with running(tmp_path / "s.sqlite") as sandbox:
        payment, hold = sandbox.payment, sandbox.hold()
        capture = succeeded(sandbox.capture(hold))
        sandbox.authorize("once", once)
        sandbox.fault("unavailable", times=2)
        sandbox.capture(hold)
        sandbox.process.kill()
    with running(tmp_path / "s.sqlite") as sandbox:
        sandbox.payment = payment
        assert refused(sandbox.capture(hold)) == (503, "unavailable")
        assert succeeded(sandbox.capture(hold)) == capture
        assert refused(sandbox.capture(hold, "other")) == (400, "authorization_captured")
        assert sandbox.journal() == [("authorize", 1000), ("capture", 1000)]
        succeeded(sandbox.authorize("once", once))


def test_a_late_execution_happens_even_if_the_process_was_killed_meanwhile(tmp_path: Path):
    with running(tmp_path / "s.sqlite") as sandbox:
        payment = sandbox.payment
        sandbox.fault("late_execution", seconds=2)
        with pytest.raises(httpx2.ReadTimeout):
            sandbox.authorize(timeout=0.1)
        sandbox.process.kill()
    with running(tmp_path / "s.sqlite") as sandbox:
        sandbox.payment = payment
        assert refused(sandbox.authorize()) == (409, "idempotency_key_in_use")
        eventually(lambda: sandbox.journal() == [("authorize", 1000)], within=5)
        assert sandbox.authorize().headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_though_a_request_hangs(tmp_path: Path, number: signal.Signals):
    with running(tmp_path / "s.sqlite") as sandbox, ThreadPoolExecutor(1) as pool:
        sandbox.fault("timeout_before_execution")
        hanging = pool.submit(sandbox.authorize)
        eventually(lambda: sandbox.http.get("/faults").json()["data"] == [])
        began = time.monotonic()
        sandbox.process.send_signal(number)
        assert sandbox.process.wait(5) == 0
        assert time.monotonic() - began < 0.8
        assert isinstance(hanging.exception(), httpx2.TransportError)


def test_a_busy_port_is_one_clear_line(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        command = [sys.executable, "-m", "sandbox", "--port", port, "--data", str(tmp_path / "s.sqlite")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert f"--port {port}" in ended.stderr


def test_a_second_sandbox_on_the_same_file_is_refused(tmp_path: Path):
    with running(tmp_path / "s.sqlite"):
        command = [sys.executable, "-m", "sandbox", "--port", "0", "--data", str(tmp_path / "s.sqlite")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "locked" in ended.stderr
