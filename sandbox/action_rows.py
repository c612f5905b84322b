"""The table of customers' actions: SQL and nothing else."""

import json
import sqlite3
from dataclasses import asdict, dataclass, replace
from typing import Any

from sandbox.words import MoneyRequest


@dataclass(frozen=True, slots=True)
class Action:
    """An authorization that waits for its customer, or what came of the waiting."""

    id: str
    request: MoneyRequest
    # The first answer.
    body: dict[str, Any]
    status: str
    expires_at: float


class ActionRows:
    """Part of the store; every method runs in the store's transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, action: Action) -> None:
        self._db.execute(
            "INSERT INTO actions (id, key, request, body, status, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
            (
                action.id,
                action.request.key,
                json.dumps(asdict(action.request)),
                json.dumps(action.body),
                action.status,
                action.expires_at,
            ),
        )

    def get(self, id_: str) -> Action | None:
        return next(iter(self._where("id = ?", id_)), None)

    def pending_under(self, key: str) -> Action | None:
        return next(iter(self._where("key = ? AND status = 'requires_action' ORDER BY sequence DESC", key)), None)

    def due(self, now: float) -> list[Action]:
        return self._where("status = 'requires_action' AND expires_at <= ? ORDER BY expires_at", now)

    def decide(self, action: Action, status: str) -> Action:
        self._db.execute("UPDATE actions SET status = ? WHERE id = ?", (status, action.id))
        return replace(action, status=status)

    def _where(self, condition: str, value: object) -> list[Action]:
        rows = self._db.execute(
            f"SELECT id, request, body, status, expires_at FROM actions WHERE {condition}",  # noqa: S608
            (value,),
        )
        return [
            Action(id_, MoneyRequest(**json.loads(request)), json.loads(body), status, expires_at)
            for id_, request, body, status, expires_at in rows.fetchall()
        ]
