import pytest

from harness.core import schedule as schedule_module
from harness.core.artifacts import ancestry
from harness.core.schedule import Durations, Schedule
from tests.core.sample_steps import numbers, squares, total


def durations(**seconds: float) -> Durations:
    known = Durations()
    for step, value in seconds.items():
        known.learn(step, value)
    return known


def test_forecasts_fall_back_to_the_mean_of_all_and_then_to_one():
    assert durations().expect("numbers") == 1
    known = durations(numbers=2, squares=6)
    known.learn("numbers", 4)
    assert known.expect("numbers") == 3
    assert known.expect("total") == 4


def test_steps_wait_for_their_inputs():
    items = numbers(count=1)
    middle = squares(items=items)
    last = total(parts=[items, middle])
    schedule = Schedule(ancestry([last]), durations())
    assert schedule.take() == items
    assert schedule.take() is None
    schedule.finish(items, 1)
    assert schedule.take() == middle
    assert schedule.take() is None
    schedule.finish(middle, 1)
    assert schedule.take() == last
    assert not schedule.finished
    schedule.finish(last, 1)
    assert schedule.finished
    assert schedule.take() is None


def test_inputs_that_are_found_are_not_waited_for():
    artifact = squares(items=numbers(count=1))
    assert Schedule([artifact], durations()).take() == artifact


def test_the_longest_chain_goes_first():
    short = numbers(count=1)
    long = total(parts=[squares(items=numbers(count=2))])
    assert Schedule(ancestry([short, long]), durations()).take() == numbers(count=2)
    slow = total(parts=[numbers(count=3)])
    known = durations(numbers=1, squares=1, total=1)
    assert Schedule(ancestry([slow, long]), known).take() == numbers(count=2)
    assert Schedule(ancestry([squares(items=numbers(count=4)), slow]), durations(squares=1, total=9)).take() == numbers(
        count=3
    )


def test_time_left_is_bounded_by_the_work_and_by_the_longest_chain(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(schedule_module.time, "monotonic", lambda: now)
    chain = squares(items=numbers(count=1))
    single = [numbers(count=count) for count in range(2, 6)]
    schedule = Schedule(ancestry([chain, *single]), durations(numbers=2, squares=10))
    assert schedule.seconds_left(jobs=1) == 20
    assert schedule.seconds_left(jobs=2) == 12
    first = schedule.take()
    assert first == numbers(count=1)
    now = 1.5
    assert schedule.seconds_left(jobs=1) == pytest.approx(18.5)
    now = 100
    assert schedule.seconds_left(jobs=2) == 10
    schedule.finish(first, 4)
    assert schedule.seconds_left(jobs=1) == 10 + 4 * 3  # numbers now take 3 seconds on average


def test_time_left_is_unknown_while_most_steps_are_of_unknown_kinds():
    schedule = Schedule(ancestry([squares(items=numbers(count=n)) for n in range(3)]), durations())
    for _ in range(3):
        assert schedule.seconds_left(jobs=1) is None
        artifact = schedule.take()
        assert artifact is not None
        assert artifact.step == "numbers"
        schedule.finish(artifact, 5)
    assert schedule.seconds_left(jobs=1) is None


def test_a_running_step_tells_what_others_of_its_kind_will_take(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(schedule_module.time, "monotonic", lambda: now)
    schedule = Schedule([numbers(count=1), numbers(count=2)], durations())
    first = schedule.take()
    assert first is not None
    now = 4.0
    schedule.hear(first, seconds_left=16)
    assert schedule.seconds_left(jobs=1) == 16 + 20
    schedule.finish(first, 30)
    assert schedule.seconds_left(jobs=1) == 30
