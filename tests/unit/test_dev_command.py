import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from paysaga.dev.console import Console, example_call
from paysaga.dev.errors import DevStackError, ProcessFailed
from paysaga.dev.process import clean_environment

SECRET = "short-secret"


def paysaga(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paysaga", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=clean_environment(**env)
    )


def test_every_command_is_listed_with_what_it_does() -> None:
    shown = paysaga("--help").stdout
    for name in ("dev", "demo", "api", "worker", "migrate", "sandbox"):
        assert f"\n  {name} " in shown


def test_the_version_is_the_package_s() -> None:
    assert paysaga("--version").stdout.startswith("paysaga 0.")


@pytest.mark.parametrize("command", ["api", "worker", "migrate"])
def test_every_setting_that_is_missing_or_wrong_is_one_line_without_its_value(command: str) -> None:
    done = paysaga(command, PAYSAGA_API_KEY=SECRET, PAYSAGA_DATABASE_CONNECTIONS="many", PAYSAGA_DATABSE_URL="x")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 5
    assert "PAYSAGA_DATABSE_URL is no setting of paysaga" in lines[0]
    for name in ("PAYSAGA_DATABASE_URL is missing", "PAYSAGA_PROCESSOR_URL is missing", "PAYSAGA_API_KEY is wrong"):
        assert sum(name in line for line in lines) == 1
    assert SECRET not in done.stderr


def test_the_sandbox_s_own_options_pass_through() -> None:
    done = paysaga("sandbox", "--help")
    assert done.returncode == 0
    assert "--data" in done.stdout


def test_the_example_is_a_new_payment_each_time() -> None:
    first, second = (example_call("http://127.0.0.1:1", "key") for _ in range(2))
    assert first != second
    body = json.loads(first.rsplit("-d '", 1)[1].removesuffix("'"))
    assert body["amount"] == 4990
    assert f"Idempotency-Key: order-{body['order_id']}'" in first


def test_a_failure_is_shown_with_the_end_of_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    log = "\n".join(f"line {number}" for number in range(100))
    Console().error(ProcessFailed("the worker ended", log=Path("/data/worker.log"), last_lines=log))
    Console().error(DevStackError("one line"))
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "paysaga: the worker ended"
    assert shown[-3:] == ["    line 99", "  The whole log: /data/worker.log", "paysaga: one line"]
    assert len(shown) < 20


def test_a_reader_that_went_away_does_not_stop_the_stack() -> None:
    code = (
        "import os, sys\n"
        "from paysaga.dev.console import Console\n"
        "os.close(0); console = Console()\n"
        "for _ in range(10_000): console.line('x' * 100)\n"
        "print('still here', file=sys.stderr)"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "still here\n")
