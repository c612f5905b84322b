"""Everything the processor knows, in one SQLite file that survives kill -9."""

import json
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from sandbox.words import Answer, MoneyRequest


@dataclass(frozen=True, slots=True)
class Authorization:
    """A hold and what became of it."""

    id: str
    payment_id: str
    payment_method: str
    amount: int
    currency: str
    voided: int
    capture: str | None
    captured: int
    refunded: int


class Store:
    """SQL and nothing else. No method awaits, so a transaction on the event loop is never interleaved."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The timeout lets a restart wait until the process before it has let go of the file.
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0.3)
        # Exclusive: a second processor on the same file would be a second witness with other memories.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(resources.files("sandbox").joinpath("schema.sql").read_text("utf-8"))

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Generator[None]:
        with self._db:  # commits at the end, rolls back on an exception
            self._db.execute("BEGIN IMMEDIATE")
            yield

    # Authorizations

    def add_authorization(self, id_: str, request: MoneyRequest) -> None:
        self._db.execute(
            "INSERT INTO authorizations (id, payment_id, payment_method, amount, currency) VALUES (?, ?, ?, ?, ?)",
            (id_, request.payment_id, request.subject, request.amount, request.currency),
        )

    def authorization(self, id_: str) -> Authorization | None:
        return self._authorization("SELECT * FROM authorizations WHERE id = ?", id_)

    def authorization_of_capture(self, capture: str) -> Authorization | None:
        return self._authorization("SELECT * FROM authorizations WHERE capture = ?", capture)

    def _authorization(self, query: str, value: str) -> Authorization | None:
        row = self._db.execute(query, (value,)).fetchone()
        return Authorization(*row) if row else None

    def capture(self, authorization: str, capture: str, amount: int) -> None:
        self._db.execute(
            "UPDATE authorizations SET capture = ?, captured = ? WHERE id = ?", (capture, amount, authorization)
        )

    def void(self, authorization: str) -> None:
        self._db.execute("UPDATE authorizations SET voided = 1 WHERE id = ?", (authorization,))

    def refund(self, authorization: str, amount: int) -> None:
        self._db.execute("UPDATE authorizations SET refunded = refunded + ? WHERE id = ?", (amount, authorization))

    # Operations

    def add_operation(self, body: dict[str, Any]) -> None:
        self._db.execute(
            "INSERT INTO operations (operation, key, payment_id, amount, currency, status, executed_at, body)"
            " VALUES (:operation, :key, :payment_id, :amount, :currency, :status, :created_at, :body)",
            {**body, "body": json.dumps(body)},
        )

    def operation(self, key: str) -> dict[str, Any] | None:
        row = self._db.execute(
            "SELECT body FROM operations WHERE key = ? ORDER BY sequence DESC LIMIT 1", (key,)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def journal(self, payment_id: str | None) -> list[dict[str, Any]]:
        fields = ("operation", "key", "payment_id", "amount", "currency", "executed_at")
        of_payment = "" if payment_id is None else "AND payment_id = ?"
        rows = self._db.execute(
            f"SELECT {', '.join(fields)} FROM operations WHERE status = 'succeeded' {of_payment} ORDER BY sequence",  # noqa: S608
            () if payment_id is None else (payment_id,),
        )
        return [dict(zip(fields, row, strict=True)) for row in rows]

    # Idempotency keys

    def save_answer(self, request: MoneyRequest, answer: Answer, now: float) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO idempotency_keys VALUES (?, ?, ?, ?, ?)",
            (request.key, request.fingerprint, answer.status, json.dumps(answer.body), now),
        )

    def saved_answer(self, key: str, not_before: float) -> tuple[str, Answer] | None:
        """The fingerprint of the request that had this key first, and its answer."""
        row = self._db.execute(
            "SELECT fingerprint, status_code, body FROM idempotency_keys WHERE key = ? AND created_at > ?",
            (key, not_before),
        ).fetchone()
        return (row[0], Answer(row[1], json.loads(row[2]))) if row else None

    # Pending requests

    def add_pending(self, request: MoneyRequest, due_at: float) -> None:
        self._db.execute("INSERT INTO pending VALUES (?, ?, ?)", (request.key, json.dumps(asdict(request)), due_at))

    def pending(self, key: str) -> MoneyRequest | None:
        row = self._db.execute("SELECT request FROM pending WHERE key = ?", (key,)).fetchone()
        return MoneyRequest(**json.loads(row[0])) if row else None

    def all_pending(self) -> list[tuple[str, float]]:
        return self._db.execute("SELECT key, due_at FROM pending ORDER BY due_at").fetchall()

    def remove_pending(self, key: str) -> None:
        self._db.execute("DELETE FROM pending WHERE key = ?", (key,))

    # Faults

    def add_fault(self, fault: dict[str, Any]) -> int:
        row = self._db.execute(
            "INSERT INTO faults (payment_id, operation, fault, times, remaining, seconds)"
            " VALUES (:payment_id, :operation, :fault, :times, :times, :seconds) RETURNING id",
            fault,
        ).fetchone()
        return row[0]

    def faults(self) -> list[dict[str, Any]]:
        fields = ("id", "payment_id", "operation", "fault", "times", "remaining", "seconds")
        rows = self._db.execute(
            "SELECT id, payment_id, operation, fault, times, remaining, seconds FROM faults ORDER BY id"
        )
        return [dict(zip(fields, row, strict=True)) for row in rows]

    def matching_faults(self, request: MoneyRequest) -> list[tuple[int, str, float | None]]:
        return self._db.execute(
            "SELECT id, fault, seconds FROM faults WHERE (payment_id IS NULL OR payment_id = ?)"
            " AND (operation IS NULL OR operation = ?) ORDER BY id",
            (request.payment_id, request.operation),
        ).fetchall()

    def use_fault(self, id_: int) -> None:
        self._db.execute("DELETE FROM faults WHERE id = ? AND remaining = 1", (id_,))
        self._db.execute("UPDATE faults SET remaining = remaining - 1 WHERE id = ?", (id_,))

    def clear_faults(self) -> None:
        self._db.execute("DELETE FROM faults")

    def first_misbehaviour(self, payment_id: str, how: str) -> bool:
        return self._db.execute("INSERT OR IGNORE INTO misbehaved VALUES (?, ?)", (payment_id, how)).rowcount == 1
