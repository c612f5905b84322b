"""The directory that one stack keeps everything in, and the proof that only one stack uses it."""

import fcntl
import json
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

from paysaga.dev.errors import DevStackError
from paysaga.dev.files import read_text, write_private
from paysaga.dev.leftovers import ProcessRecord
from paysaga.dev.ports import free_port, is_free

# Settings refuse a shorter one; the rest is what fits in a header and in a NAME=value line without quoting.
_API_KEY = re.compile(r"[A-Za-z0-9_\-.~+/=]{16,200}")
# Others may pass through it, since PostgreSQL may have to run as another user; every file in it is private.
_DIRECTORY_MODE = 0o711
# A stack that is stopping lets its worker finish first.
_STOPPING_SECONDS = 30


class AlreadyRunning(Exception):
    """Another process has the directory. `addresses` is empty while it is still starting."""

    def __init__(self, pid: int | None, addresses: dict[str, str]) -> None:
        super().__init__(f"already running (PID {pid})")
        self.pid = pid
        self.addresses = addresses


class DataDir:
    """Paths and the small pieces of state in a data directory."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.env_file = self.path / "env"
        self._lock_file = self.path / "lock"
        self._api_key_file = self.path / "api-key"
        self._webhook_secret_file = self.path / "webhook-secret"
        self._postgres_port_file = self.path / "postgres-port"
        self._processes_file = self.path / "processes.json"
        self._lock: int | None = None

    def open(self) -> None:
        """Make it ours until this process ends. Raises AlreadyRunning or says what is wrong with the directory."""
        try:
            self.path.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            self._lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except (FileExistsError, NotADirectoryError) as error:
            raise DevStackError(f"--data-dir {self.path} is not a directory") from error
        except OSError as error:
            raise DevStackError(f"--data-dir {self.path} is not writable ({error.strerror})") from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise DevStackError(f"--data-dir {self.path} is not writable")
        self._take_lock(self._lock)
        self.env_file.unlink(missing_ok=True)
        self.note("starting")

    def note(self, state: str) -> None:
        """Tell a second start what this one is doing."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()} {state}\n".encode(), 0)

    def _take_lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + _STOPPING_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid, _, state = read_text(self._lock_file).partition(" ")
                if state != "stopping" or time.monotonic() > deadline:
                    addresses = read_env(self.env_file)
                    raise AlreadyRunning(int(pid) if pid.isdecimal() else None, addresses) from None
                time.sleep(0.1)
            else:
                return

    def api_key(self, given: str | None) -> str:
        """The key given now, else the one of the last start, else a new one."""
        if given is not None:
            if not _API_KEY.fullmatch(given):
                raise DevStackError(
                    "--api-key needs 16 to 200 characters, letters, digits and _-.~+/= (or leave it out)"
                )
            key = given
        elif self._api_key_file.exists():
            key = read_text(self._api_key_file)
            if not _API_KEY.fullmatch(key):
                raise DevStackError(f"{self._api_key_file} does not hold an API key: remove it to get a new one")
        else:
            key = f"sk_test_{secrets.token_hex(16)}"
        write_private(self._api_key_file, key)
        return key

    def webhook_secret(self) -> str:
        """What the processor signs its webhooks with: the one of the last start, or a new one."""
        with suppress(OSError):
            if _API_KEY.fullmatch(secret := read_text(self._webhook_secret_file)):
                return secret
        secret = f"whsec_{secrets.token_hex(16)}"
        write_private(self._webhook_secret_file, secret)
        return secret

    def postgres_port(self) -> int:
        """The one of the last start, so that saved connections keep working, if nobody took it meanwhile."""
        with suppress(OSError, ValueError):
            port = int(read_text(self._postgres_port_file))
            if 0 < port < 65536 and is_free(port):
                return port
        port = free_port()
        write_private(self._postgres_port_file, str(port))
        return port

    def processes(self) -> list[ProcessRecord]:
        """What the last start left a note of; nothing if the note can't be read."""
        try:
            return [ProcessRecord(**entry) for entry in json.loads(read_text(self._processes_file))]
        except (OSError, ValueError, TypeError):
            return []

    def keep_processes(self, records: list[ProcessRecord]) -> None:
        write_private(self._processes_file, json.dumps([record._asdict() for record in records]))

    def forget(self) -> None:
        """Nothing runs any more, so there is nothing to connect to and nothing to clean up."""
        self.env_file.unlink(missing_ok=True)
        self._processes_file.unlink(missing_ok=True)


def write_env(path: Path, values: dict[str, str]) -> None:
    write_private(path, "".join(f"{name}={value}\n" for name, value in values.items()))


def read_env(path: Path) -> dict[str, str]:
    """Empty if there is none."""
    try:
        lines = read_text(path).splitlines()
    except OSError:
        return {}
    return {name: value for name, separator, value in (line.partition("=") for line in lines) if separator}
