"""The campaign's plan, its catalogue of faults, and what it counts."""

from itertools import islice
from random import Random

import pytest

from payments.identifiers import OperationKind
from payments.identifiers import operation_key as real_operation_key
from prove.catalogue import Fault, Lane, Unknown, chosen
from prove.faults import FAULTS, LEFT_OUT
from prove.field import Field
from prove.plan import plan
from prove.points import operation_key
from prove.tally import Tally
from prove.watching import decided_each_second, recoveries

# Issue and design ask for these of the matrix.
WANTED = {f"F{number:02}" for number in (*range(1, 39), *range(42, 55))}


async def _nothing(_field: Field, _random: Random) -> str | None:
    return None


def a_fault(name: str, *covers: str) -> Fault:
    return Fault(name, covers, "nothing happens", "other", Lane.BREAKS, _nothing)


def of_lane(lane: Lane) -> list[Fault]:
    return [fault for fault in FAULTS if fault.lane is lane]


@pytest.mark.parametrize("lane", Lane)
def test_same_seed_gives_the_same_plan_and_another_seed_another_one(lane: Lane) -> None:
    first, again, other = (list(islice(plan(seed, of_lane(lane)), 300)) for seed in (7, 7, 8))
    assert first == again
    assert [step.random().random() for step in first] == [step.random().random() for step in again]
    assert first != other


@pytest.mark.parametrize("lane", Lane)
def test_each_round_of_a_plan_has_every_fault_once_and_rounds_differ(lane: Lane) -> None:
    faults = of_lane(lane)
    steps = [step.fault.name for step in islice(plan(1, faults), 2 * len(faults))]
    rounds = steps[: len(faults)], steps[len(faults) :]
    assert all(sorted(names) == sorted(fault.name for fault in faults) for names in rounds)
    assert rounds[0] != rounds[1]


def test_no_two_steps_draw_the_same_choices() -> None:
    seeds = [step.seed for step in islice(plan(1, of_lane(Lane.MISBEHAVES)), 500)]
    assert len(set(seeds)) == len(seeds)


def test_plan_without_faults_ends() -> None:
    assert list(plan(1, [])) == []


def test_every_fault_of_the_matrix_is_in_the_campaign_or_left_out_with_a_reason() -> None:
    covered = {id_ for fault in FAULTS for id_ in fault.covers}
    left_out = {each.id for each in LEFT_OUT}
    assert WANTED - covered - left_out == set()
    assert covered & left_out == set()
    assert all(len(each.why) > 20 for each in LEFT_OUT)


def test_every_fault_has_a_name_of_its_own_and_says_what_it_is() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    assert all(fault.what and fault.name.replace("-", "").isalnum() and fault.name.islower() for fault in FAULTS)


def test_faults_are_chosen_by_name_or_by_id_and_an_unknown_one_is_named() -> None:
    faults = [a_fault("one", "F01"), a_fault("two", "F01", "F02"), a_fault("three", "F03")]
    assert [fault.name for fault in chosen(faults, ("F01",))] == ["one", "two"]
    assert [fault.name for fault in chosen(faults, ("three", "F02"))] == ["two", "three"]
    assert chosen(faults, ()) == faults
    with pytest.raises(Unknown, match=r"no such fault: F99, four$"):
        chosen(faults, ("one", "F99", "four"))


def test_fault_that_was_armed_and_did_not_happen_is_still_to_be_shown() -> None:
    one, two = a_fault("one"), a_fault("two")
    tally = Tally([one, two])
    tally.add(one, 0.0, None, "RPCError: down")
    tally.add(two, 0.0, "killed worker-1")
    assert tally.never_fired() == [one]
    assert [(count.name, count.armed, count.fired) for count in tally.counts()] == [("one", 1, 0), ("two", 1, 1)]
    assert [injection.note for injection in tally.injections] == ["RPCError: down", "killed worker-1"]


def test_recovery_lasts_until_a_payment_is_decided_that_was_asked_for_after_the_death() -> None:
    # The second was asked for before the death and the third is overtaken by the fourth.
    decided = [(100.0, 100.1), (109.9, 110.4), (110.5, 119.0), (111.0, 112.0)]
    [recovery] = recoveries([(110.0, "worker-2")], decided, began=100.0)
    assert (recovery.target, recovery.at, recovery.seconds) == ("worker", 10.0, 2.0)
    assert recoveries([(111.5, "postgres")], decided, began=100.0) == []


def test_seconds_without_a_decided_payment_are_zeros() -> None:
    assert decided_each_second([(0.0, 100.2), (0.0, 100.9), (0.0, 103.0)], began=100.0) == (2, 0, 0, 1)
    assert decided_each_second([], began=100.0) == ()


@pytest.mark.parametrize("operation", [OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.REFUND])
def test_keys_that_the_campaign_waits_for_are_those_that_the_service_sends(operation: OperationKind) -> None:
    assert operation_key(operation, "payment") == real_operation_key(operation, "payment")
    assert operation_key(operation, "payment", "ré") == real_operation_key(operation, "payment", refund_id="ré")
