"""Reconciliation: compare the processor's record with the books, let heal what can, make cases of the rest."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeVar

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from activities.options import RECONCILING
    from activities.reconciling import ReconciliationActivities
    from payments.settlement import MEANING, Begin, End, Period, Reconcile, Report
    from workflows.messages import decode

Argument = TypeVar("Argument")
Result = TypeVar("Result")

# What happened just now is on its way into the books.
IN_FLIGHT: Final = timedelta(minutes=2)
# A payment that was told to look needs some seconds; one whose processor is in trouble heals before a later run.
PAUSES: Final = tuple(timedelta(seconds=seconds) for seconds in (2, 4, 8, 15))


@workflow.defn
class ReconciliationWorkflow:
    """One run. It changes nothing itself: payments are told to look, and change themselves."""

    @workflow.run
    async def run(self, raw_reconcile: RawValue) -> Report:
        """Returns the report. Raises `ApplicationError` for an input that is none."""
        asked = decode(raw_reconcile, Reconcile)
        period = asked.period or await self._next_period()
        begin = Begin(id=workflow.info().workflow_id, period=period, source=asked.source)
        _tell(f"comparing {_words(period)}")
        report = await _step(ReconciliationActivities.take_record, begin, "take-record", "read the processor's record")
        if report is None:
            healed = await self._heal(begin)
            end = End(begin=begin, healed=healed)
            report = await _step(ReconciliationActivities.finish, end, "finish", "make cases of what is left")
        _tell(_ending(report))
        return report

    async def _next_period(self) -> Period:
        end = workflow.now() - IN_FLIGHT
        return await _step(ReconciliationActivities.next_period, end, "next-period", "find where the last run ended")

    async def _heal(self, begin: Begin) -> int:
        """How many payments have mended a difference because they were told to look."""
        differ = left = await self._look(begin)
        if not differ:
            return 0
        _tell(f"{differ} payments differ: they are told to look")
        told = await _step(ReconciliationActivities.heal, begin, "heal", f"tell {differ} payments to look")
        for pause in PAUSES:
            if left <= differ - told:
                break
            await workflow.sleep(pause, summary="payments look")
            left = await self._look(begin)
        return max(0, differ - left)

    async def _look(self, begin: Begin) -> int:
        return await _step(ReconciliationActivities.look_closer, begin, "look-closer", "ask for what one side lacks")


async def _step(
    activity: Callable[[ReconciliationActivities, Argument], Awaitable[Result]],
    argument: Argument,
    activity_id: str,
    summary: str,
) -> Result:
    # An activity ID may be used again once its activity has ended.
    return await workflow.execute_activity_method(
        activity, argument, activity_id=activity_id, summary=summary, **RECONCILING
    )


def _tell(words: str) -> None:
    workflow.set_current_details(words)


def _words(period: Period) -> str:
    return f"{period.start:%Y-%m-%d %H:%M:%S} to {period.end:%Y-%m-%d %H:%M:%S} UTC"


def _ending(report: Report) -> str:
    lines = [f"{_words(report.period)}: {report.matched} movements agree, {report.healed} differences have healed"]
    lines += [f"- {count} {MEANING[difference]}" for difference, count in report.found.items()]
    if not report.found:
        lines.append("Nothing is unexplained.")
    return "\n".join(lines)
