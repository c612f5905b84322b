"""The sandbox processor as a process: every test here and in `test_sandbox_*.py` talks HTTP to a real one."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
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

    def action(self, key: str = "a", **more: Any) -> str:
        """An authorization that waits for its customer."""
        waiting = succeeded(self.authorize(key, "pm_card_authenticationRequired", **more))
        assert waiting["status"] == "requires_action"
        return waiting["id"]

    def act(self, id_: str, result: str, **more: Any) -> httpx2.Response:
        return self.http.post(f"/actions/{id_}", json={"result": result} | more)

    def fault(self, name: str, **more: Any) -> Json:
        answer = self.http.post("/faults", json={"payment_id": self.payment, "fault": name} | more)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def truth(self, key: str) -> httpx2.Response:
        return self.http.get(f"/v1/operations/{self.payment}%2F{key}")

    def journal(self) -> list[tuple[str, int]]:
        data = self.http.get("/journal", params={"payment_id": self.payment}).json()["data"]
        return [(entry["operation"], entry["amount"]) for entry in data]

    def events(self) -> list[Json]:
        return self.http.get("/events", params={"payment_id": self.payment}).json()["data"]

    def told(self) -> list[str]:
        return [event["type"] for event in self.events()]


@contextmanager
def running(data: Path, *options: str, payment: str = "", **environment: str) -> Generator[Sandbox]:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--data", str(data), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("sandbox processor on ").strip()
            sandbox = Sandbox(process, url)
            sandbox.payment = payment or sandbox.payment
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


def test_killed_and_started_again_it_has_forgotten_nothing(tmp_path: Path):
    once = "pm_sandbox_unavailableOnce"
    with running(tmp_path / "s.sqlite") as sandbox:
        payment, hold = sandbox.payment, sandbox.hold()
        capture = succeeded(sandbox.capture(hold))
        sandbox.authorize("once", once)
        sandbox.fault("unavailable", times=2)
        sandbox.capture(hold)
        sandbox.process.kill()
    with running(tmp_path / "s.sqlite", payment=payment) as sandbox:
        assert refused(sandbox.capture(hold)) == (503, "unavailable")
        assert succeeded(sandbox.capture(hold)) == capture
        assert refused(sandbox.capture(hold, "other")) == (400, "authorization_captured")
        assert sandbox.journal() == [("authorize", 1000), ("capture", 1000)]
        succeeded(sandbox.authorize("once", once))


def test_a_late_execution_happens_even_if_the_process_was_killed_meanwhile(tmp_path: Path):
    with running(tmp_path / "s.sqlite") as sandbox:
        payment = sandbox.payment
        # Longer than a restart takes on a busy machine.
        sandbox.fault("late_execution", seconds=6)
        with pytest.raises(httpx2.ReadTimeout):
            sandbox.authorize(timeout=0.1)
        sandbox.process.kill()
    with running(tmp_path / "s.sqlite", payment=payment) as sandbox:
        assert refused(sandbox.authorize()) == (409, "idempotency_key_in_use")
        eventually(lambda: sandbox.journal() == [("authorize", 1000)], within=10)
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
        # The request would hang for much longer.
        assert time.monotonic() - began < 3
        assert isinstance(hanging.exception(), httpx2.TransportError)


def test_a_busy_port_is_one_clear_line(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        command = [sys.executable, "-m", "sandbox", "--port", port, "--data", str(tmp_path / "s.sqlite")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert f"--port {port}" in ended.stderr


def test_a_webhook_without_a_secret_is_one_clear_line(tmp_path: Path):
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--data", str(tmp_path / "s.sqlite")]
    command += ["--webhook-url", "http://127.0.0.1:9/"]
    environment = {name: value for name, value in os.environ.items() if name != "SANDBOX_WEBHOOK_SECRET"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == ["sandbox processor: --webhook-url needs a secret in SANDBOX_WEBHOOK_SECRET"]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--hold-period", "nan"), ("--action-period", "-1"), ("--webhook-url", "ftp://host/"), ("--public-url", "host")],
)
def test_an_option_that_makes_no_sense_is_named(tmp_path: Path, option: str, value: str):
    command = [sys.executable, "-m", "sandbox", "--data", str(tmp_path / "s.sqlite"), option, value]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert option in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_sandbox_on_the_same_file_is_refused(tmp_path: Path):
    with running(tmp_path / "s.sqlite"):
        command = [sys.executable, "-m", "sandbox", "--port", "0", "--data", str(tmp_path / "s.sqlite")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "locked" in ended.stderr


# The tables as they were before holds lapsed.
OLD_TABLES = """
CREATE TABLE authorizations (
    id TEXT PRIMARY KEY, payment_id TEXT NOT NULL, payment_method TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL, voided INTEGER NOT NULL DEFAULT 0,
    capture TEXT UNIQUE, captured INTEGER NOT NULL DEFAULT 0 CHECK (captured BETWEEN 0 AND amount),
    refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND captured),
    CHECK (NOT (voided AND capture IS NOT NULL))
) STRICT;
CREATE TABLE operations (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT NOT NULL, key TEXT NOT NULL, payment_id TEXT NOT NULL,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('succeeded', 'declined')),
    body TEXT NOT NULL, executed_at TEXT NOT NULL
) STRICT;
INSERT INTO authorizations (id, payment_id, payment_method, amount, currency)
    VALUES ('auth_old', 'old', 'pm_card_visa', 1000, 'EUR');
INSERT INTO operations (operation, key, payment_id, amount, currency, status, body, executed_at)
    VALUES ('authorize', 'old/a', 'old', 1000, 'EUR', 'succeeded',
    '{"id": "auth_old", "operation": "authorize", "key": "old/a", "status": "succeeded", "payment_id": "old",
    "amount": 1000, "currency": "EUR"}', '2026-01-01T00:00:00.000000Z');
"""


def test_a_database_from_before_opens_with_its_journal_and_its_holds(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "s.sqlite")) as db:
        db.executescript(OLD_TABLES)
    for _ in range(2):
        with running(tmp_path / "s.sqlite", payment="old") as sandbox:
            assert succeeded(sandbox.capture("auth_old"))["amount"] == 1000
            assert sandbox.truth("a").json()["hold"] == "captured"
            assert sandbox.journal() == [("authorize", 1000), ("capture", 1000)]
