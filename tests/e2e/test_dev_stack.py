"""`paysaga dev` as a person uses it: started as a process, watched from outside, killed in every way."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path

import httpx2
import psutil
import pytest

from paysaga.dev.ports import HOST
from tests.e2e.dev import Dev, get, paste, ports, printed_curl, refused, still_running

# The tests of one running stack stay in one process of pytest-xdist (with --dist loadgroup).
pytestmark = pytest.mark.xdist_group("dev_stack")


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Generator[Dev]:
    dev = Dev(tmp_path_factory.mktemp("stack") / "data", *ports())
    try:
        dev.until_ready()
        yield dev
    finally:
        dev.clean_up()


def test_the_printed_payment_moves_money_when_it_is_pasted(dev: Dev) -> None:
    payment = paste(printed_curl(dev.output))
    assert (payment["status"], payment["amount_captured"]) == ("succeeded", 4990)
    again = paste(printed_curl(dev.output))
    assert again == payment


def test_env_holds_the_names_that_other_programs_rely_on(dev: Dev) -> None:
    assert dev.env.keys() == {
        "PAYSAGA_API_URL",
        "PAYSAGA_API_KEY",
        "TEMPORAL_ADDRESS",
        "TEMPORAL_UI_URL",
        "PAYSAGA_DATABASE_URL",
        "PAYSAGA_PROCESSOR_URL",
    }
    assert (dev.data_dir / "env").stat().st_mode & 0o777 == 0o600


def test_what_happens_later_at_the_processor_is_told_to_the_api(dev: Dev) -> None:
    """Which takes nothing that isn't signed with the secret of both."""
    request = {
        "payment_id": "nobody",
        "amount": 1,
        "currency": "EUR",
        "payment_method": "pm_card_authenticationRequired",
    }
    url = dev.env["PAYSAGA_PROCESSOR_URL"]
    with httpx2.Client(base_url=url) as processor:
        waiting = processor.post("/v1/authorizations", json=request, headers={"Idempotency-Key": "later"}).json()
        assert waiting["next_action"]["url"] == f"{url}/actions/{waiting['id']}"
        processor.post(f"/actions/{waiting['id']}", json={"result": "confirm"})
        dev.until(lambda: any(event["delivered_at"] for event in processor.get("/events").json()["data"]))
    unsigned = httpx2.post(f"{dev.env['PAYSAGA_API_URL']}/v1/webhooks/sandbox", json={})
    assert unsigned.json()["code"] == "webhook_refused"


def test_every_address_that_it_prints_answers(dev: Dev) -> None:
    pages = re.findall(r"^  (?:API docs|Temporal UI|Processor) +(http\S+)$", dev.output, re.MULTILINE)
    assert len(pages) == 3
    for page in pages:
        with urllib.request.urlopen(page, timeout=10) as response:
            assert response.status == 200


def test_nothing_can_be_reached_from_another_machine(dev: Dev) -> None:
    listening = {
        connection.laddr.ip
        for process in dev.everything()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {HOST}


def test_a_second_start_says_that_it_is_running_and_where(dev: Dev) -> None:
    command = [sys.executable, "-m", "paysaga", "dev", "--data-dir", str(dev.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    assert f"already running (PID {dev.process.pid})" in done.stdout
    assert dev.env["PAYSAGA_API_URL"] in done.stdout


def test_a_busy_port_is_one_line_that_names_the_flag(dev: Dev, tmp_path: Path) -> None:
    port = dev.env["PAYSAGA_API_URL"].rsplit(":", 1)[1]
    line = refused(tmp_path / "data", *ports(), "--api-port", port)
    assert f"port {port} is in use" in line
    assert "--api-port" in line


@pytest.mark.parametrize("words", [("paysaga", "worker"), ("paysaga", "api"), ("sandbox",), ("start-dev",), ("-k",)])
def test_a_process_that_is_killed_is_started_again(dev: Dev, words: tuple[str, ...]) -> None:
    before = dev.output.count("back after")
    killed = dev.one(*words)
    killed.kill()
    dev.until(lambda: dev.output.count("back after") > before)
    assert dev.one(*words).pid != killed.pid


def test_payments_go_on_after_every_process_was_killed(dev: Dev) -> None:
    call = re.sub(r"order-\w+", "after-the-kills", printed_curl(dev.output))
    call = re.sub(r'"order_id": "\w+"', '"order_id": "after-the-kills"', call)
    deadline = time.monotonic() + 30
    while (answer := paste(call)).get("status") != "succeeded":
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)


def test_data_survives_a_killed_supervisor_and_sigterm_leaves_no_process(tmp_path: Path) -> None:
    arguments = ports()
    first = Dev(tmp_path / "data", *arguments)
    try:
        # Killed in the middle of making the database: the next start has to begin anew.
        first.until(lambda: any((tmp_path / "data").glob("pgdata.new-*/PG_VERSION")))
        _, left = first.end(signal.SIGKILL)
        assert left == []
        assert not (tmp_path / "data" / "pgdata").exists()
        second = Dev(tmp_path / "data", *arguments)
        second.until_ready()
        payment = paste(printed_curl(second.output))
        key = second.env["PAYSAGA_API_KEY"]
        _, left = second.end(signal.SIGKILL)
        assert left == []
        third = Dev(tmp_path / "data", *arguments)
        third.until_ready()
        assert third.env["PAYSAGA_API_KEY"] == key
        assert get(third.env, f"/v1/payments/{payment['id']}") == payment
        assert third.end(signal.SIGTERM) == (0, [])
        assert not (tmp_path / "data" / "env").exists()
    finally:
        for dev in (first, locals().get("second"), locals().get("third")):
            if isinstance(dev, Dev):
                dev.clean_up()


def test_stopping_during_the_start_leaves_no_process(tmp_path: Path) -> None:
    dev = Dev(tmp_path / "data", *ports())
    try:
        dev.until_says("Temporal +ready")
        assert dev.end(signal.SIGINT) == (0, [])
    finally:
        dev.clean_up()


def test_a_second_ctrl_c_does_not_wait_for_a_process_that_hangs(tmp_path: Path) -> None:
    dev = Dev(tmp_path / "data", *ports())
    try:
        dev.until_says("Temporal +ready")
        dev.one("start-dev").suspend()
        everything = dev.everything()
        dev.process.send_signal(signal.SIGINT)
        dev.until_says("Temporal.* stopping")
        dev.process.send_signal(signal.SIGINT)
        assert dev.process.wait(5) == 0
        assert still_running(everything, seconds=1) == []
    finally:
        dev.clean_up()


def test_a_file_in_the_place_of_the_data_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is not a directory" in refused(tmp_path / "file")


def test_a_data_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    # Root may write everywhere but in the kernel's own file system.
    path = Path("/proc/paysaga") if os.geteuid() == 0 else tmp_path / "data"
    assert "is not writable" in refused(path)


def test_a_broken_database_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "pgdata").mkdir()
    assert "is not a complete PostgreSQL data directory" in refused(tmp_path)


def test_a_database_that_does_not_start_is_shown_with_its_last_words(tmp_path: Path) -> None:
    dev = Dev(tmp_path / "data", *ports())
    try:
        dev.until_says("PostgreSQL +ready")
        assert dev.end(signal.SIGTERM) == (0, [])
    finally:
        dev.clean_up()
    (tmp_path / "data" / "pgdata" / "global" / "pg_control").write_bytes(b"")
    command = [sys.executable, "-m", "paysaga", "dev", "--data-dir", str(tmp_path / "data"), *ports()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("paysaga: PostgreSQL ended while starting")
    assert "pg_control" in done.stderr
    assert f"The whole log: {tmp_path / 'data' / 'postgres.log'}" in done.stderr


def test_a_stale_postmaster_pid_never_harms_the_process_that_has_the_number_now(tmp_path: Path) -> None:
    dev = Dev(tmp_path / "data", *ports())
    try:
        dev.until_says("PostgreSQL +ready")
        assert dev.end(signal.SIGTERM) == (0, [])
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
            try:
                pid_file = tmp_path / "data" / "pgdata" / "postmaster.pid"
                pid_file.write_text(f"{bystander.pid}\n{tmp_path / 'data' / 'pgdata'}\n1\n1\n\n\n", encoding="utf-8")
                dev = Dev(tmp_path / "data", *ports())
                dev.until_says("PostgreSQL +ready")
                assert bystander.poll() is None
            finally:
                bystander.kill()
    finally:
        dev.clean_up()


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="is about root on Linux")
def test_root_needs_no_permission_for_others_and_postgresql_does_not_run_as_root(dev: Dev) -> None:
    assert dev.one("-k").uids().real != 0
    modes = {path.name: path.stat().st_mode & 0o077 for path in dev.data_dir.iterdir()}
    assert set(modes.values()) == {0}
    assert dev.data_dir.parent.stat().st_mode & 0o777 == 0o700


def test_a_closed_terminal_stops_everything(tmp_path: Path) -> None:
    dev = Dev(tmp_path / "data", *ports())
    try:
        dev.until_says("processor +ready")
        assert dev.end(signal.SIGHUP) == (0, [])
    finally:
        dev.clean_up()
