"""A campaign: payments under faults until every fault has happened, then quiet, then the audit."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig

from prove.auditing import audit, books_hash
from prove.catalogue import Fault, Lane
from prove.faults import LEFT_OUT, bad_requests, database
from prove.field import Field
from prove.load import Load
from prove.options import Options
from prove.plan import Step, plan
from prove.result import Audit, Result, Sample
from prove.settling import healed, look, rest, settle
from prove.shop import open_shop
from prove.stack import Stack, open_stack
from prove.tally import Tally
from prove.told import Told
from prove.versions import versions
from prove.watching import decided_each_second, recoveries, sample_memory

# One fault of a lane; a server that is down for long has its own end.
FAULT_SECONDS: Final = 60.0
# Beside each other. What takes something away from everybody comes alone, so that most of what it meets is well.
AT_ONCE: Final = {Lane.BREAKS: 1, Lane.MISBEHAVES: 3}
# What has not happened in its time gets so many more turns.
EXTRA_TURNS: Final = 3
EXTRA_TURNS_IN_A_HURRY: Final = 1
# All clients have been answered so long after the last one has come, or something is wrong. Waits between tries grow to
# five minutes.
ANSWERED_SECONDS: Final = 420.0
ANSWERED_SECONDS_IN_A_HURRY: Final = 40.0


class Campaign:
    """One run. What it finds out is gathered here."""

    def __init__(self, options: Options, faults: list[Fault], say: Callable[[str], None]) -> None:
        self.options = options
        self.faults = faults
        self.tally = Tally(faults)
        self.memory: list[Sample] = []
        self.problems: list[str] = []
        self.healed = 0
        self._say = say
        self._extra_turns = EXTRA_TURNS_IN_A_HURRY if options.hurry else EXTRA_TURNS
        self._answered_seconds = ANSWERED_SECONDS_IN_A_HURRY if options.hurry else ANSWERED_SECONDS
        self._steps = {lane: self._plan(lane) for lane in Lane}

    def _plan(self, lane: Lane) -> Iterator[Step]:
        return plan(self.options.seed, [fault for fault in self.faults if fault.lane is lane])

    async def run(self, data: Path) -> Result:
        """From an empty folder to the result."""
        began = datetime.now(UTC)
        told = Told(data / "told.jsonl")
        async with (
            open_stack(data, self.options.workers, self.options.apis) as stack,
            _open_field(stack, told, self.options.seed) as field,
        ):
            self._say(f"stack is up: {', '.join(stack.nodes)}; {len(self.faults)} faults")
            self.tally.began = time.time()
            async with _in_background(stack.watch()):
                await self._under_faults(field)
                self._say("faults are over; waiting until everything has come to an end")
                await self._until_quiet(field)
                self._say("auditing")
                audited = await audit(stack, told.path, data / "audit.json")
                code, said = await stack.run("verify")
                if code:
                    self.problems.append(f"paysaga verify: {said[-500:]}")
                found = await versions(field)
        told.close()
        return self._result(began, stack, told, audited, found)

    async def _until_quiet(self, field: Field) -> None:
        """From the last fault on; then everybody looks at how it stands."""
        hurry = self.options.hurry
        await field.stack.all_is_up()
        self.problems += await settle(field, self.tally.began, hurry=hurry)
        self.healed = await healed(field)
        await self._refuse_quietly(field)
        self.problems += await rest(field, hurry=hurry)
        self.problems += await look(field, hurry=hurry)
        field.shop.told.note("quiet")
        field.shop.told.flush()

    async def _under_faults(self, field: Field) -> None:
        load = Load(field, self.options.payments, self.options.seconds)
        async with _in_background(sample_memory(field.stack, self.tally, self.memory)):
            customers = asyncio.create_task(load.run())
            progress = asyncio.create_task(self._tell_progress(load))
            await asyncio.gather(*(self._lane(lane, field) for lane in Lane for _ in range(AT_ONCE[lane])))
            await asyncio.gather(*(self._what_is_left(lane, field) for lane in Lane))
            load.enough.set()
            try:
                await load.until_all_have_come(self._answered_seconds)
                await asyncio.wait_for(asyncio.gather(customers, *field.asking), self._answered_seconds)
            except TimeoutError:
                waiting = len(field.unanswered) + len(field.shop.waiting)
                self.problems.append(f"{waiting} clients without an answer {self._answered_seconds:.0f} s later")
            progress.cancel()

    async def _lane(self, lane: Lane, field: Field) -> None:
        """Fault after fault until the time is over."""
        for step in self._steps[lane]:
            if self.tally.now() > self.options.seconds:
                break
            await self._inject(step, field)

    async def _what_is_left(self, lane: Lane, field: Field) -> None:
        """What has not happened yet gets some more turns."""
        for turn in range(self._extra_turns):
            for fault in self.tally.never_fired():
                if fault.lane is lane:
                    await self._inject(Step(fault, 0.5, f"{self.options.seed}-extra-{turn}-{fault.name}"), field)

    async def _inject(self, step: Step, field: Field) -> None:
        await asyncio.sleep(step.pause)
        at, note, failure = self.tally.now(), None, ""
        try:
            async with asyncio.timeout(FAULT_SECONDS):
                note = await step.fault.inject(field, step.random())
        except Exception as error:  # a server that it needed was down; it has another turn
            failure = f"{type(error).__name__}: {error}"
        self.tally.add(step.fault, at, note, failure)

    async def _tell_progress(self, load: Load) -> None:
        while True:
            await asyncio.sleep(10)
            fired = sum(injection.fired for injection in self.tally.injections)
            left = len(self.tally.never_fired())
            self._say(f"{self.tally.now():4.0f} s: {load.begun} payments, {fired} faults, {left} kinds to come")

    async def _refuse_quietly(self, field: Field) -> None:
        """Bad requests, with nothing else going on: they leave the books as they are."""
        field.shop.told.note("books", hash=await books_hash(field.stack))
        await bad_requests.refuse_all(field)
        field.shop.told.note("books", hash=await books_hash(field.stack))

    def _result(
        self, began: datetime, stack: Stack, told: Told, audited: Audit, versions_found: dict[str, str]
    ) -> Result:
        injections = self.tally.injections
        never = [fault.name for fault in self.tally.never_fired()]
        problems = [*self.problems, *stack.unexpected]
        problems += [f"armed and never happened: {name}" for name in never]
        if not self.options.faults:
            problems += [f"looked at nothing: {each.name}" for each in audited.checks if not each.looked_at]
        if audited.violations:
            problems.append(f"{len(audited.violations)} violations")
        cuts = sum(each.kind == "cut" and each.fired for each in injections)
        counts = {
            "payments": len(told.decided),
            "requests": sum(told.answers.values()),
            "kills": len(stack.deaths),
            "cuts": cuts,
            "faults": sum(each.fired for each in injections),
            "healed by reconciliation": self.healed,
        }
        return Result(
            seed=self.options.seed,
            started_at=began.isoformat(timespec="seconds"),
            seconds=round(self.tally.now(), 1),
            options=self.options.as_json(),
            versions=versions_found,
            processes={"worker": self.options.workers, "api": self.options.apis},
            counts=counts,
            answers=dict(sorted(told.answers.items())),
            faults=self.tally.counts(),
            left_out=LEFT_OUT,
            injections=tuple(injections),
            decided_each_second=decided_each_second(told.decided, self.tally.began),
            recoveries=tuple(recoveries(stack.deaths, told.decided, self.tally.began)),
            memory=tuple(self.memory),
            audit=audited,
            problems=tuple(problems),
        )


@asynccontextmanager
async def _open_field(stack: Stack, told: Told, seed: int) -> AsyncGenerator[Field]:
    client = await Client.connect(stack.temporal.address, runtime=_quiet())
    async with open_shop(stack, told, seed) as shop, aiohttp.ClientSession() as http:
        field = Field(stack, shop, seed, client, http)
        await database.prepare(field)
        yield field


def _quiet() -> Runtime:
    """That Temporal can't be reached is what we are here for: its client's warnings of it would hide our own lines."""
    return Runtime(telemetry=TelemetryConfig(logging=None))


@asynccontextmanager
async def _in_background(*work: Coroutine[None, None, None]) -> AsyncGenerator[None]:
    """For as long as the block takes. Raises what one of them raises."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
        for task in tasks:
            if task.done():
                await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
