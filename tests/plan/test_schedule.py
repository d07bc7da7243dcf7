"""How long steps take side by side: never less than the longest chain, never more than one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.plan.schedule import Task, critical_path, makespan


@dataclass(frozen=True)
class Step:
    """What a schedule knows of an artifact."""

    key: str
    needs: tuple["Step", ...] = field(default=(), repr=False)

    def parents(self) -> Iterator["Step"]:
        yield from self.needs


def task(step: Step, seconds: float, devices: int = 1) -> Task:
    return Task(step, seconds, devices)  # type: ignore[arg-type]


@st.composite
def graphs(draw: st.DrawFn) -> list[Task]:
    """Up to eight tasks, each after some of those before it."""
    steps: list[Step] = []
    tasks = []
    for number in range(draw(st.integers(1, 8))):
        needs = draw(st.lists(st.sampled_from(steps), unique=True, max_size=3)) if steps else []
        steps.append(Step(str(number), tuple(needs)))
        tasks.append(task(steps[-1], draw(st.integers(0, 9)), draw(st.integers(0, 4))))
    return tasks


@given(graphs(), st.integers(1, 6))
def test_the_clock_lies_between_the_longest_chain_and_one_after_the_other(tasks: list[Task], devices: int) -> None:
    assert critical_path(tasks) <= makespan(tasks, devices) <= sum(each.seconds for each in tasks)


@given(graphs(), st.integers(1, 6))
def test_no_less_than_the_work_that_the_devices_can_do_at_once(tasks: list[Task], devices: int) -> None:
    work = sum(each.seconds * min(each.devices, devices) for each in tasks)
    assert makespan(tasks, devices) >= work / devices - 1e-9


@given(graphs())
def test_with_devices_for_all_it_is_the_longest_chain(tasks: list[Task]) -> None:
    assert makespan(tasks, 100) == pytest.approx(critical_path(tasks))


def test_the_order_of_equally_long_steps_changes_nothing() -> None:
    tasks = [task(Step(str(number)), 10, needs) for number, needs in enumerate((2, 3, 1, 2))]
    assert len({makespan(order, 4) for order in permutations(tasks)}) == 1


def test_a_step_of_eight_devices_waits_until_all_are_free() -> None:
    first, second = Step("a"), Step("b")
    training = Step("c", (first,))
    tasks = [task(first, 10), task(second, 30), task(training, 5, devices=8)]
    assert makespan(tasks, 8) == 35
    assert makespan(tasks, 9) == 30


def test_steps_that_need_no_device_run_beside_the_others() -> None:
    tasks = [task(Step("asks"), 30, devices=0), task(Step("trains"), 20), task(Step("draws"), 20)]
    assert makespan(tasks, 1) == 40
