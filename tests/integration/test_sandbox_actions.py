"""Customers who must confirm at their bank: nothing is held before they have."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.integration import test_sandbox
from tests.integration.test_sandbox import Sandbox, eventually, refused, running, succeeded

shared = test_sandbox.shared
sandbox = test_sandbox.sandbox
METHOD = "pm_card_authenticationRequired"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Generator[Sandbox]:
    """A sandbox whose customers have hardly any time."""
    with running(tmp_path_factory.mktemp("sandbox") / "s.sqlite", "--action-period", "0.1") as opened:
        yield opened


def expired(hasty: Sandbox, key: str) -> str:
    action = hasty.action(key)
    eventually(lambda: hasty.truth(key).json()["status"] == "declined")
    return action


def declined_for(sandbox: Sandbox, key: str = "a") -> str:
    truth = succeeded(sandbox.truth(key))
    assert truth["status"] == "declined"
    return truth["error"]["code"]


def test_a_method_that_needs_its_customer_holds_nothing_and_says_where_to_go_until_when(sandbox: Sandbox):
    answer = succeeded(sandbox.authorize(method=METHOD))
    assert answer["status"] == "requires_action"
    assert answer["next_action"] == {"type": "redirect_to_url", "url": f"{sandbox.url}/actions/{answer['id']}"}
    lasts = datetime.fromisoformat(answer["expires_at"]) - datetime.fromisoformat(answer["created_at"])
    assert lasts == timedelta(hours=1)
    assert succeeded(sandbox.truth("a")) == answer
    assert sandbox.journal() == []
    assert sandbox.events() == []


def test_what_waits_for_its_customer_cannot_be_captured(sandbox: Sandbox):
    action = sandbox.action()
    assert refused(sandbox.capture(action)) == (400, "authorization_unconfirmed")
    sandbox.act(action, "abandon")
    assert refused(sandbox.capture(action, "c2")) == (400, "authorization_voided")


def test_a_confirmed_action_places_exactly_one_hold_however_often_it_is_confirmed(sandbox: Sandbox):
    action = sandbox.action()
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(sandbox.act, action, "confirm") for _ in range(5)]
    assert [succeeded(answer.result()) for answer in answers] == [{"status": "succeeded"}] * 5
    assert sandbox.journal() == [("authorize", 1000)]
    assert sandbox.told() == ["authorization.succeeded"]
    succeeded(sandbox.capture(action))
    assert succeeded(sandbox.act(action, "confirm")) == {"status": "succeeded"}
    assert sandbox.journal() == [("authorize", 1000), ("capture", 1000)]


def test_a_confirmed_action_is_looked_up_as_a_hold_while_its_key_replays_the_first_answer(sandbox: Sandbox):
    first = sandbox.authorize(method=METHOD)
    id_ = first.json()["id"]
    sandbox.act(id_, "confirm")
    truth = sandbox.truth("a").json()
    assert (truth["id"], truth["status"], truth["hold"]) == (id_, "succeeded", "open")
    assert "next_action" not in truth
    assert truth["expires_at"] > first.json()["expires_at"]
    assert sandbox.events()[0]["data"] == truth
    again = sandbox.authorize(method=METHOD)
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_hold_is_journaled_when_the_customer_confirms_and_not_when_they_were_asked(sandbox: Sandbox):
    action = sandbox.action()
    asked = sandbox.truth("a").json()["created_at"]
    sandbox.act(action, "confirm")
    [entry] = sandbox.http.get("/journal", params={"payment_id": sandbox.payment}).json()["data"]
    assert entry["executed_at"] > asked
    assert entry["key"] == f"{sandbox.payment}/a"


def test_a_customer_who_gives_up_declines_the_payment_and_cannot_confirm_it_afterwards(sandbox: Sandbox):
    action = sandbox.action()
    assert succeeded(sandbox.act(action, "abandon")) == {"status": "declined"}
    assert succeeded(sandbox.act(action, "abandon")) == {"status": "declined"}
    assert declined_for(sandbox) == "authentication_failed"
    assert refused(sandbox.act(action, "confirm")) == (409, "authentication_failed")
    assert sandbox.journal() == []
    assert sandbox.told() == ["authorization.declined"]
    assert sandbox.events()[0]["data"] == sandbox.truth("a").json()


def test_a_customer_who_has_confirmed_cannot_give_up(sandbox: Sandbox):
    action = sandbox.action()
    sandbox.act(action, "confirm")
    assert refused(sandbox.act(action, "abandon")) == (409, "action_confirmed")
    assert sandbox.truth("a").json()["status"] == "succeeded"


def test_a_customer_who_comes_too_late_has_declined(hasty: Sandbox):
    action = expired(hasty, "late")
    assert declined_for(hasty, "late") == "authentication_expired"
    assert refused(hasty.act(action, "confirm")) == (409, "authentication_expired")
    assert refused(hasty.act(action, "abandon")) == (409, "authentication_expired")
    told = [event["type"] for event in hasty.events() if event["data"]["id"] == action]
    assert told == ["authorization.declined"]


def test_a_bank_that_lets_a_late_customer_through_places_a_hold_that_can_be_voided(hasty: Sandbox):
    before = hasty.journal()
    action = expired(hasty, "through")
    assert succeeded(hasty.act(action, "confirm", late=True)) == {"status": "succeeded"}
    assert hasty.truth("through").json()["hold"] == "open"
    told = [event["type"] for event in hasty.events() if event["data"]["id"] == action]
    assert told == ["authorization.declined", "authorization.succeeded"]
    succeeded(hasty.void(action))
    assert hasty.journal() == [*before, ("authorize", 1000), ("void", 1000)]


def test_a_void_before_the_customer_confirmed_cancels_the_action_and_is_no_effect(sandbox: Sandbox):
    action = sandbox.action()
    voided = succeeded(sandbox.void(action))
    assert (voided["operation"], voided["status"], voided["authorization"]) == ("void", "succeeded", action)
    assert succeeded(sandbox.truth("v")) == voided
    assert declined_for(sandbox) == "authentication_canceled"
    assert refused(sandbox.act(action, "confirm")) == (409, "authentication_canceled")
    assert sandbox.journal() == []
    assert sandbox.told() == ["authorization.declined"]
    assert succeeded(sandbox.void(action)) == voided


def test_a_void_of_another_amount_or_payment_cancels_nothing(sandbox: Sandbox):
    action = sandbox.action()
    assert refused(sandbox.void(action, "v1", amount=999)) == (400, "amount_mismatch")
    assert refused(sandbox.void(action, "v2", currency="USD")) == (400, "currency_mismatch")
    assert refused(sandbox.void(action, "v3", payment_id="other")) == (400, "authorization_not_found")
    succeeded(sandbox.act(action, "confirm"))


def test_a_void_after_the_customer_confirmed_releases_the_hold(sandbox: Sandbox):
    action = sandbox.action()
    sandbox.act(action, "confirm")
    succeeded(sandbox.void(action))
    assert sandbox.truth("a").json()["hold"] == "voided"
    assert sandbox.journal() == [("authorize", 1000), ("void", 1000)]


def test_a_void_of_what_was_given_up_canceled_or_expired_says_that_it_is_voided(sandbox: Sandbox, hasty: Sandbox):
    given_up, canceled = sandbox.action("a1"), sandbox.action("a2")
    sandbox.act(given_up, "abandon")
    sandbox.void(canceled, "v0")
    assert refused(sandbox.void(given_up, "v1")) == (400, "authorization_voided")
    assert refused(sandbox.void(canceled, "v2")) == (400, "authorization_voided")
    assert refused(hasty.void(expired(hasty, "void"), "v3")) == (400, "authorization_voided")


def test_a_confirmation_let_through_after_the_void_holds_money_that_a_new_void_releases(sandbox: Sandbox):
    action = sandbox.action()
    sandbox.void(action)
    succeeded(sandbox.act(action, "confirm", late=True))
    assert sandbox.truth("a").json()["hold"] == "open"
    succeeded(sandbox.void(action, "v2"))
    assert sandbox.journal() == [("authorize", 1000), ("void", 1000)]


def test_an_action_survives_kill_9_before_and_after_it_is_confirmed(tmp_path: Path):
    with running(tmp_path / "s.sqlite") as sandbox:
        payment, action = sandbox.payment, sandbox.action()
        sandbox.process.kill()
    with running(tmp_path / "s.sqlite", payment=payment) as sandbox:
        succeeded(sandbox.act(action, "confirm"))
        sandbox.process.kill()
    with running(tmp_path / "s.sqlite", payment=payment) as sandbox:
        succeeded(sandbox.act(action, "confirm"))
        assert sandbox.journal() == [("authorize", 1000)]
        assert sandbox.told() == ["authorization.succeeded"]


def test_the_time_to_confirm_runs_out_while_the_process_is_down(tmp_path: Path):
    with running(tmp_path / "s.sqlite", "--action-period", "0.1") as sandbox:
        payment, action = sandbox.payment, sandbox.action()
        sandbox.process.kill()
    with running(tmp_path / "s.sqlite", payment=payment) as sandbox:
        eventually(lambda: sandbox.truth("a").json()["status"] == "declined")
        assert refused(sandbox.act(action, "confirm")) == (409, "authentication_expired")


def test_an_authorization_that_was_put_off_still_knows_where_to_send_its_customer(sandbox: Sandbox):
    sandbox.fault("slow", seconds=0.1)
    assert succeeded(sandbox.authorize(method=METHOD))["next_action"]["url"].startswith(f"{sandbox.url}/actions/auth_")


def test_customers_are_sent_to_the_public_url_if_there_is_one(tmp_path: Path):
    with running(tmp_path / "s.sqlite", "--public-url", "https://bank.example/sandbox/") as sandbox:
        url = succeeded(sandbox.authorize(method=METHOD))["next_action"]["url"]
        assert url.startswith("https://bank.example/sandbox/actions/auth_")


# The page


def test_the_page_shows_the_amount_and_two_buttons_until_it_is_decided(sandbox: Sandbox):
    action = sandbox.action(amount=4990)
    page = sandbox.http.get(f"/actions/{action}")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "4990 EUR" in page.text
    assert 'value="confirm"' in page.text
    assert 'value="abandon"' in page.text
    confirmed = sandbox.http.post(f"/actions/{action}", data={"result": "confirm"})
    assert confirmed.status_code == 200
    for text in (confirmed.text, sandbox.http.get(f"/actions/{action}").text):
        assert "You have confirmed" in text
        assert "<button" not in text
    assert sandbox.journal() == [("authorize", 4990)]


def test_the_page_says_what_happened_to_those_who_confirm_too_late(sandbox: Sandbox):
    action = sandbox.action()
    sandbox.http.post(f"/actions/{action}", data={"result": "abandon"})
    page = sandbox.http.post(f"/actions/{action}", data={"result": "confirm"})
    assert page.status_code == 409
    assert "You have given up" in page.text


@pytest.mark.parametrize("body", [{}, {"result": "maybe"}, {"result": ["confirm"]}, {"result": "confirm", "late": 1}])
def test_a_decision_that_is_none_is_refused(sandbox: Sandbox, body: dict[str, object]):
    action = sandbox.action()
    assert refused(sandbox.http.post(f"/actions/{action}", json=body)) == (400, "validation_failed")
    assert sandbox.truth("a").json()["status"] == "requires_action"


def test_an_action_that_nobody_asked_for_is_not_found(sandbox: Sandbox):
    assert refused(sandbox.http.get("/actions/auth_none")) == (404, "action_not_found")
    assert refused(sandbox.act("auth_none", "confirm")) == (404, "action_not_found")
    assert refused(sandbox.act(sandbox.hold(), "confirm")) == (404, "action_not_found")
