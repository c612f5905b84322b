"""Everything the processor knows, in one SQLite file that survives kill -9."""

import json
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from sandbox.action_rows import ActionRows
from sandbox.outbox import Outbox
from sandbox.words import Answer, MoneyRequest

# What databases from before may lack.
ADDED_COLUMNS = (
    ("authorizations", "expires_at", "REAL"),
    ("authorizations", "lapsed", "INTEGER NOT NULL DEFAULT 0"),
    ("operations", "effect", "INTEGER NOT NULL DEFAULT 1"),
)


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
    expires_at: float | None
    lapsed: int


@dataclass(frozen=True, slots=True)
class SentBack:
    """A refund that the customer's bank will not take."""

    id: str
    authorization: str
    body: dict[str, Any]


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
        self._add_missing_columns()
        self._db.executescript(resources.files("sandbox").joinpath("schema.sql").read_text("utf-8"))
        self.actions = ActionRows(self._db)
        self.outbox = Outbox(self._db)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Generator[None]:
        with self._db:  # commits at the end, rolls back on an exception
            self._db.execute("BEGIN IMMEDIATE")
            yield

    def _add_missing_columns(self) -> None:
        for table, column, definition in ADDED_COLUMNS:
            columns = [row[1] for row in self._db.execute(f"PRAGMA table_info({table})")]
            if columns and column not in columns:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")

    # Authorizations

    def add_authorization(self, id_: str, request: MoneyRequest, expires_at: float) -> None:
        self._db.execute(
            "INSERT INTO authorizations (id, payment_id, payment_method, amount, currency, expires_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (id_, request.payment_id, request.subject, request.amount, request.currency, expires_at),
        )

    def authorization(self, id_: str) -> Authorization | None:
        return self._authorization("SELECT * FROM authorizations WHERE id = ?", id_)

    def authorization_of_capture(self, capture: str) -> Authorization | None:
        return self._authorization("SELECT * FROM authorizations WHERE capture = ?", capture)

    def lapsing_holds(self, now: float) -> list[Authorization]:
        rows = self._db.execute(
            "SELECT * FROM authorizations WHERE capture IS NULL AND voided = 0 AND lapsed = 0 AND expires_at <= ?"
            " ORDER BY expires_at",
            (now,),
        )
        return [Authorization(*row) for row in rows.fetchall()]

    def _authorization(self, query: str, value: str) -> Authorization | None:
        row = self._db.execute(query, (value,)).fetchone()
        return Authorization(*row) if row else None

    def capture(self, authorization: str, capture: str, amount: int) -> None:
        self._db.execute(
            "UPDATE authorizations SET capture = ?, captured = ? WHERE id = ?", (capture, amount, authorization)
        )

    def void(self, authorization: str) -> None:
        self._db.execute("UPDATE authorizations SET voided = 1 WHERE id = ?", (authorization,))

    def lapse(self, authorization: str) -> None:
        self._db.execute("UPDATE authorizations SET lapsed = 1 WHERE id = ?", (authorization,))

    def refund(self, authorization: str, amount: int) -> None:
        self._db.execute("UPDATE authorizations SET refunded = refunded + ? WHERE id = ?", (amount, authorization))

    # Refunds that will come back

    def send_refund_back(self, refund: SentBack, due_at: float) -> None:
        self._db.execute(
            "INSERT INTO refunds_sent_back VALUES (?, ?, ?, ?)",
            (refund.id, refund.authorization, json.dumps(refund.body), due_at),
        )

    def refunds_sent_back(self, now: float) -> list[SentBack]:
        rows = self._db.execute(
            "SELECT id, authorization_id, body FROM refunds_sent_back WHERE due_at <= ? ORDER BY due_at", (now,)
        )
        return [SentBack(id_, authorization, json.loads(body)) for id_, authorization, body in rows.fetchall()]

    def take_refund_back(self, refund: SentBack) -> None:
        self.refund(refund.authorization, -refund.body["amount"])
        self._db.execute("DELETE FROM refunds_sent_back WHERE id = ?", (refund.id,))

    # Operations

    def add_operation(self, body: dict[str, Any], **columns: object) -> None:
        """`columns` where the journal says something else than the body."""
        self._db.execute(
            "INSERT INTO operations (operation, key, payment_id, amount, currency, status, executed_at, body, effect)"
            " VALUES (:operation, :key, :payment_id, :amount, :currency, :status, :executed_at, :body, :effect)",
            {"executed_at": body["created_at"], "effect": True, **body, **columns, "body": json.dumps(body)},
        )

    def operation(self, key: str) -> dict[str, Any] | None:
        row = self._db.execute(
            "SELECT body FROM operations WHERE key = ? ORDER BY sequence DESC LIMIT 1", (key,)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def operation_with_id(self, payment_id: str, id_: str) -> dict[str, Any]:
        row = self._db.execute(
            "SELECT body FROM operations WHERE payment_id = ? AND json_extract(body, '$.id') = ?"
            " ORDER BY sequence DESC LIMIT 1",
            (payment_id, id_),
        ).fetchone()
        return json.loads(row[0])

    def journal(self, payment_id: str | None) -> list[dict[str, Any]]:
        fields = ("operation", "key", "payment_id", "amount", "currency", "executed_at")
        of_payment = "" if payment_id is None else "AND payment_id = ?"
        rows = self._db.execute(
            f"SELECT {', '.join(fields)} FROM operations"  # noqa: S608
            f" WHERE status = 'succeeded' AND effect = 1 {of_payment} ORDER BY sequence",
            () if payment_id is None else (payment_id,),
        )
        return [dict(zip(fields, row, strict=True)) for row in rows]

    def record(
        self, from_: str | None, to: str | None, key: str | None, after: int, limit: int
    ) -> list[dict[str, Any]]:
        """The journal by time or by key, a page at a time, with what a report needs; of a hold also how it stands."""
        rows = self._db.execute(
            "SELECT o.sequence, o.operation, o.key, json_extract(o.body, '$.id') AS reference, o.payment_id, o.amount,"
            " o.currency, o.executed_at, CASE WHEN o.operation <> 'authorize' THEN NULL"
            " WHEN a.capture IS NOT NULL THEN 'captured' WHEN a.voided THEN 'voided' WHEN a.lapsed THEN 'expired'"
            " ELSE 'open' END AS hold"
            " FROM operations o LEFT JOIN authorizations a"
            " ON o.operation = 'authorize' AND a.id = json_extract(o.body, '$.id')"
            " WHERE o.status = 'succeeded' AND o.effect = 1 AND o.sequence > ?1"
            " AND (?2 IS NULL OR o.executed_at >= ?2) AND (?3 IS NULL OR o.executed_at < ?3)"
            " AND (?4 IS NULL OR o.key = ?4) ORDER BY o.sequence LIMIT ?5",
            (after, from_, to, key, limit),
        )
        names = [column[0] for column in rows.description]
        return [dict(zip(names, row, strict=True)) for row in rows]

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
