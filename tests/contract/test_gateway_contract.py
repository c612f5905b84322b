"""What every `PaymentGateway` must do, whatever the processor.

Assumptions of these tests. Each adapter is tried twice: against its processor (a real one, with a way to script its
faults and to see what it really did), and against a server of our own that answers as no processor should. To run
them on another adapter, add it to `ADAPTERS` with the payment methods and faults that its test mode has; the server
of our own takes any path, so it needs no more than the adapter's base URL.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from gateways.port import NotExecuted, OutcomeUnknown, PaymentGateway
from gateways.sandbox.gateway import open_sandbox_gateway
from payments.money import Money
from payments.operations import (
    Authorize,
    Capture,
    Declined,
    Executed,
    Operation,
    Outcome,
    Refund,
    RequiresAction,
    Void,
    key_of,
)
from paysaga.dev.ports import HOST, free_port
from tests.harness import Servers, new_key

OpenGateway = Callable[..., AbstractAsyncContextManager[PaymentGateway]]
MONEY = Money(amount=4990, currency="EUR")
DEADLINE = 0.7


@asynccontextmanager
async def sandbox_gateway(url: str, deadline: float = DEADLINE) -> AsyncGenerator[PaymentGateway]:
    async with open_sandbox_gateway(url, timeout_seconds=deadline, key_window=timedelta(hours=24)) as gateway:
        yield gateway


ADAPTERS: dict[str, OpenGateway] = {"sandbox": sandbox_gateway}


@pytest.fixture(params=ADAPTERS)
def open_gateway(request: pytest.FixtureRequest) -> OpenGateway:
    return ADAPTERS[request.param]


class Processor:
    """The adapter, with the processor's own word beside it."""

    def __init__(self, gateway: PaymentGateway, http: httpx2.AsyncClient) -> None:
        self.gateway = gateway
        self.http = http
        self.payment = new_key("contract")

    def authorize(self, method: str = "pm_card_visa") -> Authorize:
        return Authorize(payment_id=self.payment, money=MONEY, payment_method=method)

    async def hold(self) -> Capture:
        """The capture of a hold that was placed."""
        held = executed(await self.gateway.submit(self.authorize()))
        return Capture(payment_id=self.payment, money=MONEY, authorization=held.reference)

    async def fault(self, fault: str, **more: Any) -> None:
        reply = await self.http.post("/faults", json={"payment_id": self.payment, "fault": fault} | more)
        assert reply.status_code == 201, reply.text

    async def journal(self) -> list[tuple[str, str, int, str]]:
        data = (await self.http.get("/journal", params={"payment_id": self.payment})).json()["data"]
        return [(entry["operation"], entry["key"], entry["amount"], entry["currency"]) for entry in data]


@pytest_asyncio.fixture
async def processor(servers: Servers, open_gateway: OpenGateway) -> AsyncGenerator[Processor]:
    async with open_gateway(servers.sandbox.url) as gateway, httpx2.AsyncClient(base_url=servers.sandbox.url) as http:
        yield Processor(gateway, http)


def executed(outcome: Outcome | None) -> Executed:
    assert isinstance(outcome, Executed), outcome
    return outcome


def required(outcome: Outcome | None) -> RequiresAction:
    assert isinstance(outcome, RequiresAction), outcome
    return outcome


def entry(operation: Operation) -> tuple[str, str, int, str]:
    return (str(operation.kind), key_of(operation), operation.money.amount, operation.money.currency)


async def test_an_operation_sent_twice_moves_money_once(processor: Processor) -> None:
    capture = await processor.hold()
    first, second = [executed(await processor.gateway.submit(capture)) for _ in range(2)]
    assert first == second
    assert await processor.journal() == [entry(processor.authorize()), entry(capture)]


async def test_an_operation_sent_by_many_at_once_moves_money_once(processor: Processor) -> None:
    capture = await processor.hold()
    outcomes = await asyncio.gather(*(processor.gateway.submit(capture) for _ in range(8)))
    assert len({executed(outcome).reference for outcome in outcomes}) == 1
    assert (await processor.journal()).count(entry(capture)) == 1


async def test_every_kind_of_operation_is_executed_as_it_was_asked(processor: Processor) -> None:
    capture = await processor.hold()
    captured = executed(await processor.gateway.submit(capture))
    refund = Refund(payment_id=processor.payment, money=MONEY, capture=captured.reference)
    refunded = executed(await processor.gateway.submit(refund))
    assert captured.differs_from(capture) is None
    assert refunded.differs_from(refund) is None
    assert await processor.journal() == [entry(processor.authorize()), entry(capture), entry(refund)]


async def test_a_hold_is_released_once(processor: Processor) -> None:
    capture = await processor.hold()
    void = Void(payment_id=processor.payment, money=MONEY, authorization=capture.authorization)
    first, second = [executed(await processor.gateway.submit(void)) for _ in range(2)]
    assert first == second
    assert await processor.journal() == [entry(processor.authorize()), entry(void)]


async def test_find_knows_nothing_before_and_the_outcome_after(processor: Processor) -> None:
    operation = processor.authorize()
    assert await processor.gateway.find(operation) is None
    outcome = await processor.gateway.submit(operation)
    assert await processor.gateway.find(operation) == executed(outcome)


@pytest.mark.parametrize(("end", "word"), [("capture", "captured"), ("void", "ended")])
async def test_find_says_how_a_hold_stands(processor: Processor, end: str, word: str) -> None:
    capture = await processor.hold()
    void = Void(payment_id=processor.payment, money=MONEY, authorization=capture.authorization)
    assert executed(await processor.gateway.find(processor.authorize())).hold == "open"
    await processor.gateway.submit(capture if end == "capture" else void)
    assert executed(await processor.gateway.find(processor.authorize())).hold == word


async def test_hold_that_its_customer_must_confirm_is_no_hold_until_they_have(processor: Processor) -> None:
    operation = processor.authorize("pm_card_authenticationRequired")
    waiting = required(await processor.gateway.submit(operation))
    assert required(await processor.gateway.find(operation)) == waiting
    assert await processor.journal() == []
    assert (await processor.http.post(waiting.url, json={"result": "confirm"})).status_code == 200
    assert executed(await processor.gateway.find(operation)).reference == waiting.reference
    assert await processor.journal() == [entry(operation)]


@pytest.mark.parametrize("confirmed", [False, True])
async def test_voiding_what_waits_for_its_customer_leaves_nothing_held(processor: Processor, confirmed: bool) -> None:
    operation = processor.authorize("pm_card_authenticationRequired")
    waiting = required(await processor.gateway.submit(operation))
    if confirmed:
        await processor.http.post(waiting.url, json={"result": "confirm"})
    void = Void(payment_id=processor.payment, money=MONEY, authorization=waiting.reference)
    executed(await processor.gateway.submit(void))
    assert await processor.journal() == ([entry(operation), entry(void)] if confirmed else [])
    assert (await processor.http.post(waiting.url, json={"result": "confirm"})).is_success is confirmed
    assert len(await processor.journal()) == (2 if confirmed else 0)


async def test_find_moves_nothing(processor: Processor) -> None:
    await processor.gateway.find(processor.authorize())
    assert await processor.journal() == []


@pytest.mark.parametrize("fault", ["timeout_after_execution", "reset_after_execution", "malformed_reply"])
async def test_a_lost_reply_is_unknown_and_found_later(processor: Processor, fault: str) -> None:
    capture = await processor.hold()
    await processor.fault(fault, operation="capture")
    with pytest.raises(OutcomeUnknown):
        await processor.gateway.submit(capture)
    found = executed(await processor.gateway.find(capture))
    assert found == executed(await processor.gateway.submit(capture))
    assert (await processor.journal()).count(entry(capture)) == 1


@pytest.mark.parametrize("fault", ["timeout_before_execution", "unavailable"])
async def test_no_answer_is_unknown_also_when_nothing_happened(processor: Processor, fault: str) -> None:
    await processor.fault(fault)
    with pytest.raises(OutcomeUnknown):
        await processor.gateway.submit(processor.authorize())
    assert await processor.gateway.find(processor.authorize()) is None
    assert await processor.journal() == []


async def test_a_key_that_is_still_executing_is_unknown(processor: Processor) -> None:
    await processor.fault("late_execution", seconds=1.5)
    for _ in range(2):  # the first waits in vain, the second is told that the key is in use
        with pytest.raises(OutcomeUnknown):
            await processor.gateway.submit(processor.authorize())
    async with asyncio.timeout(10):
        while await processor.gateway.find(processor.authorize()) is None:
            await asyncio.sleep(0.05)
    executed(await processor.gateway.submit(processor.authorize()))
    assert await processor.journal() == [entry(processor.authorize())]


@pytest.mark.parametrize("method", ["pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds"])
async def test_a_decline_is_a_value_and_is_found(processor: Processor, method: str) -> None:
    operation = processor.authorize(method)
    outcome = await processor.gateway.submit(operation)
    assert isinstance(outcome, Declined)
    assert outcome.code
    assert outcome.message
    assert await processor.gateway.find(operation) == outcome
    assert await processor.journal() == []


async def test_a_key_sent_with_another_body_is_not_a_decline(processor: Processor) -> None:
    """It names money that did move. A decline would say that it didn't."""
    first = processor.authorize()
    executed(await processor.gateway.submit(first))
    other = first.model_copy(update={"money": Money(amount=1, currency="EUR")})
    with pytest.raises(OutcomeUnknown):
        await processor.gateway.submit(other)
    assert executed(await processor.gateway.find(other)).amount == MONEY.amount


async def test_the_echo_is_what_the_processor_says(processor: Processor) -> None:
    await processor.fault("wrong_amount")
    operation = processor.authorize()
    outcome = executed(await processor.gateway.submit(operation))
    assert outcome.amount == MONEY.amount + 1
    assert outcome.differs_from(operation)


async def test_too_many_requests_is_not_executed_and_says_when_to_come_back(processor: Processor) -> None:
    await processor.fault("rate_limited")
    with pytest.raises(NotExecuted) as error:
        await processor.gateway.submit(processor.authorize())
    assert error.value.retry_after == timedelta(seconds=1)
    assert await processor.journal() == []


async def test_connection_refused_is_not_executed(open_gateway: OpenGateway) -> None:
    operation = Authorize(payment_id=new_key(), money=MONEY, payment_method="pm_card_visa")
    async with open_gateway(f"http://{HOST}:{free_port()}") as gateway:
        with pytest.raises(NotExecuted):
            await gateway.submit(operation)
        with pytest.raises(OutcomeUnknown):
            await gateway.find(operation)
