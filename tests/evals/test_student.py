"""Student's t against SciPy's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evals.stats.student import detectable, quantile, two_sided_tail

DEGREES = st.floats(0.5, 2000)


@given(st.floats(-1e4, 1e4), DEGREES)
def test_tails_are_scipys(t: float, degrees_of_freedom: float) -> None:
    expected = 2 * stats.t.sf(abs(t), degrees_of_freedom)
    assert two_sided_tail(t, degrees_of_freedom) == pytest.approx(expected, rel=1e-9, abs=1e-13)


@given(st.floats(0.001, 0.999), DEGREES)
def test_quantiles_are_scipys(probability: float, degrees_of_freedom: float) -> None:
    expected = stats.t.ppf(probability, degrees_of_freedom)
    assert quantile(probability, degrees_of_freedom) == pytest.approx(expected, rel=1e-8, abs=1e-7)


@given(st.floats(0.0005, 0.05), st.floats(2, 500))
def test_a_detectable_difference_is_decided_in_four_of_five_repeats(level: float, degrees_of_freedom: float) -> None:
    limit = stats.t.ppf(1 - level / 2, degrees_of_freedom)
    power = stats.nct.sf(limit, degrees_of_freedom, detectable(level, 0.8, degrees_of_freedom))
    assert power == pytest.approx(0.8, abs=0.02)


def test_ends() -> None:
    assert two_sided_tail(0, 4) == 1
    assert two_sided_tail(float("inf"), 4) == 0
    for outside in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            quantile(outside, 4)
