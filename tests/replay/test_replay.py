"""The workflows replay the histories that earlier versions of them ran."""

import json
import re
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from payments.currencies import EXPONENTS
from tests.replay.scenarios import HISTORIES, SCENARIOS
from workflows.messages import MessageGuard
from workflows.payment import PaymentWorkflow
from workflows.reconciliation import ReconciliationWorkflow
from workflows.webhooks import WebhookWorkflow

RECORDED = [*SCENARIOS, "open", "webhooks", "reconciled"]


async def replay(history: str) -> None:
    replayer = Replayer(
        workflows=[PaymentWorkflow, WebhookWorkflow, ReconciliationWorkflow],
        data_converter=pydantic_data_converter,
        interceptors=[MessageGuard()],
    )
    await replayer.replay_workflow(WorkflowHistory.from_json("replayed-payment", history))


@pytest.mark.parametrize("name", RECORDED)
async def test_recorded_payment_replays(name: str) -> None:
    await replay((HISTORIES / f"{name}.json").read_text())


async def test_recorded_payment_replays_when_its_currency_is_accepted_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(EXPONENTS, "EUR")
    await replay((HISTORIES / "paid.json").read_text())


async def test_replay_notices_a_step_that_changed_its_place() -> None:
    history = (
        (HISTORIES / "outcome_unknown.json")
        .read_text()
        .replace('"charge"', '"swapped"')
        .replace('"record"', '"charge"')
    )
    with pytest.raises(NondeterminismError):
        await replay(history)


@pytest.mark.parametrize("name", RECORDED)
def test_history_names_no_machine_and_no_person(name: str) -> None:
    text = (HISTORIES / f"{name}.json").read_text()
    assert json.loads(text)["events"]
    assert not re.search(r"\.py\b|site-packages", text)
    assert str(Path(__file__).parents[2]) not in text
