"""Events of the sandbox processor, and how they reach somebody who listens, or do not."""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from tests.integration import test_sandbox
from tests.integration.test_sandbox import Sandbox, eventually, refused, running, succeeded

sandbox = test_sandbox.sandbox
SECRET = "whsec_of_a_test"
HANG_UP = 0


class Listener(ThreadingHTTPServer):
    """Somebody who listens: takes every event unless a test says otherwise."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/events"
        self.heard: list[dict[str, Any]] = []
        self.posts: list[tuple[str, str, bytes]] = []
        self.answers: list[int] = []
        self.wait_for: Callable[[dict[str, Any]], object] = lambda _event: None
        self._count = threading.Lock()
        self._at_once = 0
        self.most_at_once = 0

    def ids(self, payment: str) -> list[str]:
        return [event["id"] for event in list(self.heard) if event["data"]["payment_id"] == payment]

    @contextmanager
    def counted(self) -> Generator[None]:
        with self._count:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        yield
        with self._count:
            self._at_once -= 1


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        listener = cast("Listener", self.server)
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        listener.posts.append((self.path, self.headers["Sandbox-Signature"], raw))
        with listener.counted():
            listener.wait_for(json.loads(raw))
        status = listener.answers.pop(0) if listener.answers else 200
        if status == HANG_UP:
            return
        if status // 100 == 2:
            listener.heard.append(json.loads(raw))
        self.send_response(status)
        if status == 307:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def listening(port: int = 0) -> Generator[Listener]:
    with Listener(port) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield listener
        finally:
            listener.shutdown()
            thread.join()


@contextmanager
def telling(data: Path, url: str, *options: str, payment: str = "") -> Generator[Sandbox]:
    environment = {"SANDBOX_WEBHOOK_SECRET": SECRET}
    with running(data, "--webhook-url", url, *options, payment=payment, **environment) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def everybody() -> Generator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, everybody: Listener) -> Generator[Sandbox]:
    with telling(tmp_path_factory.mktemp("sandbox") / "s.sqlite", everybody.url) as sandbox:
        yield sandbox


@pytest.fixture
def listener(everybody: Listener, sandbox: Sandbox) -> Listener:
    sandbox.http.post("/webhooks", json={"mode": "normal"})
    return everybody


def confirm(sandbox: Sandbox, key: str = "a") -> str:
    """Something to tell; the ID of its event."""
    succeeded(sandbox.act(sandbox.action(key), "confirm"))
    return sandbox.events()[-1]["id"]


def mode(sandbox: Sandbox, mode: str, **more: int) -> None:
    assert sandbox.http.post("/webhooks", json={"mode": mode} | more).status_code == 200


def delivered(sandbox: Sandbox) -> list[bool]:
    return [event["delivered_at"] is not None for event in sandbox.events()]


def test_an_event_is_what_has_happened_with_a_signature_of_exactly_these_bytes(sandbox: Sandbox, listener: Listener):
    id_ = confirm(sandbox)
    eventually(lambda: listener.ids(sandbox.payment) == [id_])
    _, signature, raw = listener.posts[-1]
    seconds, digest = (part.split("=")[1] for part in signature.split(","))
    assert signature == f"t={seconds},v1={digest}"
    assert digest == hmac.new(SECRET.encode(), f"{seconds}.".encode() + raw, hashlib.sha256).hexdigest()
    event = json.loads(raw)
    assert set(event) == {"id", "type", "created_at", "data"}
    assert event["type"] == "authorization.succeeded"
    assert event["data"] == sandbox.truth("a").json()
    eventually(lambda: delivered(sandbox) == [True])
    assert event | {"delivered_at": sandbox.events()[0]["delivered_at"]} == sandbox.events()[0]


@pytest.mark.parametrize("status", [500, 400, 307, HANG_UP])
def test_an_event_that_is_not_taken_is_sent_again_to_the_same_place(sandbox: Sandbox, listener: Listener, status: int):
    listener.answers = [status]
    id_ = confirm(sandbox)
    eventually(lambda: listener.ids(sandbox.payment) == [id_], within=10)
    sent = [path for path, _, raw in listener.posts if json.loads(raw)["id"] == id_]
    assert sent == ["/events", "/events"]


def test_a_listener_that_does_not_answer_one_event_gets_the_others(sandbox: Sandbox, listener: Listener):
    answer = threading.Event()
    slow = sandbox.payment
    listener.wait_for = lambda event: event["data"]["payment_id"] == slow and answer.wait(10)
    try:
        confirm(sandbox)
        eventually(lambda: any(slow.encode() in raw for _, _, raw in listener.posts))
        sandbox.payment = f"{slow}-quick"
        id_ = confirm(sandbox)
        eventually(lambda: listener.ids(sandbox.payment) == [id_])
        assert listener.ids(slow) == []
    finally:
        answer.set()
    eventually(lambda: listener.ids(slow) != [])


def test_a_listener_that_never_answers_is_left_and_asked_again(sandbox: Sandbox, listener: Listener):
    answer = threading.Event()
    listener.wait_for = lambda _event: answer.wait(30)
    id_ = confirm(sandbox)
    try:
        eventually(lambda: sum(id_.encode() in raw for _, _, raw in listener.posts) == 2, within=15)
    finally:
        answer.set()
    eventually(lambda: delivered(sandbox) == [True])


def test_no_more_than_eight_events_are_on_their_way_at_once(sandbox: Sandbox, listener: Listener):
    answer = threading.Event()
    listener.wait_for = lambda _event: answer.wait(10)
    try:
        ids = [confirm(sandbox, f"a{number}") for number in range(12)]
        eventually(lambda: listener.most_at_once == 8)
    finally:
        answer.set()
    eventually(lambda: set(listener.ids(sandbox.payment)) == set(ids))
    assert listener.most_at_once == 8


def test_an_event_that_nobody_took_before_kill_9_is_sent_after_it(tmp_path: Path):
    with listening() as listener:
        listener.answers = [503] * 100
        with telling(tmp_path / "s.sqlite", listener.url) as sandbox:
            payment, id_ = sandbox.payment, confirm(sandbox)
            eventually(lambda: listener.posts != [])
            assert delivered(sandbox) == [False]
            sandbox.process.kill()
        listener.answers = []
        with telling(tmp_path / "s.sqlite", listener.url, payment=payment) as sandbox:
            eventually(lambda: listener.ids(payment) == [id_], within=10)
            eventually(lambda: delivered(sandbox) == [True])


def test_without_a_listener_events_are_kept_and_told_to_the_first_who_listens(tmp_path: Path):
    with running(tmp_path / "s.sqlite") as sandbox:
        payment, id_ = sandbox.payment, confirm(sandbox)
        assert delivered(sandbox) == [False]
    with listening() as listener, telling(tmp_path / "s.sqlite", listener.url, payment=payment):
        eventually(lambda: listener.ids(payment) == [id_])


def test_of_an_operation_that_was_answered_nothing_is_told_unless_all_is(sandbox: Sandbox, tmp_path: Path):
    def pay_and_refund(sandbox: Sandbox) -> list[str]:
        sandbox.refund(succeeded(sandbox.capture(sandbox.hold()))["id"])
        sandbox.void(succeeded(sandbox.authorize("second"))["id"])
        sandbox.authorize("declined", "pm_card_chargeDeclined")
        return sandbox.told()

    assert pay_and_refund(sandbox) == []
    with running(tmp_path / "s.sqlite", "--webhook-events", "all") as talkative:
        assert pay_and_refund(talkative) == [
            "authorization.succeeded",
            "capture.succeeded",
            "refund.succeeded",
            "authorization.succeeded",
            "void.succeeded",
        ]
        replayed = talkative.authorize("second")
        assert replayed.headers["Idempotent-Replayed"] == "true"
        assert len(talkative.events()) == 5
        assert talkative.events()[1]["data"] == talkative.truth("c").json()
        talkative.payment += "-confirmed"
        confirm(talkative)
        assert talkative.told() == ["authorization.succeeded"]


def test_a_refused_request_tells_nothing(tmp_path: Path):
    with running(tmp_path / "s.sqlite", "--webhook-events", "all") as talkative:
        refused(talkative.capture("auth_none"))
        assert talkative.told() == []
