import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.stats import length_control
from evals.stats.bootstrap import percentile_interval, resample_counts
from evals.stats.length_control import (
    GamedBaselines,
    ModelVerdicts,
    fit,
    fit_early_stopped,
    fit_instruction_difficulty,
    length_controlled_statistic,
    minimize_l1,
    minimize_quadratic_l1,
)


def verdicts(n: int = 150, *, ability: float = -1.0, length_bias: float = -1.5, seed: int = 0) -> ModelVerdicts:
    """Soft verdicts of a judge that likes long outputs; `length_bias` is φ, negative as Δ is baseline minus model."""
    rng = np.random.default_rng(seed)
    difficulty, delta = rng.normal(size=n), rng.normal(200, 400, size=n)
    logits = length_bias * np.tanh(delta / 400) + difficulty + ability + rng.normal(0, 1, size=n)
    return ModelVerdicts(1 / (1 + np.exp(-logits)), delta, difficulty)


def gamed_baselines(model: ModelVerdicts, seed: int = 0) -> GamedBaselines:
    """A verbose and a concise baseline on the same prompts."""
    rng = np.random.default_rng(seed + 1)
    n = len(model.difficulty)
    delta = np.concatenate([rng.normal(-1, 1, size=n), rng.normal(1, 1, size=n)])
    logits = -1.5 * np.tanh(delta) + rng.normal(0, 1, size=2 * n)
    difficulty = np.tile(model.difficulty, 2)
    return GamedBaselines(1 / (1 + np.exp(-logits)), delta, difficulty, np.zeros(2 * n, dtype=bool), 2)


def sklearn_fit(
    features: np.ndarray, target: np.ndarray, weight: np.ndarray, c: float, random_state: Any, **settings: Any
) -> np.ndarray:
    """Soft labels as two weighted rows each, fitted by liblinear: what alpaca_eval does."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    model = linear_model.LogisticRegression(
        l1_ratio=1.0, solver="liblinear", fit_intercept=False, C=c, random_state=random_state, **settings
    )
    label = np.repeat([1, 0], len(target))
    model.fit(np.vstack([features, features]), label, np.concatenate([weight * target, weight * (1 - target)]))
    return model.coef_[0]


def naive_length_controlled(model: ModelVerdicts, gamed: GamedBaselines) -> tuple[float, np.ndarray]:
    """Penalty and predictions [prompts] by the recipe: scikit-learn, five folds, ten penalties, one at a time."""
    n = len(model.preference)
    delta = model.length_difference / model.length_difference.std(ddof=1)
    own = np.column_stack([np.tanh(delta), model.difficulty, np.ones(n)])
    m = len(gamed.preference)
    theirs = np.column_stack([np.tanh(gamed.standardized_length_difference), gamed.difficulty, np.zeros(m)])
    features, target = np.vstack([theirs, own]), np.concatenate([gamed.preference, model.preference])
    weight = np.concatenate([np.full(m, 0.1), np.ones(n)])
    groups = np.arange(n + m)
    model_selection = pytest.importorskip("sklearn.model_selection")
    grid = np.logspace(-4, 4, 10)
    score = np.zeros(10)
    for train, test in model_selection.GroupKFold(5).split(features, groups=groups):
        state = np.random.RandomState(123)
        for place, c in enumerate(grid):
            probability = features[test] @ sklearn_fit(features[train], target[train], weight[train], c, state)
            probability = 1 / (1 + np.exp(-probability))
            loss = target[test] * np.log(probability) + (1 - target[test]) * np.log(1 - probability)
            score[place] += np.mean(weight[test] * loss)
    c = grid[score.argmax()]
    coefficients = sklearn_fit(features, target, weight, c, 123)
    logits = coefficients[1] * model.difficulty + coefficients[2]
    return float(c), 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("seed", range(5))
def test_fit_equals_the_recipe_with_scikit_learn(seed: int) -> None:
    model = verdicts(ability=-2.0 + seed, seed=seed)
    gamed = gamed_baselines(model, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        penalty, predictions = naive_length_controlled(model, gamed)
    fitted = fit(model, gamed)
    assert fitted.inverse_penalty == pytest.approx(penalty)
    assert fitted.win_rate == pytest.approx(100 * predictions.mean(), abs=1e-6)
    error = predictions.std(ddof=1) / np.sqrt(len(predictions))
    assert fitted.standard_error == pytest.approx(100 * error, abs=1e-6)


@pytest.mark.parametrize("c", [0.01, 0.3, 2.8, 100.0])
def test_both_solvers_minimise_the_same_function(c: float) -> None:
    rng = np.random.default_rng(1)
    features, target, weight = rng.normal(size=(80, 3)), rng.random(80), rng.random(80)
    exact = sklearn_fit(features, target, weight, c, 0, tol=1e-12, max_iter=10_000)

    def loss(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        logits = points @ features.T
        probability = 1 / (1 + np.exp(-logits))
        value = (weight * (np.logaddexp(0, logits) - target * logits)).sum(axis=1)
        curvature = weight * probability * (1 - probability)
        return (
            value,
            (weight * (probability - target)) @ features,
            np.einsum("br,ri,rj->bij", curvature, features, features),
        )

    starts = rng.normal(size=(4, 3))
    assert minimize_l1(loss, starts, 1 / c) == pytest.approx(np.tile(exact, (4, 1)), abs=1e-5)
    assert fit_early_stopped(features, target, weight, c, seed=0) == pytest.approx(exact, abs=2e-3)


def test_quadratic_subproblem_satisfies_the_optimality_conditions() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(50, 3, 3))
    hessian = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(3)
    linear = rng.normal(size=(50, 3))
    point = minimize_quadratic_l1(hessian, linear, 0.5, np.zeros((50, 3)))
    gradient = np.einsum("bij,bj->bi", hessian, point) + linear
    assert (point == 0).any()
    assert np.abs(gradient[point == 0]).max() <= 0.5 + 1e-6
    assert gradient[point != 0] == pytest.approx(-0.5 * np.sign(point[point != 0]), abs=1e-6)


def test_each_resample_is_fitted_anew_as_if_it_were_the_sample() -> None:
    model = verdicts(40)
    gamed = gamed_baselines(model)
    point = fit(model, gamed)
    counts = resample_counts(40, 5, seed=0)
    rates = length_controlled_statistic(model, gamed, point).resample(counts)
    for row, rate in zip(counts.astype(int), rates, strict=True):
        drawn = np.repeat(np.arange(40), row)
        delta = model.length_difference[drawn]
        own = np.column_stack([np.tanh(delta / delta.std(ddof=1)), model.difficulty[drawn], np.ones(40)])
        features = np.vstack([gamed.features(), own])
        target = np.concatenate([gamed.preference, model.preference[drawn]])
        weight = np.concatenate([gamed.weights(), np.ones(40)])
        exact = sklearn_fit(features, target, weight, point.inverse_penalty, 0, tol=1e-12, max_iter=10_000)
        logits = exact[1] * model.difficulty[drawn] + exact[2]
        assert rate == pytest.approx(100 * np.mean(1 / (1 + np.exp(-logits))), abs=1e-4)


def test_resampling_every_prompt_once_gives_the_point_estimate_back() -> None:
    model = verdicts()
    gamed = gamed_baselines(model)
    statistic = length_controlled_statistic(model, gamed)
    assert statistic.resample(np.ones((1, 150)))[0] == pytest.approx(statistic.value, abs=0.02)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    model = verdicts(50)
    statistic = length_controlled_statistic(model, gamed_baselines(model))
    counts = resample_counts(50, 30, seed=0)
    whole = statistic.resample(counts)
    monkeypatch.setattr(length_control, "BLOCK", 7)
    assert statistic.resample(counts) == pytest.approx(whole, abs=1e-4)


def test_a_model_that_is_the_baseline_scores_50() -> None:
    model = ModelVerdicts(np.full(30, 0.5), np.zeros(30), np.random.default_rng(0).normal(size=30))
    gamed = gamed_baselines(model)
    fitted = fit(model, gamed)
    assert (fitted.win_rate, fitted.standard_error) == (50, 0)
    values = length_controlled_statistic(model, gamed).resample(resample_counts(30, 20, seed=0))
    assert percentile_interval(values) == (50, 50)


def test_lengths_that_do_not_vary_carry_no_information() -> None:
    model = verdicts(60)
    constant = ModelVerdicts(model.preference, np.full(60, 120.0), model.difficulty)
    equal = ModelVerdicts(model.preference, np.zeros(60), model.difficulty)
    gamed = gamed_baselines(model)
    assert fit(constant, gamed).win_rate == fit(equal, gamed).win_rate


@pytest.mark.parametrize("preference", [0.0, 1.0])
def test_a_model_that_never_wins_or_never_loses_has_a_finite_score(preference: float) -> None:
    model = ModelVerdicts(np.full(60, preference), verdicts(60).length_difference, verdicts(60).difficulty)
    gamed = gamed_baselines(model)
    statistic = length_controlled_statistic(model, gamed)
    values = statistic.resample(resample_counts(60, 20, seed=0))
    assert statistic.value == pytest.approx(100 * preference, abs=5)
    assert np.isfinite(values).all()


@given(shift=st.floats(-400, 400), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=8)
def test_length_control_moves_a_length_biased_judge_towards_the_unbiased_one(shift: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 3000
    difficulty, delta = rng.normal(size=n), shift + rng.normal(0, 400, size=n)
    effect = -1.5 * np.tanh(delta / np.std(delta, ddof=1))
    unbiased = 1 / (1 + np.exp(-(difficulty - 0.5)))
    biased = 1 / (1 + np.exp(-(difficulty - 0.5 + effect)))
    model = ModelVerdicts(biased, delta, difficulty)
    truth = 100 * unbiased.mean()
    assert fit(model, gamed_baselines(model, seed)).win_rate == pytest.approx(truth, abs=1.0)


def naive_difficulty(preferences: np.ndarray, ridge: float) -> np.ndarray:
    """The same penalised likelihood by a general optimiser, over all parameters at once."""
    optimize = pytest.importorskip("scipy.optimize")
    models = len(preferences)
    known = ~np.isnan(preferences)
    target = np.where(known, preferences, 0.0)
    penalty = np.concatenate([np.full(models, ridge / 1000), np.full(preferences.shape[1], ridge)])

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        logits = point[:models, None] + point[models:]
        residual = known * (1 / (1 + np.exp(-logits)) - target)
        gradient = np.concatenate([residual.sum(axis=1), residual.sum(axis=0)]) + penalty * point
        value = np.sum(known * (np.logaddexp(0, logits) - target * logits)) + 0.5 * penalty @ point**2
        return value, gradient

    found = optimize.minimize(objective, np.zeros(len(penalty)), jac=True, method="BFGS", options={"gtol": 1e-9})
    difficulty = found.x[models:]
    return difficulty - difficulty.mean()


@pytest.mark.parametrize("ridge", [0.1, 1.0])
def test_instruction_difficulty_equals_a_general_optimiser(ridge: float) -> None:
    rng = np.random.default_rng(0)
    preferences = rng.random((4, 15))
    preferences[1, 3] = preferences[0, 7] = np.nan
    assert fit_instruction_difficulty(preferences, ridge=ridge) == pytest.approx(
        naive_difficulty(preferences, ridge), abs=1e-5
    )


def test_instruction_difficulty_is_recovered_and_centred() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    ability = rng.normal(size=60)
    preferences = (rng.random((60, 200)) < 1 / (1 + np.exp(-(ability[:, None] + truth)))).astype(float)
    found = fit_instruction_difficulty(preferences)
    assert found.mean() == pytest.approx(0, abs=1e-9)
    assert np.corrcoef(found, truth)[0, 1] > 0.93


@pytest.mark.parametrize("bad", [np.array([[0.5, 1.5]]), np.array([0.5, 0.5]), np.full((2, 2), np.nan)])
def test_instruction_difficulty_refuses_what_is_no_table_of_preferences(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="table"):
        fit_instruction_difficulty(bad)
