import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.stats.bradley_terry import bradley_terry, win_probability


def random_wins(seed: int, n_models: int) -> np.ndarray:
    wins = np.random.default_rng(seed).integers(1, 30, size=(n_models, n_models)).astype(float) / 2
    np.fill_diagonal(wins, 0)
    return wins


@given(won=st.floats(0, 1000), lost=st.floats(0.5, 1000))
def test_two_models_have_the_closed_form(won: float, lost: float) -> None:
    strengths = bradley_terry(np.array([[0, won], [lost, 0]]))
    assert win_probability(strengths, anchor=1)[0] == pytest.approx(won / (won + lost), abs=1e-9)


def test_the_anchor_is_at_one_half_and_extremes_are_reached() -> None:
    strengths = bradley_terry(np.array([[[0.0, 7.0], [0.0, 0.0]], [[0.0, 0.0], [7.0, 0.0]]]))
    assert win_probability(strengths, anchor=1).tolist() == [[1.0, 0.5], [0.0, 0.5]]


@given(seed=st.integers(0, 10_000), n_models=st.integers(3, 5))
@settings(deadline=None, max_examples=15)
def test_equals_a_logistic_regression(seed: int, n_models: int) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    wins = random_wins(seed, n_models)
    winners, losers = np.nonzero(wins)
    design = np.zeros((len(winners), n_models))
    design[np.arange(len(winners)), winners] = 1
    design[np.arange(len(winners)), losers] = -1
    both = np.vstack([design, -design])
    label = np.repeat([1, 0], len(winners))
    weight = np.tile(wins[winners, losers], 2)
    regression = linear_model.LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=10_000)
    logits = regression.fit(both, label, sample_weight=weight).coef_[0]
    reference = 1 / (1 + np.exp(logits[0] - logits))
    assert win_probability(bradley_terry(wins), anchor=0) == pytest.approx(reference, abs=1e-5)


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_expected_wins_at_the_maximum_equal_the_observed(seed: int) -> None:
    wins = random_wins(seed, 4)
    strengths = bradley_terry(wins)
    expected = (wins + wins.T) * strengths[:, None] / (strengths[:, None] + strengths)
    np.fill_diagonal(expected, 0)
    assert expected.sum(axis=1) == pytest.approx(wins.sum(axis=1), rel=1e-6)


def test_a_batch_equals_one_at_a_time() -> None:
    batch = np.stack([random_wins(seed, 3) for seed in range(6)])
    assert bradley_terry(batch) == pytest.approx(np.stack([bradley_terry(wins) for wins in batch]), abs=1e-8)


def test_no_maximum_is_an_error() -> None:
    never_beaten = np.array([[0.0, 5, 5], [0, 0, 3], [0, 2, 0]])
    with pytest.raises(ValueError, match="did not settle"):
        bradley_terry(never_beaten, max_iterations=200)
