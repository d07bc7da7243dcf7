"""Length-controlled win rate (Dubois et al. 2024, "Length-Controlled AlpacaEval: A Simple Way to Debias Automatic
Evaluators").

The preference for the model over the baseline on prompt i is modelled as

    logit P(model wins on i) = φ · tanh(Δᵢ / sd(Δ)) + ψ · γᵢ + θ

with Δᵢ the length of the baseline's output minus that of the model's, γᵢ the difficulty of the instruction, known
beforehand, and (φ, ψ, θ) fitted to the model's preferences. The length-controlled win rate is the mean prediction at Δ
= 0. Preferences of the baseline against its own verbose and concise versions ("gamed baselines"), where θ has no part,
join the fit with a small weight and pin φ and ψ down.

Two solvers minimise the same function, ‖w‖₁ / C + Σ weight · log-loss:

- `fit` gives the point estimate, and gives alpaca_eval's. There C comes from five-fold cross-validation over a grid on
  which the best values differ by a millionth of the log-loss, less than what the stopping rule of its solver leaves
  open. To choose the same C one has to stop at the same place, so `fit` follows that solver step by step: coordinate
  descent in random order inside Newton steps (Yuan, Ho and Lin 2012, "An Improved GLMNET for L1-regularized Logistic
  Regression"), with its stopping rule and its stream of random numbers. Another C can move the score by 0.07 points.
- `minimize_l1` converges fully, for many resamples at once; the bootstrap uses it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evals.stats.bootstrap import FloatArray, Statistic
from evals.stats.remembered import remembered

COEFFICIENTS = ("np.tanh(std_delta_len)", "instruction_difficulty", "not_gamed_baseline.astype(float)")

GAMED_WEIGHT = 0.2  # shared by all gamed baselines
FOLDS = 5
INVERSE_PENALTIES = np.logspace(-4, 4, 10)
TOLERANCE = 1e-4
RANDOM_STATE = 123
BLOCK = 125  # resamples fitted at once: bounds memory and keeps the work in the processor's cache


@dataclass(frozen=True)
class ModelVerdicts:
    """One model's verdicts, aligned by prompt: all arrays [prompts].

    `preference` in [0, 1] is the probability that the model beats the baseline, `length_difference` the baseline's
    length minus the model's in characters, `difficulty` the instruction difficulty γ.
    """

    preference: FloatArray
    length_difference: FloatArray
    difficulty: FloatArray


@dataclass(frozen=True)
class GamedBaselines:
    """Verdicts on gamed versions of the baseline: arrays [rows], with lengths already divided by their sd, per version.

    `not_gamed` marks rows that do count for θ (none in the official table); `n_baselines` is the number of versions.
    """

    preference: FloatArray
    standardized_length_difference: FloatArray
    difficulty: FloatArray
    not_gamed: npt.NDArray[np.bool_]
    n_baselines: int

    def features(self) -> FloatArray:
        """Return the rows' features [rows, 3] in the order of `COEFFICIENTS`."""
        return np.column_stack([np.tanh(self.standardized_length_difference), self.difficulty, self.not_gamed])

    def weights(self) -> FloatArray:
        """Return the rows' weights [rows]: 1 where the row is not of a gamed baseline, else its share of
        `GAMED_WEIGHT`."""
        return np.where(self.not_gamed, 1.0, GAMED_WEIGHT / self.n_baselines)


@dataclass(frozen=True)
class LengthControlledFit:
    """A fitted model. Rates in per cent.

    `standard_error` is alpaca_eval's `lc_standard_error`, the standard error of the mean of the fitted predictions. It
    leaves out that the fit itself is uncertain, and is several times too small; the bootstrap interval is not.
    """

    win_rate: float
    standard_error: float
    coefficients: FloatArray
    inverse_penalty: float


@remembered
def fit(model: ModelVerdicts, gamed: GamedBaselines) -> LengthControlledFit:
    """Fit the length-controlled win rate as alpaca_eval does; rows are taken in the order given.

    A model that is the baseline (equal lengths, every verdict a draw) scores 50 by construction.
    """
    if _is_baseline(model):
        return LengthControlledFit(50.0, 0.0, np.zeros(len(COEFFICIENTS)), math.inf)
    ones = np.ones((1, len(model.preference)))
    length = _standardized_tanh(model.length_difference, ones)[0]
    own_features = np.column_stack([length, model.difficulty, ones[0]])
    features = np.vstack([gamed.features(), own_features])
    target = np.concatenate([gamed.preference, model.preference])
    weight = np.concatenate([gamed.weights(), ones[0]])

    inverse_penalty = _cross_validated_inverse_penalty(features, target, weight)
    coefficients = fit_early_stopped(features, target, weight, inverse_penalty, seed=_solver_seeds()[0])
    predictions = _sigmoid(coefficients[1] * model.difficulty + coefficients[2])
    n = len(predictions)
    error = 100 * float(np.std(predictions, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return LengthControlledFit(100 * float(predictions.mean()), error, coefficients, inverse_penalty)


def length_controlled_statistic(
    model: ModelVerdicts, gamed: GamedBaselines, fitted: LengthControlledFit | None = None
) -> Statistic:
    """Return the length-controlled win rate as a statistic on prompts; `fitted` saves fitting the point estimate again.

    In each resample of prompts the lengths are standardised and the model fitted anew. Three things are held fixed,
    being part of the metric's definition or without influence: the gamed baselines, the instruction difficulties, and
    the penalty that cross-validation chose on the full sample (choosing it anew in each resample moves neither end of
    the interval of any model tried by more than 0.15 points).
    """
    point = fitted or fit(model, gamed)
    if _is_baseline(model):
        return Statistic(point.win_rate, lambda counts: np.full(len(counts), point.win_rate))

    def resample(counts: FloatArray) -> FloatArray:
        blocks = [counts[start : start + BLOCK] for start in range(0, len(counts), BLOCK)]
        return np.concatenate([_resampled_win_rates(block, model, gamed, point) for block in blocks])

    return Statistic(point.win_rate, resample)


def _is_baseline(model: ModelVerdicts) -> bool:
    return bool(np.all(model.preference == 0.5) and np.all(model.length_difference == 0))


def _sigmoid(logits: FloatArray) -> FloatArray:
    small: FloatArray = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1 + small)


def _standardized_tanh(length_difference: FloatArray, counts: FloatArray) -> FloatArray:
    """Return tanh(Δ / sd(Δ)) [resamples, prompts], with the sample sd of each resample's prompts; 0 where Δ does not
    vary."""
    n = counts.sum(axis=1)
    mean = counts @ length_difference / n
    squares = counts @ length_difference**2
    variance = np.maximum(squares - n * mean**2, 0) / np.maximum(n - 1, 1)
    varies = variance > 1e-9 * squares / n
    inverse_sd = np.divide(1, np.sqrt(variance), out=np.zeros_like(variance), where=varies)
    standardized: FloatArray = np.tanh(inverse_sd[:, None] * length_difference)
    return standardized


# The point estimate: alpaca_eval's penalty and stopping rule


def _solver_seeds() -> list[int]:
    """Return the seeds of the coordinate order along the grid of penalties: one stream for each value, the same in
    every fold."""
    stream = np.random.RandomState(RANDOM_STATE)
    return [int(stream.randint(np.iinfo("i").max)) for _ in INVERSE_PENALTIES]


def _cross_validated_inverse_penalty(features: FloatArray, target: FloatArray, weight: FloatArray) -> float:
    """Return the C with the highest held-out log-likelihood (mean over folds of the weighted mean over rows)."""
    rows = len(target)
    fold = (rows - 1 - np.arange(rows)) % FOLDS
    seeds = _solver_seeds()
    scores = np.zeros((FOLDS, len(INVERSE_PENALTIES)))
    for k in range(FOLDS):
        train, test = fold != k, fold == k
        for c, inverse_penalty in enumerate(INVERSE_PENALTIES):
            coefficients = fit_early_stopped(features[train], target[train], weight[train], inverse_penalty, seeds[c])
            logits = features[test] @ coefficients
            scores[k, c] = -np.mean(weight[test] * (np.logaddexp(0, logits) - target[test] * logits))
    return float(INVERSE_PENALTIES[scores.mean(axis=0).argmax()])


def fit_early_stopped(
    features: FloatArray, target: FloatArray, weight: FloatArray, inverse_penalty: float, seed: int
) -> FloatArray:
    """Fit an L1-penalised logistic regression on soft labels, stopped where liblinear's solver stops (Yuan, Ho and Lin
    2012).

    `features` [rows, k], `target` [rows] in [0, 1] and `weight` [rows]; returns the k coefficients (no intercept). A
    soft label y stands for two rows, labelled 1 with weight y and 0 with weight 1 - y. Stops when the L1 norm of the
    subgradient has fallen to `TOLERANCE` · (share of the rarer label) of its value at 0.
    """
    positive, total = inverse_penalty * weight * target, inverse_penalty * weight
    ones, zeros = int(np.count_nonzero(positive)), int(np.count_nonzero(total - positive))
    tolerance = TOLERANCE * max(min(ones, zeros), 1) / (ones + zeros)
    coefficients = np.zeros(features.shape[1])
    logits = np.zeros(len(target))
    order = list(range(len(coefficients)))
    draws = _raw_draws(seed)
    initial_violation, inner_tolerance = 0.0, 1.0
    for iteration in range(100):
        probability = _sigmoid(logits)
        gradient = features.T @ (total * probability - positive)
        violation = sum(_violation(g, w) for g, w in zip(gradient, coefficients, strict=True))
        if iteration == 0:
            initial_violation = violation
        if violation <= tolerance * initial_violation:
            break
        hessian = (features * (total * probability * (1 - probability))[:, None]).T @ features
        target_point, sweeps = _coordinate_descent(
            gradient.tolist(),
            hessian.tolist(),
            coefficients.tolist(),
            inner_tolerance * initial_violation,
            order,
            draws,
        )
        direction = np.array(target_point) - coefficients
        step = _step_length(direction, gradient, coefficients, features @ direction, logits, positive, total)
        coefficients = coefficients + step * direction
        logits = logits + step * (features @ direction)
        if sweeps == 1:
            inner_tolerance /= 4
    return coefficients


def _violation(gradient: float, coefficient: float) -> float:
    """Measure how far a coordinate is from optimal: the size of the smallest subgradient of |w| + loss."""
    if coefficient == 0:
        return max(abs(gradient) - 1, 0.0)
    return abs(gradient + math.copysign(1, coefficient))


def _coordinate_descent(
    gradient: list[float],
    hessian: list[list[float]],
    start: list[float],
    tolerance: float,
    order: list[int],
    draws: Iterator[int],
) -> tuple[list[float], int]:
    """Minimise the quadratic model plus the L1 norm by sweeps in random order, until a sweep's violation is small.

    `order` is shuffled in place: it carries over from one call to the next. Returns the minimiser and the sweeps made.
    """
    point = list(start)
    sweeps, violation = 0, math.inf
    while violation > tolerance and sweeps < 1000:
        violation = 0.0
        for position in range(len(order)):
            other = position + _bounded(draws, len(order) - position)
            order[position], order[other] = order[other], order[position]
        for j in order:
            slope = gradient[j] + sum(h * (p - s) for h, p, s in zip(hessian[j], point, start, strict=True))
            violation += _violation(slope, point[j])
            curvature = hessian[j][j] + 1e-12
            pull = curvature * point[j]
            if slope + 1 < pull:
                change = -(slope + 1) / curvature
            elif slope - 1 > pull:
                change = -(slope - 1) / curvature
            else:
                change = -point[j]
            point[j] += min(max(change, -10.0), 10.0)
        sweeps += 1
    return point, sweeps


def _step_length(
    direction: FloatArray,
    gradient: FloatArray,
    coefficients: FloatArray,
    logit_direction: FloatArray,
    logits: FloatArray,
    positive: FloatArray,
    total: FloatArray,
) -> float:
    """Return the longest step among 1, 1/2, 1/4, … that decreases the objective by 1 % of what its slope promises; else
    0."""
    norm = np.abs(coefficients).sum()
    promise = gradient @ direction + np.abs(coefficients + direction).sum() - norm
    loss = total @ np.logaddexp(0, logits)
    step = 1.0
    for _ in range(20):
        change = np.abs(coefficients + step * direction).sum() - norm
        change += total @ np.logaddexp(0, logits + step * logit_direction) - loss - step * (positive @ logit_direction)
        if change <= 0.01 * step * promise:
            return step
        step /= 2
    return 0.0


def _raw_draws(seed: int) -> Iterator[int]:
    """Yield the 32-bit outputs of a Mersenne twister."""
    generator = np.random.RandomState(seed)
    while True:
        yield from generator.randint(0, 2**32, size=64, dtype=np.uint32).tolist()


def _bounded(draws: Iterator[int], n: int) -> int:
    """Return an unbiased integer in [0, n) (Lemire 2019, "Fast Random Integer Generation in an Interval")."""
    while True:
        product = next(draws) * n
        if product % 2**32 >= 2**32 % n:
            return product >> 32


# The bootstrap: many fits at once, fully converged

Derivatives = tuple[FloatArray, FloatArray, FloatArray]


def minimize_l1(
    loss: Callable[[FloatArray], Derivatives], start: FloatArray, penalty: float, *, tolerance: float = 1e-7
) -> FloatArray:
    """Minimise a batch of loss(w) + penalty · ‖w‖₁ for convex losses by proximal Newton steps with halving.

    `loss` maps points [batch, k] to values [batch], gradients [batch, k] and Hessians [batch, k, k]; `start` is [batch,
    k]. Stops when no coordinate wants to move by more than `tolerance`. Raises ValueError if that never happens.
    """
    point = start
    value, gradient, hessian = loss(point)
    value = value + penalty * np.abs(point).sum(axis=1)
    for _ in range(100):
        linear = gradient - np.einsum("bij,bj->bi", hessian, point)
        step = minimize_quadratic_l1(hessian, linear, penalty, point) - point
        if np.max(np.abs(step)) <= tolerance:
            return point + step
        scale = np.ones((len(point), 1))
        while True:
            trial = point + scale * step
            trial_value, gradient, hessian = loss(trial)
            trial_value = trial_value + penalty * np.abs(trial).sum(axis=1)
            worse = (trial_value > value + 1e-10 * (1 + np.abs(value))) & (scale[:, 0] > 1e-9)
            if not worse.any():
                break
            scale[worse] /= 2
        point, value = trial, trial_value
    raise ValueError("the length-controlled fit of a resample did not converge")


def minimize_quadratic_l1(hessian: FloatArray, linear: FloatArray, penalty: float, start: FloatArray) -> FloatArray:
    """Minimise a batch of ½ zᵀHz + qᵀz + penalty · ‖z‖₁ by cyclic coordinate descent with soft thresholds.

    `hessian` [batch, k, k] positive definite, `linear` q [batch, k], `start` [batch, k].
    """
    point = start.copy()
    diagonal = np.einsum("bii->bi", hessian) + 1e-12
    for _ in range(10_000):
        largest = 0.0
        for j in range(point.shape[1]):
            pull = diagonal[:, j] * point[:, j] - linear[:, j] - np.einsum("bi,bi->b", hessian[:, j], point)
            updated = np.sign(pull) * np.maximum(np.abs(pull) - penalty, 0) / diagonal[:, j]
            largest = max(largest, float(np.max(np.abs(updated - point[:, j]))))
            point[:, j] = updated
        if largest <= 1e-9:
            break
    return point


@remembered
def _resampled_win_rates(
    counts: FloatArray, model: ModelVerdicts, gamed: GamedBaselines, point: LengthControlledFit
) -> FloatArray:
    """Return the length-controlled win rates [resamples] of resampled prompts, counts [resamples, prompts]."""
    loss = _log_loss(counts, model, gamed)
    start = np.tile(point.coefficients, (len(counts), 1))
    coefficients = minimize_l1(loss, start, 1 / point.inverse_penalty)
    predictions = _sigmoid(coefficients[:, 1:2] * model.difficulty + coefficients[:, 2:3])
    rates: FloatArray = 100 * np.einsum("bi,bi->b", counts, predictions) / counts.sum(axis=1)
    return rates


def _log_loss(counts: FloatArray, model: ModelVerdicts, gamed: GamedBaselines) -> Callable[[FloatArray], Derivatives]:
    """Return the log-loss of the resampled prompts and the gamed baselines, with derivatives, for a batch of
    coefficients."""
    length = _standardized_tanh(model.length_difference, counts)
    difficulty = model.difficulty
    basis = np.column_stack([np.ones_like(difficulty), difficulty, difficulty**2])
    gamed_features, gamed_weights = gamed.features(), gamed.weights()
    gamed_products = np.einsum("ri,rj->rij", gamed_features, gamed_features).reshape(len(gamed_weights), -1)

    def derivatives(coefficients: FloatArray) -> Derivatives:
        slope, ability, level = coefficients[:, 0:1], coefficients[:, 1:2], coefficients[:, 2:3]
        own_loss, residual, curvature = _bernoulli(
            slope * length + ability * difficulty + level, model.preference, counts
        )
        gamed_loss, gamed_residual, gamed_curvature = _bernoulli(
            coefficients @ gamed_features.T, gamed.preference, gamed_weights
        )
        gradient = gamed_residual @ gamed_features
        gradient[:, 0] += np.einsum("bi,bi->b", residual, length)
        gradient[:, 1:] += residual @ basis[:, 1::-1]

        hessian = (gamed_curvature @ gamed_products).reshape(-1, 3, 3)
        by_length = curvature * length
        hessian[:, 0, 0] += np.einsum("bi,bi->b", by_length, length)
        cross = by_length @ basis[:, 1::-1]
        square = curvature @ basis
        hessian[:, 0, 1:] += cross
        hessian[:, 1:, 0] += cross
        hessian[:, 1, 1] += square[:, 2]
        hessian[:, 2, 2] += square[:, 0]
        hessian[:, 1, 2] += square[:, 1]
        hessian[:, 2, 1] += square[:, 1]
        return own_loss + gamed_loss, gradient, hessian

    return derivatives


def _bernoulli(logits: FloatArray, target: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the weighted log-loss [batch], its first [batch, rows] and second [batch, rows] derivative in the
    logits."""
    small = np.exp(-np.abs(logits))
    probability = np.where(logits >= 0, 1.0, small) / (1 + small)
    loss = weight * (np.log1p(small) + np.maximum(logits, 0) - target * logits)
    return loss.sum(axis=1), weight * (probability - target), weight * probability * (1 - probability)


# Instruction difficulty


def fit_instruction_difficulty(preferences: FloatArray, *, ridge: float = 0.1, tolerance: float = 1e-8) -> FloatArray:
    """Fit instruction difficulties γ [instructions] from preferences [models, instructions] in [0, 1]; NaN: no
    verdict.

    The joint model of Dubois et al. 2024 (section 3) with the length term left out and one ψ for all models:
    logit P(m wins on i) = αₘ + γᵢ, with the penalty ½ · ridge · Σγᵢ² (and a thousandth of it on α, so that a model that
    lost every time has a finite one). Large γ means that models do well against the baseline there. Newton's method; γ
    has mean 0 up to the tolerance. Raises ValueError if `preferences` is not a table of values in [0, 1].
    """
    known = ~np.isnan(preferences)
    if preferences.ndim != 2 or not known.any() or np.any((preferences[known] < 0) | (preferences[known] > 1)):
        raise ValueError("preferences must be a table [models, instructions] of values in [0, 1]")
    target, weight = np.where(known, preferences, 0.0), known.astype(np.float64)
    n_models = len(preferences)
    penalty = np.concatenate([np.full(n_models, ridge / 1000), np.full(preferences.shape[1], ridge)])

    def objective(point: FloatArray) -> float:
        logits = point[:n_models, None] + point[n_models:]
        return float(np.sum(weight * (np.logaddexp(0, logits) - target * logits)) + 0.5 * penalty @ point**2)

    point = np.zeros(len(penalty))
    for _ in range(100):
        probability = _sigmoid(point[:n_models, None] + point[n_models:])
        step = _newton_step(weight * (probability - target), weight * probability * (1 - probability), penalty, point)
        scale, value = 1.0, objective(point)
        while objective(point + scale * step) > value + 1e-12 * abs(value) and scale > 1e-9:
            scale /= 2
        point = point + scale * step
        if np.max(np.abs(step)) <= tolerance:
            break
    difficulty: FloatArray = point[n_models:]
    return difficulty - difficulty.mean()


def _newton_step(residual: FloatArray, curvature: FloatArray, penalty: FloatArray, point: FloatArray) -> FloatArray:
    """Return the Newton step for two crossed effects: the instruction block is diagonal and is eliminated first."""
    n_models = len(residual)
    gradient = np.concatenate([residual.sum(axis=1), residual.sum(axis=0)]) + penalty * point
    instruction = curvature.sum(axis=0) + penalty[n_models:]
    scaled = curvature / instruction
    schur = np.diag(curvature.sum(axis=1) + penalty[:n_models]) - scaled @ curvature.T
    model_step = np.linalg.solve(schur, scaled @ gradient[n_models:] - gradient[:n_models])
    instruction_step = -(gradient[n_models:] + curvature.T @ model_step) / instruction
    return np.concatenate([model_step, instruction_step])
