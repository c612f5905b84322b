import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from paysaga.dev import process, tether
from paysaga.dev.errors import DevStackError, ProcessFailed
from paysaga.dev.process import Child, Server, clean_environment, describe_exit

LINUX = sys.platform == "linux"
SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]
# A supervisor that starts one child, says its PID and sleeps.
SUPERVISOR = """
import asyncio, pathlib, sys
from paysaga.dev.process import Child
async def main():
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = await Child.start(command, log=pathlib.Path(sys.argv[1]), env={})
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def start(command: list[str], log: Path) -> Child:
    child = await Child.start(command, log=log, env=clean_environment())
    while "up" not in child.output():
        await asyncio.sleep(0.01)
    return child


async def test_a_child_that_ignores_sigterm_is_killed_after_the_time_it_was_given(tmp_path: Path) -> None:
    child = await start(DEAF, tmp_path / "log")
    assert await child.stop(timeout=0.2) == -signal.SIGKILL
    assert not psutil.pid_exists(child.pid)


async def test_stopping_a_child_twice_is_no_error(tmp_path: Path) -> None:
    child = await start(SLEEP, tmp_path / "log")
    assert await child.stop() == -signal.SIGTERM
    assert await child.stop() == -signal.SIGTERM


async def test_the_log_keeps_earlier_starts_but_the_output_is_of_this_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for word in ("first", "second"):
        child = await Child.start([sys.executable, "-c", f"print('{word}')"], log=log, env=clean_environment())
        assert await child.wait() == 0
        assert child.output().split() == [word]
    assert log.read_text(encoding="utf-8").split() == ["first", "second"]
    assert log.stat().st_mode & 0o077 == 0


async def test_a_long_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_LOG_BYTES", 3)
    log = tmp_path / "log"
    log.write_text("old output", encoding="utf-8")
    child = await Child.start([sys.executable, "-c", "print('new')"], log=log, env=clean_environment())
    await child.wait()
    assert log.read_text(encoding="utf-8").strip() == "new"
    assert (tmp_path / "log.1").read_text(encoding="utf-8") == "old output"


@pytest.mark.skipif(not LINUX, reason="only Linux tells a process that its parent ended")
def test_a_child_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, tmp_path / "log"], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        child = psutil.Process(int(supervisor.stdout.readline()))
        assert child.is_running()
        supervisor.kill()
        psutil.wait_procs([child], timeout=5)
        assert not child.is_running()


@pytest.mark.skipif(not LINUX, reason="only Linux tells a process that its parent ended")
def test_a_tether_whose_parent_is_gone_already_runs_nothing(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    command = [sys.executable, "-I", "-S", tether.__file__, "SIGKILL", "--parent", "1", "--", "/bin/sh"]
    subprocess.run([*command, "-c", f"touch {witness}"], check=True)
    assert not witness.exists()


def test_a_program_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", tether.__file__, "SIGKILL", "--", str(tmp_path / "nothing")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == tether.CANNOT_EXECUTE
    assert done.stderr == f"can't run {tmp_path / 'nothing'}: No such file or directory\n"


@pytest.mark.skipif(not LINUX or os.geteuid() != 0, reason="is about root on Linux")
def test_root_becomes_nobody_and_still_reaches_files_below_a_private_directory(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    program = private / "program"
    program.write_text(f"#!/bin/sh\ntest -x {program} && id -u && cat {private}/secret\n", encoding="utf-8")
    program.chmod(0o700)
    (private / "secret").write_text("reached", encoding="utf-8")
    (private / "secret").chmod(0o600)
    command = [sys.executable, "-I", "-S", tether.__file__, "SIGKILL", "--unprivileged", "65534", "--", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["65534", "reached"], "")
    assert private.stat().st_mode & 0o777 == 0o700


def test_settings_of_another_installation_do_not_reach_the_children(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAYSAGA_API_KEY", "TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "PGDATA", "PGPORT"):
        monkeypatch.setenv(name, "foreign")
    env = clean_environment(PAYSAGA_API_KEY="ours")
    assert "foreign" not in env.values()
    assert env["PAYSAGA_API_KEY"] == "ours"
    assert env["PATH"] == os.environ["PATH"]


def test_an_exit_is_described_by_its_signal() -> None:
    assert [describe_exit(0), describe_exit(3), describe_exit(-9)] == ["exit code 0", "exit code 3", "SIGKILL"]


class Program(Server):
    """Ready once it printed "up"."""

    name = "program"

    def __init__(self, code: str, log: Path) -> None:
        super().__init__()
        self._code = code
        self._log = log

    async def _launch(self) -> Child:
        return await Child.start([sys.executable, "-c", self._code], log=self._log, env=clean_environment())

    async def _answers(self) -> bool:
        return "up" in self.child.output()


async def test_a_server_that_ends_while_starting_says_so_at_once_with_its_last_words(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(ProcessFailed, match=r"program ended while starting \(exit code 7\)") as failed:
        await Program("import sys; print('disk full'); sys.exit(7)", tmp_path / "log").start()
    assert failed.value.last_lines.strip() == "disk full"
    assert time.monotonic() - begun < 10


async def test_a_server_that_never_answers_is_not_left_running(tmp_path: Path) -> None:
    server = Program("import time; time.sleep(60)", tmp_path / "log")
    server.ready_seconds = 0.3
    with pytest.raises(ProcessFailed, match="did not answer"):
        await server.start()
    assert not psutil.pid_exists(server.pid)


async def test_a_server_whose_start_is_cancelled_is_not_left_running(tmp_path: Path) -> None:
    server = Program("import time; time.sleep(60)", tmp_path / "log")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(server.start(), 0.5)
    assert not psutil.pid_exists(server.pid)


def test_a_server_that_was_never_started_has_no_pid(tmp_path: Path) -> None:
    with pytest.raises(DevStackError, match="has not been started"):
        _ = Program("", tmp_path / "log").pid
