"""What variances have in common: the prior against simulated families."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.stats.moderation import UNKNOWN, fit_prior, inverse_trigamma, trigamma

POSITIVE = st.floats(1e-3, 1e6)


@given(POSITIVE)
def test_the_inverse_of_trigamma_undoes_it(x: float) -> None:
    assert inverse_trigamma(trigamma(x)) == pytest.approx(x, rel=1e-8)


@pytest.mark.parametrize("d0", [3.0, 8.0])
def test_a_large_family_shows_what_it_was_drawn_from(d0: float) -> None:
    rng, n = np.random.default_rng(0), 20_000
    d = np.where(np.arange(n) % 2, 2, 4)
    true = d0 * 5.0 / rng.chisquare(d0, size=n)
    prior = fit_prior((true * rng.chisquare(d) / d).tolist(), d.tolist())
    assert prior.variance == pytest.approx(5.0, rel=0.05)
    assert prior.degrees_of_freedom == pytest.approx(d0, rel=0.1)


def test_equal_variances_lend_all_they_have() -> None:
    prior = fit_prior([2.0, 2.1, 1.9, 2.0], [4, 4, 4, 4])
    assert prior.degrees_of_freedom == math.inf
    assert prior.variance == pytest.approx(2.0)


def test_too_few_or_no_variation_tells_nothing() -> None:
    assert fit_prior([1.0, 2.0, 3.0], [4, 4, 4]) == UNKNOWN
    assert fit_prior([0.0, 0.0, 0.0, 1.0], [4, 4, 4, 4]) == UNKNOWN


@given(st.lists(st.floats(0.01, 100), min_size=4, max_size=9), st.floats(0.01, 100))
def test_the_unit_does_not_matter(variances: list[float], factor: float) -> None:
    plain = fit_prior(variances, [4] * len(variances))
    scaled = fit_prior([factor * each for each in variances], [4] * len(variances))
    assert scaled.variance == pytest.approx(factor * plain.variance, rel=1e-6)
    assert scaled.degrees_of_freedom == pytest.approx(plain.degrees_of_freedom, rel=1e-6)
