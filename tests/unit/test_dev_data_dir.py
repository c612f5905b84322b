import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from paysaga.dev.data_dir import AlreadyRunning, DataDir, read_env, write_env
from paysaga.dev.errors import DevStackError
from paysaga.dev.files import read_text
from paysaga.dev.leftovers import ProcessRecord, stop_leftovers
from paysaga.dev.options import Options
from paysaga.dev.ports import HOST, free_ports, is_free
from paysaga.dev.postgres import EmbeddedPostgres
from paysaga.dev.temporal import SEARCH_ATTRIBUTES, TemporalServer
from workflows import names

KEY = "sk_test_0123456789abcdef"
SLEEP = ["-c", "import time; time.sleep(60)"]


def opened(path: Path) -> DataDir:
    data = DataDir(path)
    data.open()
    return data


def test_a_second_start_learns_who_has_the_directory_and_where_it_listens(tmp_path: Path) -> None:
    first = opened(tmp_path)
    write_env(first.env_file, {"PAYSAGA_API_URL": "http://127.0.0.1:1"})
    with pytest.raises(AlreadyRunning) as refused:
        opened(tmp_path)
    assert refused.value.pid == os.getpid()
    assert refused.value.addresses == {"PAYSAGA_API_URL": "http://127.0.0.1:1"}


def test_addresses_of_an_earlier_start_are_gone_while_this_one_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("PAYSAGA_API_URL=http://127.0.0.1:1\n", encoding="utf-8")
    assert not opened(tmp_path).env_file.exists()


def test_a_file_in_the_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DevStackError, match=f"--data-dir {path} is not a directory"):
            opened(path)


def test_env_holds_one_value_a_line_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    values = {"A": "1", "DSN": "postgresql://u:p@127.0.0.1:1/d?x=y"}
    write_env(tmp_path / "env", values)
    assert read_env(tmp_path / "env") == values
    assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["env"]


def test_an_api_key_is_kept_for_the_next_start(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    generated = data.api_key(None)
    assert generated.startswith("sk_test_")
    assert data.api_key(None) == generated
    assert data.api_key(KEY) == KEY
    assert data.api_key(None) == KEY
    assert (tmp_path / "api-key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("key", ["", "short", "has spaces in the middle", "quote'quote'quote'quote", "ä" * 20])
def test_an_api_key_that_no_header_or_shell_takes_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(DevStackError, match="--api-key"):
        DataDir(tmp_path).api_key(key)


def test_postgresql_keeps_its_port_until_somebody_else_takes_it(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    port = data.postgres_port()
    assert data.postgres_port() == port
    with socket.create_server((HOST, port)):
        other = data.postgres_port()
    assert other != port
    assert data.postgres_port() == other


@pytest.mark.parametrize("text", ["", "no json", "{}", '[{"pid": 1}]', "[1]"])
def test_a_note_that_cannot_be_read_is_no_reason_not_to_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "processes.json").write_text(text, encoding="utf-8")
    assert DataDir(tmp_path).processes() == []


def test_only_the_very_process_of_the_note_is_stopped(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, *SLEEP]) as bystander, subprocess.Popen([sys.executable, *SLEEP]) as ours:
        command = [sys.executable, *SLEEP]
        started = psutil.Process(ours.pid).create_time()
        data = DataDir(tmp_path)
        data.keep_processes(
            [
                ProcessRecord(ours.pid, started, command, "SIGTERM"),
                ProcessRecord(bystander.pid, started - 60, command, "SIGTERM"),  # the PID was used again
                ProcessRecord(bystander.pid, started, [sys.executable, "-m", "paysaga", "api"], "SIGTERM"),
                ProcessRecord(2**22 + 1, started, command, "SIGTERM"),
            ]
        )
        try:
            assert stop_leftovers(data.processes()) == 1
            assert not psutil.pid_exists(ours.pid)
            assert bystander.poll() is None
        finally:
            ours.kill()
            bystander.kill()


def test_free_ports_differ_and_a_port_in_use_is_not_free() -> None:
    assert len(set(free_ports(20))) == 20
    with socket.create_server((HOST, 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_a_port_that_another_program_has_on_all_addresses_is_not_free() -> None:
    with socket.create_server(("", 0)) as server:
        assert not is_free(server.getsockname()[1])


@pytest.mark.parametrize("name", ["api_port", "temporal_port", "ui_port", "processor_port"])
def test_a_busy_port_is_named_with_its_flag(name: str) -> None:
    anywhere = Options(api_port=0, temporal_port=0, ui_port=0, processor_port=0)
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(DevStackError, match=f"port {port} is in use.*--{name.replace('_', '-')}"):
            replace(anywhere, **{name: port}).with_checked_ports()


def test_one_port_cannot_serve_two() -> None:
    port = free_ports(1)[0]
    with pytest.raises(DevStackError, match=f"--api-port and --ui-port are both {port}"):
        Options(api_port=port, ui_port=port, temporal_port=0, processor_port=0).with_checked_ports()


def test_port_zero_becomes_a_real_port() -> None:
    chosen = Options(api_port=0, temporal_port=0, ui_port=0, processor_port=0).with_checked_ports()
    assert len({chosen.api_port, chosen.temporal_port, chosen.ui_port, chosen.processor_port} - {0}) == 4


def test_a_half_made_or_foreign_database_is_named_before_anything_is_started(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path, 1)
    postgres.check()
    _ = postgres.dsn  # makes the password
    (tmp_path / "pgdata" / "global").mkdir(parents=True)
    with pytest.raises(DevStackError, match="not a complete PostgreSQL data directory"):
        postgres.check()
    (tmp_path / "pgdata" / "global" / "pg_control").touch()
    (tmp_path / "pgdata" / "PG_VERSION").write_text("9\n", encoding="utf-8")
    with pytest.raises(DevStackError, match="made by PostgreSQL 9"):
        postgres.check()
    (tmp_path / "pgdata" / "PG_VERSION").write_text("18\n", encoding="utf-8")
    postgres.check()
    (tmp_path / "postgres-password").unlink()
    with pytest.raises(DevStackError, match="postgres-password is missing"):
        postgres.check()


def test_a_temporal_database_that_is_none_is_named_before_anything_is_started(tmp_path: Path) -> None:
    server = TemporalServer(tmp_path, 1)
    server.database.touch()
    server.check()
    server.database.write_text("something else", encoding="utf-8")
    with pytest.raises(DevStackError, match="not a Temporal database"):
        server.check()


def test_temporal_is_told_about_the_search_attributes_that_workflows_write() -> None:
    keys = (names.STATUS, names.CURRENCY, names.AMOUNT, names.CUSTOMER, names.ORDER)
    assert {key.name: key.indexed_value_type.name.title() for key in keys} == SEARCH_ATTRIBUTES


def test_the_password_is_made_once(tmp_path: Path) -> None:
    dsn = EmbeddedPostgres(tmp_path, 1).dsn
    assert EmbeddedPostgres(tmp_path, 1).dsn == dsn
    assert read_text(tmp_path / "postgres-password") in dsn
