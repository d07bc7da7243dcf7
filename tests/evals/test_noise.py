import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.stats.bootstrap import Statistic, ratio_statistic, resample_counts
from evals.stats.length_control import GamedBaselines, ModelVerdicts, length_controlled_statistic
from evals.stats.noise import training_seed_variance, uncertainty_components
from evals.stats.win_rate import win_rate_statistic

PROMPT_SD, SEED_SD, INTERACTION_SD, JUDGE_SD = 0.3, 0.02, 0.15, 0.2


def simulated_scores(n_seeds: int, n_prompts: int, n_repeats: int, rng: np.random.Generator) -> np.ndarray:
    """Scores [training seeds, prompts, repeats] with the four standard deviations above."""
    return (
        0.5
        + SEED_SD * rng.normal(size=(n_seeds, 1, 1))
        + PROMPT_SD * rng.normal(size=(1, n_prompts, 1))
        + INTERACTION_SD * rng.normal(size=(n_seeds, n_prompts, 1))
        + JUDGE_SD * rng.normal(size=(n_seeds, n_prompts, n_repeats))
    )


def statistics(scores: np.ndarray) -> list[list[Statistic]]:
    return [[win_rate_statistic(repeat) for repeat in seed.T] for seed in scores]


def naive_components(scores: np.ndarray) -> tuple[float, float, float]:
    """Variances of the mean by prompts, judge and training seeds from the mean squares of a crossed analysis."""
    n_seeds, n, k = scores.shape
    cell, by_seed, by_prompt = scores.mean(axis=2), scores.mean(axis=(1, 2)), scores.mean(axis=(0, 2))
    within = np.sum((scores - cell[:, :, None]) ** 2) / (n_seeds * n * (k - 1))
    crossed = k * np.sum((cell - by_seed[:, None] - by_prompt + scores.mean()) ** 2) / ((n_seeds - 1) * (n - 1))
    seeds = n * k * np.sum((by_seed - scores.mean()) ** 2) / (n_seeds - 1)
    prompts = n_seeds * k * np.sum((by_prompt - scores.mean()) ** 2) / (n - 1)
    judge_of_mean = within / (n_seeds * n * k)
    seed_of_mean = max(0.0, (seeds - crossed) / (n * k)) / n_seeds
    return prompts / (n_seeds * n * k) - judge_of_mean, judge_of_mean, seed_of_mean


@given(seed=st.integers(0, 1000), n_seeds=st.integers(2, 4), n_repeats=st.integers(2, 4))
@settings(deadline=None, max_examples=10)
def test_equals_the_mean_squares_of_a_crossed_analysis(seed: int, n_seeds: int, n_repeats: int) -> None:
    scores = simulated_scores(n_seeds, 100, n_repeats, np.random.default_rng(seed))
    parts = uncertainty_components(statistics(scores), 100, resamples=4000, seed=seed)
    prompts, judge, seeds = naive_components(scores)
    assert parts.prompts == pytest.approx(100 * np.sqrt(prompts), rel=0.06)
    assert parts.judge == pytest.approx(100 * np.sqrt(judge), rel=0.06)
    # 6 % of a standard error are 12 % of its square.
    assert (parts.training_seeds or 0) ** 2 == pytest.approx(1e4 * seeds, rel=0.12, abs=0.3)
    assert parts.total == pytest.approx(np.sqrt(parts.prompts**2 + parts.judge**2 + parts.training_seeds**2))


def test_the_components_put_in_come_out() -> None:
    """Averages over 200 simulated evaluations beside what the four standard deviations say of the mean."""
    n_seeds, n, k = 4, 120, 3
    rng = np.random.default_rng(0)
    squares = np.zeros(3)
    scores = np.stack([simulated_scores(n_seeds, n, k, rng) for _ in range(200)])
    for each in scores:
        parts = uncertainty_components(statistics(each), n, resamples=200)
        squares += np.array([parts.prompts, parts.judge, parts.training_seeds]) ** 2 / len(scores)
    truth = 1e4 * np.array(
        [
            (PROMPT_SD**2 + INTERACTION_SD**2 / n_seeds) / n,
            JUDGE_SD**2 / (n * n_seeds * k),
            SEED_SD**2 / n_seeds,
        ]
    )
    assert squares[:2] == pytest.approx(truth[:2], rel=0.05)
    assert squares[2] == pytest.approx(truth[2], rel=0.2)
    spread = 1e4 * scores.mean(axis=(1, 2, 3)).var(ddof=1)
    assert squares.sum() == pytest.approx(spread, rel=0.25)


def test_one_repeat_or_one_training_seed_say_nothing_of_that_part() -> None:
    scores = simulated_scores(2, 50, 2, np.random.default_rng(0))
    one_repeat = uncertainty_components(statistics(scores[:, :, :1]), 50, resamples=1000)
    one_seed = uncertainty_components(statistics(scores[:1]), 50, resamples=1000)
    neither = uncertainty_components(statistics(scores[:1, :, :1]), 50, resamples=1000)
    assert one_repeat.judge is None and one_repeat.training_seeds is not None
    assert one_seed.judge is not None and one_seed.training_seeds is None
    assert (neither.judge, neither.training_seeds) == (None, None)
    assert neither.total == neither.prompts == pytest.approx(100 * scores[0, :, 0].std() / np.sqrt(50), rel=0.1)


def test_a_judge_that_repeats_itself_has_no_noise() -> None:
    scores = np.repeat(simulated_scores(2, 50, 1, np.random.default_rng(0)), 3, axis=2)
    assert uncertainty_components(statistics(scores), 50, resamples=1000).judge == pytest.approx(0, abs=1e-9)


def test_resamples_without_a_verdict_are_left_out() -> None:
    sparse = ratio_statistic(np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0]))
    parts = uncertainty_components([[sparse, sparse]], 3, resamples=200)
    assert np.isfinite(parts.total) and parts.judge == 0


def test_repeats_narrow_the_interval_by_the_judges_noise_alone() -> None:
    scores = np.random.default_rng(0).normal(0.5, JUDGE_SD, size=(400, 4))
    one, four = (win_rate_statistic(scores[:, :k].mean(axis=1)) for k in (1, 4))
    counts = resample_counts(400, 2000, seed=0)
    assert one.resample(counts).std() / four.resample(counts).std() == pytest.approx(2, rel=0.1)


def length_controlled_repeats(
    rng: np.random.Generator, answers: ModelVerdicts, gamed: GamedBaselines
) -> list[Statistic]:
    """Three sets of verdicts by a noisy judge on the same answers; `preference` there holds the noiseless log-odds."""
    noisy = answers.preference + rng.normal(0, 1, size=(3, len(answers.preference)))
    return [
        length_controlled_statistic(
            ModelVerdicts(1 / (1 + np.exp(-logits)), answers.length_difference, answers.difficulty), gamed
        )
        for logits in noisy
    ]


def test_judge_noise_of_the_length_controlled_win_rate_is_that_of_judging_again() -> None:
    """The part found in one evaluation beside the spread of whole evaluations judged anew, answers unchanged."""
    rng = np.random.default_rng(0)
    n = 150
    delta, difficulty = rng.normal(100, 400, size=n), rng.normal(size=n)
    answers = ModelVerdicts(difficulty - np.tanh(delta / 400), delta, difficulty)
    gamed_delta = np.concatenate([rng.normal(-1, 1, size=n), rng.normal(1, 1, size=n)])
    gamed = GamedBaselines(
        1 / (1 + np.exp(np.tanh(gamed_delta))), gamed_delta, np.tile(difficulty, 2), np.zeros(2 * n, dtype=bool), 2
    )
    found, again = [], []
    for _ in range(20):
        repeats = length_controlled_repeats(rng, answers, gamed)
        found.append(uncertainty_components([repeats], n, resamples=300).judge)
        again.append([statistic.value for statistic in repeats])
    spread_of_one = np.std(again, ddof=1)
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(spread_of_one / np.sqrt(3), rel=0.3)


def test_training_seeds_that_differ_by_their_answers_alone_have_no_variance_of_their_own() -> None:
    """On average over simulations: 300 prompts that each seed answers in its own way, the same true score for all."""
    rng = np.random.default_rng(0)
    own, from_prompts = [], []
    for _ in range(200):
        scores = rng.normal(size=(3, 300))
        values = np.stack([ratio_statistic(row, np.ones(300)).resample(resample_counts(300, 200, 0)) for row in scores])
        own.append(training_seed_variance(values))
        from_prompts.append(values.mean(axis=0).var())
    assert np.mean(own) < 0.5 * np.mean(from_prompts)
    shifted = values + 1000 * np.array([[0.0], [1.0], [2.0]])
    assert training_seed_variance(shifted) == pytest.approx(1000**2 / 3, rel=0.05)
