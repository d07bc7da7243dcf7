import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.endpoints.pacing import MINUTE, Rate
from harness.endpoints.retries import Retries, retry_after

NOW = 1_800_000_000.0
gaps = st.lists(st.floats(0, 30), min_size=1, max_size=60)


def let_through(rate: Rate, asked_at: list[float], units: list[float]) -> list[float]:
    """When requests that ask at these times may go."""
    return [at + rate.wait(unit, at) for at, unit in zip(asked_at, units, strict=True)]


def running_sums(values: list[float]) -> list[float]:
    return [math.fsum(values[: at + 1]) for at in range(len(values))]


@given(gaps, st.integers(1, 50))
def test_no_minute_sees_more_requests_than_the_rate(gaps, per_minute):
    starts = let_through(Rate(per_minute), running_sums(gaps), [1.0] * len(gaps))
    for start in starts:
        assert sum(start <= other < start + MINUTE - 1e-6 for other in starts) <= per_minute


@given(gaps, st.data())
def test_no_minute_sees_more_tokens_than_the_rate_and_one_request(gaps, data):
    units = data.draw(st.lists(st.floats(1, 5000), min_size=len(gaps), max_size=len(gaps)))
    starts = let_through(Rate(10_000), running_sums(gaps), units)
    for start in starts:
        within = [unit for other, unit in zip(starts, units, strict=True) if start <= other < start + MINUTE - 1e-6]
        assert math.fsum(within[:-1]) <= 10_000 * (1 + 1e-9)


@given(gaps)
def test_requests_slower_than_the_rate_do_not_wait(gaps):
    rate = Rate(2)
    assert all(rate.wait(1, at) == 0 for at in running_sums([gap + 31 for gap in gaps]))


@given(gaps)
def test_without_a_rate_nothing_waits(gaps):
    rate = Rate(None)
    assert all(rate.wait(1e9, at) == 0 for at in running_sums(gaps))


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 300))
def test_the_wait_grows_up_to_a_bound_and_is_never_shorter_than_asked(failed, chance, asked):
    retries = Retries()
    delay = retries.delay(failed, asked, chance)
    if asked is None:
        assert 0 < delay <= retries.longest_delay
        assert delay <= retries.delay(failed + 2, asked, chance)
    else:
        assert asked <= delay <= asked + retries.first_delay


def test_those_that_failed_together_do_not_come_back_together():
    retries = Retries()
    for asked in (None, 5.0):
        assert len({retries.delay(3, asked, chance / 10) for chance in range(10)}) == 10


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True)}, 90.0),
        ({"retry-after": format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True)}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, math.inf),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Fri, 99 Foo 2026 25:61:61 GMT"}, None),
    ],
)
def test_what_an_endpoint_asks_to_wait_is_read(headers, seconds):
    assert retry_after(headers, NOW) == seconds


def test_an_endpoint_that_was_useful_is_given_up_after_rounds_or_after_patience() -> None:
    retries = Retries(requests_to_convince=5, rounds_to_convince=2, patience=900.0)
    assert not retries.is_convinced(4, 1, 1e6, was_useful=False)
    assert retries.is_convinced(5, 16, 10.0, was_useful=False)
    assert not retries.is_convinced(36, 16, 899.0, was_useful=True)
    assert retries.is_convinced(37, 16, 10.0, was_useful=True)
    assert retries.is_convinced(5, 16, 901.0, was_useful=True)
