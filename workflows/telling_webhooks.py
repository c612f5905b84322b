"""What people read of an endpoint in the Temporal Web UI. Neither addresses, which may hold keys, nor events."""

from datetime import datetime, timedelta

from temporalio import workflow

from payments.webhooks import DisabledReason, Served

_WHY = {
    DisabledReason.BY_REQUEST: "somebody has disabled it",
    DisabledReason.GONE: "it has answered 410 Gone",
    DisabledReason.FAILING: "for five days nothing has succeeded",
}


def beginning(endpoint_id: str) -> None:
    """Nothing is known yet."""
    workflow.set_current_details(f"**Sending webhooks to `{endpoint_id}`.** How it stands is told within a minute.")


def serving(endpoint_id: str, served: Served, now: datetime) -> None:
    """How it stands after a shift."""
    to, waiting = f"`{endpoint_id}` ({served.host})", f"{served.waiting} waiting."
    last = f"In the last shift {served.delivered} delivered, {served.failed} attempts failed."
    if served.failing_since is None:
        text = f"**Sending webhooks to {to}.** {waiting} {last}"
    elif served.down:
        next_at = now + timedelta(seconds=served.pause_seconds)
        text = (
            f"**{to} is down**: nothing has succeeded since {served.failing_since:%Y-%m-%d %H:%M:%S} UTC. {waiting} "
            f"One is tried at {next_at:%Y-%m-%d %H:%M:%S} UTC; the signal `wake` looks now. What is sent first when it "
            "is back is what has waited longest; nothing is lost."
        )
    else:
        text = (
            f"**{to} is failing**: nothing has succeeded since {served.failing_since:%Y-%m-%d %H:%M:%S} UTC. "
            f"{waiting} {last} `GET /v1/webhook_endpoints/{endpoint_id}/deliveries` says what it answered."
        )
    workflow.set_current_details(text)


def ended(endpoint_id: str, served: Served) -> None:
    """It gets nothing any more."""
    if served.disabled is None:
        workflow.set_current_details(f"**`{endpoint_id}` was deleted.** Nothing is sent to it.")
        return
    workflow.set_current_details(
        f"**`{endpoint_id}` is disabled**: {_WHY[served.disabled]}. It keeps its place: once it is enabled again "
        "(`PATCH` with `status`), it gets all that has happened meanwhile."
    )
