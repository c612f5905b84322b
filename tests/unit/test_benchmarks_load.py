"""The load generator, against a service that answers as it is told."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.jobs import JOB, OUTCOME, Job, some_payments
from benchmarks.load import Generator


class Service:
    """Answers every payment with success, unless told otherwise."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.counts_answers = False
        self.status = 201
        self.busy = 0
        self.stops_after = 0
        self.stop = asyncio.Event()

    async def pay(self, request: web.Request) -> web.Response:
        key, body = request.headers["Idempotency-Key"], await request.json()
        if self.busy:
            self.busy -= 1
            return web.json_response({}, status=503, headers={"Retry-After": "0"})
        self.seen[key] += 1
        answer = {"id": key, "status": "succeeded", "amount_captured": body["amount"]} | body
        if self.status == 202:
            answer |= {"status": "processing", "amount_captured": 0}
        if self.seen.total() == self.stops_after:
            self.stop.set()
        if self.counts_answers:
            answer["answers"] = self.seen[key]
        return web.json_response(answer, status=self.status)


@pytest_asyncio.fixture
async def service() -> AsyncGenerator[tuple[Service, Job]]:
    told = Service()
    app = web.Application()
    app.router.add_post("/v1/payments", told.pay)
    async with TestServer(app) as server:
        url = str(server.make_url("/v1/payments"))
        yield told, Job(url, {}, clients=3, payments=some_payments("key", 10))


async def test_every_payment_is_sent_once(service: tuple[Service, Job]) -> None:
    told, job = service
    outcome = await Generator().run(job)
    assert told.seen == {payment.payment_id: 1 for payment in job.payments}
    assert len(outcome.latencies_ms) == 10
    assert max(outcome.latencies_ms) / 1000 <= outcome.seconds
    assert outcome.mismatches == []


async def test_a_repetition_with_the_same_answer(service: tuple[Service, Job]) -> None:
    _, job = service
    generator = Generator()
    await generator.run(job)
    assert (await generator.run(replace(job, repeated=True))).mismatches == []


async def test_a_repetition_with_another_answer_is_told(service: tuple[Service, Job]) -> None:
    told, job = service
    told.counts_answers = True
    generator = Generator()
    await generator.run(job)
    mismatches = (await generator.run(replace(job, repeated=True))).mismatches
    assert {mismatch.payment_id for mismatch in mismatches} == {payment.payment_id for payment in job.payments}
    assert {mismatch.what for mismatch in mismatches} == {"another answer than the first time"}


async def test_an_answer_that_is_no_success_is_told(service: tuple[Service, Job]) -> None:
    told, job = service
    told.status = 500
    assert len((await Generator().run(job)).mismatches) == 10


async def test_who_is_told_to_come_again_does_so(service: tuple[Service, Job]) -> None:
    told, job = service
    told.busy = 4
    outcome = await Generator().run(job)
    assert (outcome.sent_again, outcome.mismatches, len(outcome.latencies_ms)) == (4, [], 10)


async def test_who_asked_for_no_outcome_does_not_ask_again(service: tuple[Service, Job]) -> None:
    told, job = service
    told.status, told.busy = 202, 2
    outcome = await Generator().run(replace(job, asynchronous=True))
    assert (outcome.sent_again, outcome.mismatches, len(outcome.latencies_ms)) == (2, [], 10)
    assert set(told.seen.values()) == {1}


async def test_clients_that_are_told_to_stop_have_sent_the_first_payments(service: tuple[Service, Job]) -> None:
    told, job = service
    told.stops_after = 5
    outcome = await Generator().run(job, told.stop)
    sent = len(outcome.latencies_ms)
    assert 5 <= sent <= 7
    assert set(told.seen) == {payment.payment_id for payment in job.payments[:sent]}


async def test_each_client_sends_one_however_early_it_is_told_to_stop(service: tuple[Service, Job]) -> None:
    told, job = service
    told.stop.set()
    assert len((await Generator().run(job, told.stop)).latencies_ms) == job.clients


async def test_a_service_that_is_not_there_is_told(service: tuple[Service, Job]) -> None:
    _, job = service
    mismatches = (await Generator().run(replace(job, url="http://127.0.0.1:1/v1/payments"))).mismatches
    assert len(mismatches) == 10
    assert "no answer: ClientConnectorError: " in mismatches[0].what


def test_jobs_and_outcomes_survive_the_wire() -> None:
    job = Job("http://127.0.0.1:1", {"Prefer": "wait=60"}, 2, some_payments("key", 3), repeated=True)
    assert JOB.validate_json(JOB.dump_json(job)) == job
    assert b"\n" not in JOB.dump_json(job)
    outcome = OUTCOME.validate_json('{"seconds": 1, "latencies_ms": [2.5]}')
    assert OUTCOME.validate_json(OUTCOME.dump_json(outcome)) == outcome
