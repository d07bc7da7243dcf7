from collections.abc import Sequence

import pytest

from harness.engine import schedule as schedule_module
from harness.engine.artifacts import Artifact, ancestry
from harness.engine.schedule import Durations, Schedule
from tests.engine.sample_steps import numbers, squares, total


def urgent(ready: Sequence[Artifact]) -> Artifact:
    return ready[0]


STEPS = {"numbers": numbers(count=99), "squares": squares(items=numbers(count=99)), "total": total(parts=[])}


def durations(**seconds: float) -> Durations:
    known = Durations()
    for step, value in seconds.items():
        known.learn(STEPS[step], value)
    return known


def test_forecasts_fall_back_to_the_mean_of_all_and_then_to_one():
    one, other = numbers(count=1), numbers(count=2)
    assert durations().expect(one) == 1
    known = durations(numbers=2, squares=6)
    known.learn(other, 4)
    assert known.expect(one) == 3
    assert known.expect(STEPS["total"]) == 4


def test_steps_wait_for_their_inputs():
    items = numbers(count=1)
    middle = squares(items=items)
    last = total(parts=[items, middle])
    schedule = Schedule(ancestry([last]), durations())
    assert schedule.take(urgent) == items
    assert schedule.take(urgent) is None
    schedule.finish(items, 1)
    assert schedule.take(urgent) == middle
    assert schedule.take(urgent) is None
    schedule.finish(middle, 1)
    assert schedule.take(urgent) == last
    assert not schedule.finished
    schedule.finish(last, 1)
    assert schedule.finished
    assert schedule.take(urgent) is None


def test_inputs_that_are_found_are_not_waited_for():
    artifact = squares(items=numbers(count=1))
    assert Schedule([artifact], durations()).take(urgent) == artifact


def test_the_longest_chain_goes_first():
    short = numbers(count=1)
    long = total(parts=[squares(items=numbers(count=2))])
    assert Schedule(ancestry([short, long]), durations()).take(urgent) == numbers(count=2)
    slow = total(parts=[numbers(count=3)])
    known = durations(numbers=1, squares=1, total=1)
    assert Schedule(ancestry([slow, long]), known).take(urgent) == numbers(count=2)
    assert Schedule(ancestry([squares(items=numbers(count=4)), slow]), durations(squares=1, total=9)).take(
        urgent
    ) == numbers(count=3)


def test_time_left_is_bounded_by_the_work_and_by_the_longest_chain(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(schedule_module.time, "monotonic", lambda: now)
    chain = squares(items=numbers(count=1))
    single = [numbers(count=count) for count in range(2, 6)]
    schedule = Schedule(ancestry([chain, *single]), durations(numbers=2, squares=10))
    assert schedule.seconds_left(jobs=1) == 20
    assert schedule.seconds_left(jobs=2) == 12
    first = schedule.take(urgent)
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
        artifact = schedule.take(urgent)
        assert artifact is not None
        assert artifact.step == "numbers"
        schedule.finish(artifact, 5)
    assert schedule.seconds_left(jobs=1) is None


def test_a_running_step_tells_what_others_of_its_kind_will_take(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(schedule_module.time, "monotonic", lambda: now)
    schedule = Schedule([numbers(count=1), numbers(count=2)], durations())
    first = schedule.take(urgent)
    assert first is not None
    now = 4.0
    schedule.hear(first, seconds_left=16)
    assert schedule.seconds_left(jobs=1) == 16 + 20
    schedule.finish(first, 30)
    assert schedule.seconds_left(jobs=1) == 30


def test_what_was_reckoned_is_the_forecast_from_the_start():
    steps = [numbers(count=count) for count in range(1, 5)]
    reckoned = {artifact.key: 10.0 * count for count, artifact in enumerate(steps, start=1)}
    schedule = Schedule(steps, Durations(reckoned))
    assert schedule.seconds_left(jobs=1) == 100
    assert schedule.seconds_left(jobs=2) == 50
    assert schedule.take(urgent) == steps[-1]  # the longest first


def test_the_pace_so_far_corrects_what_was_reckoned():
    """A machine half as fast, on which the first steps end."""
    steps = [numbers(count=count) for count in range(20)]
    schedule = Schedule(steps, Durations({artifact.key: 10.0 for artifact in steps}))
    for _ in range(10):
        artifact = schedule.take(urgent)
        assert artifact is not None
        schedule.finish(artifact, 20)
    assert schedule.seconds_left(jobs=1) == pytest.approx(200, rel=0.03)


def test_a_short_step_that_took_long_does_not_move_the_forecast_of_long_ones():
    """Such as the first, for which libraries are loaded: seconds in place of a tenth."""
    short, long = numbers(count=1), [squares(items=numbers(count=count)) for count in range(2, 12)]
    schedule = Schedule([short, *long], Durations({short.key: 0.1, **{each.key: 60.0 for each in long}}))
    before = schedule.seconds_left(jobs=1)
    while (started := schedule.take(urgent)) != short:
        assert started is not None
    schedule.finish(short, 3.0)
    after = schedule.seconds_left(jobs=1)
    assert before is not None and after == pytest.approx(before, rel=0.3)
    assert after == pytest.approx(600, rel=0.3)


def test_a_step_that_runs_corrects_what_was_reckoned_for_others(monkeypatch: pytest.MonkeyPatch):
    """On a machine a quarter as fast the first long step says so long before it ends."""
    now = 0.0
    monkeypatch.setattr(schedule_module.time, "monotonic", lambda: now)
    steps = [*(numbers(count=count) for count in range(5)), *(squares(items=numbers(count=9 + n)) for n in range(5))]
    schedule = Schedule(steps, Durations({artifact.key: 10.0 for artifact in steps}))
    first = schedule.take(urgent)
    assert first is not None and schedule.seconds_left(jobs=1) == 100
    now = 10.0
    schedule.hear(first, seconds_left=30)
    assert 240 < (schedule.seconds_left(jobs=1) or 0) < 400
    now = 20.0
    schedule.hear(first, seconds_left=20)
    assert 280 < (schedule.seconds_left(jobs=1) or 0) < 400
    now = 40.0
    schedule.finish(first, 40)
    assert schedule.seconds_left(jobs=1) == pytest.approx(360, rel=0.15)
