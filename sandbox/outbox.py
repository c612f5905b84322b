"""The table of events, and of what is still to be sent of them: SQL and nothing else."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.words import iso_time

# How often an event that was made in this mode is sent at first.
COPIES = {"normal": 1, "drop": 0, "duplicate": 3, "hold": 1}
KEPT_TRYING = 3 * 86_400.0
FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0


@dataclass(frozen=True, slots=True)
class Message:
    """An event as it is sent, byte by byte."""

    id: str
    body: str
    attempts: int


class Outbox:
    """Part of the store; every method runs in the store's transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, id_: str, payment_id: str, body: str, now: float) -> None:
        mode, used_up = self._take_mode()
        held, copies = mode == "hold", COPIES[mode]
        self._db.execute(
            "INSERT INTO events (id, payment_id, body, copies, held, next_attempt_at, gives_up_at, delivered_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                id_,
                payment_id,
                body,
                copies,
                held,
                now if copies and not held else None,
                now + KEPT_TRYING,
                None if copies else iso_time(now),
            ),
        )
        if used_up:
            self.set_mode("normal", None, now)

    def events(self, payment_id: str | None) -> list[dict[str, Any]]:
        of_payment = "" if payment_id is None else "WHERE payment_id = ?"
        rows = self._db.execute(
            f"SELECT body, delivered_at FROM events {of_payment} ORDER BY sequence",  # noqa: S608
            () if payment_id is None else (payment_id,),
        )
        return [json.loads(body) | {"delivered_at": delivered_at} for body, delivered_at in rows]

    def event(self, id_: str) -> dict[str, Any] | None:
        row = self._db.execute("SELECT body, delivered_at FROM events WHERE id = ?", (id_,)).fetchone()
        return json.loads(row[0]) | {"delivered_at": row[1]} if row else None

    # Sending

    def due(self, now: float, limit: int) -> list[Message]:
        """Those that go out whenever they are due."""
        return self._due("in_turn = 0 AND next_attempt_at <= ? ORDER BY next_attempt_at, sequence LIMIT ?", now, limit)

    def next_in_turn(self, now: float) -> list[Message]:
        """At most one of those that must not overtake each other: the last event first."""
        return self._due("in_turn = 1 AND next_attempt_at <= ? ORDER BY next_attempt_at, sequence DESC LIMIT ?", now, 1)

    def sent(self, message: Message, now: float) -> None:
        self._db.execute(
            "UPDATE events SET attempts = 0, copies = copies - 1,"
            " next_attempt_at = CASE WHEN copies > 1 THEN ?1 END, delivered_at = CASE WHEN copies = 1 THEN ?2 END"
            " WHERE id = ?3",
            (now, iso_time(now), message.id),
        )

    def failed(self, message: Message, now: float) -> None:
        next_at = now + min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(message.attempts, 16))
        self._db.execute(
            "UPDATE events SET attempts = attempts + 1, next_attempt_at = CASE WHEN gives_up_at > ?1 THEN ?1 END"
            " WHERE id = ?2",
            (next_at, message.id),
        )

    def resend(self, id_: str, copies: int, now: float) -> None:
        self._db.execute(
            "UPDATE events SET copies = max(copies, ?1), attempts = 0, held = 0, in_turn = 0, next_attempt_at = ?2,"
            " gives_up_at = ?3, delivered_at = NULL WHERE id = ?4",
            (copies, now, now + KEPT_TRYING, id_),
        )

    def _due(self, condition: str, *values: object) -> list[Message]:
        rows: Sequence[tuple[str, str, int]] = self._db.execute(
            f"SELECT id, body, attempts FROM events WHERE {condition}",  # noqa: S608
            values,
        ).fetchall()
        return [Message(*row) for row in rows]

    # Modes

    def set_mode(self, mode: str, times: int | None, now: float) -> None:
        self._db.execute("INSERT OR REPLACE INTO webhook_mode VALUES (1, ?, ?)", (mode, times))
        if mode != "hold":
            self._db.execute("UPDATE events SET held = 0, in_turn = 1, next_attempt_at = ? WHERE held = 1", (now,))

    def _take_mode(self) -> tuple[str, bool]:
        row = self._db.execute("SELECT mode, remaining FROM webhook_mode").fetchone()
        if row is None:
            return "normal", False
        mode, remaining = row
        if remaining is not None:
            self._db.execute("UPDATE webhook_mode SET remaining = remaining - 1")
        return mode, remaining == 1
