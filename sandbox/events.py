"""Events: what has happened, written down together with it, for those who did not see it."""

import json
import secrets
from typing import Any

from sandbox.moment import Moment
from sandbox.words import iso_time


def tell(at: Moment, type_: str, body: dict[str, Any]) -> None:
    id_ = f"evt_{secrets.token_hex(12)}"
    event = {"id": id_, "type": type_, "created_at": iso_time(at.now), "data": body}
    at.store.outbox.add(id_, body["payment_id"], json.dumps(event), at.now)
