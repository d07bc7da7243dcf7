"""Populations of prompts whose every verdict by the mini judge is known, so that a score's true value is too.

A population is a large draw of the embedded world: requests, and answers to them by its writers. A set of prompts for
an evaluation is drawn from it with replacement. What a score's interval is meant to cover is then no estimate: it is
the score on the whole population.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from random import Random

import numpy as np

from evals.arena_hard.files import ArenaJudgment, Game
from evals.arena_hard.scores import score_judgments
from evals.stats.bootstrap import (
    FloatArray,
    IntArray,
    Statistic,
    percentile_interval,
    resample_counts,
)
from evals.stats.comparison import interval as interval_of_difference
from evals.stats.comparison import mean_interval, paired_difference
from evals.stats.length_control import (
    GamedBaselines,
    ModelVerdicts,
    fit,
    fit_instruction_difficulty,
    length_controlled_statistic,
)
from evals.stats.win_rate import discrete_win_rate_statistic, win_rate, win_rate_statistic
from harness.mini import writers
from harness.mini.judge import VERDICT_BOUNDS, VERDICTS, MiniJudge
from harness.mini.language import FILLERS, read_claims, write_answer
from harness.mini.requests import QUESTIONS, read_request, write_question
from harness.mini.roles import ALPACA_EVAL_SIZES, ARENA_HARD_SIZES
from harness.mini.world import draw_topic
from harness.mini.writers import Writer

POPULATION = 20_000
CALIBRATION_PROMPTS = 805
ALPACA_EVAL_PROMPTS, ARENA_HARD_PROMPTS, PAIRWISE_PROMPTS = 805, 500, 300
POINTS = {"A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "B>A": 0.0, "B>>A": 0.0}
NORMAL_95 = 1.96

Interval = tuple[float, float]


# Answers and verdicts


def requests(n: int, sizes: tuple[int, ...], seed: int = 0) -> list[str]:
    """`n` requests with as many aspects as one of `sizes`, each in one of the world's wordings."""
    rng = Random(f"population {seed}")
    return [write_question(draw_topic(rng, sizes), rng.randrange(len(QUESTIONS))) for _ in range(n)]


def answers(writer: Writer, prompts: list[str]) -> list[str]:
    """One answer of the writer to each request."""
    rng = Random(f"population by {writer.name}")
    return [writer.answer(read_request(prompt), rng) for prompt in prompts]


def concise(prompts: list[str], texts: list[str]) -> list[str]:
    """The answers' statements in the shortest style, without filler."""
    versions = []
    for prompt, text in zip(prompts, texts, strict=True):
        entity = read_request(prompt).entity
        versions.append(write_answer(read_claims(text, entity), "note", entity))
    return versions


def verbose(prompts: list[str], texts: list[str]) -> list[str]:
    """The answers' statements in the longest style, with filler after each."""
    rng = Random("population verbose")
    versions = []
    for prompt, text in zip(prompts, texts, strict=True):
        entity = read_request(prompt).entity
        written = [write_answer([claim], "rambler", entity) for claim in read_claims(text, entity)]
        versions.append(" ".join(f"{clause} {rng.choice(FILLERS).format(entity=entity)}" for clause in written))
    return versions


def padded(prompts: list[str], texts: list[str]) -> list[str]:
    """The answers with none to six sentences of filler: much of their length then says nothing about their quality."""
    rng = Random("population padded")
    return [
        " ".join([text, *(filler.format(entity=read_request(prompt).entity) for filler in _fillers(rng))])
        for prompt, text in zip(prompts, texts, strict=True)
    ]


def _fillers(rng: Random) -> list[str]:
    return rng.choices(FILLERS, k=rng.randint(0, 6))


def preferences(judge: MiniJudge, prompts: list[str], texts: list[str], baseline: list[str]) -> FloatArray:
    """The judge's probability [prompts] that the text beats the baseline's, shown in an order drawn for each prompt."""
    is_first = np.random.default_rng(0).random(len(prompts)) < 0.5
    logits = [
        judge.logit(prompt, text, other) if first else -judge.logit(prompt, other, text)
        for prompt, text, other, first in zip(prompts, texts, baseline, is_first, strict=True)
    ]
    return 1 / (1 + np.exp(-np.array(logits)))


def length_difference(texts: list[str], baseline: list[str]) -> FloatArray:
    """Baseline minus text, in characters [prompts]."""
    return np.array([len(other) - len(text) for text, other in zip(texts, baseline, strict=True)], dtype=np.float64)


def label(judge: MiniJudge, prompt: str, first: str, second: str) -> str:
    """One of Arena-Hard's five verdicts."""
    logit = judge.logit(prompt, first, second)
    return VERDICTS[sum(logit > bound for bound in VERDICT_BOUNDS)]


# AlpacaEval


@dataclass(frozen=True)
class AlpacaPopulation:
    """One model's verdicts on the whole population, and the calibration, which is of prompts outside it."""

    model: ModelVerdicts
    gamed: GamedBaselines

    def drawn(self, positions: IntArray) -> ModelVerdicts:
        """The verdicts on a set of prompts."""
        return ModelVerdicts(
            self.model.preference[positions],
            self.model.length_difference[positions],
            self.model.difficulty[positions],
        )


def alpaca_population(
    writer: Writer, judge: MiniJudge, size: int = POPULATION, *, pad: bool = False
) -> AlpacaPopulation:
    """The writer, with padded answers or without, against the teacher: AlpacaEval's baseline in the embedded world."""
    prompts = requests(size + CALIBRATION_PROMPTS, ALPACA_EVAL_SIZES)
    baseline, texts = answers(writers.TEACHER, prompts), answers(writer, prompts)
    if pad:
        texts = padded(prompts, texts)
    pool = [answers(other, prompts) for other in (writers.HOUSE, writers.SCHOLAR, writers.CLERK, writers.RAMBLER)]
    difficulty = fit_instruction_difficulty(np.stack([preferences(judge, prompts, each, baseline) for each in pool]))
    model = ModelVerdicts(
        preferences(judge, prompts, texts, baseline)[:size],
        length_difference(texts, baseline)[:size],
        difficulty[:size],
    )
    return AlpacaPopulation(model, _gamed_baselines(judge, prompts[size:], baseline[size:], difficulty[size:]))


def _gamed_baselines(
    judge: MiniJudge, prompts: list[str], baseline: list[str], difficulty: FloatArray
) -> GamedBaselines:
    versions = [concise(prompts, baseline), verbose(prompts, baseline)]
    lengths = [length_difference(version, baseline) for version in versions]
    return GamedBaselines(
        preference=np.concatenate([preferences(judge, prompts, version, baseline) for version in versions]),
        standardized_length_difference=np.concatenate([length / length.std(ddof=1) for length in lengths]),
        difficulty=np.tile(difficulty, len(versions)),
        not_gamed=np.zeros(len(versions) * len(prompts), dtype=bool),
        n_baselines=len(versions),
    )


def true_length_controlled(population: AlpacaPopulation, n_prompts: int) -> float:
    """The length-controlled win rate of the population, with calibration and penalty weighing as beside `n_prompts`."""
    size = len(population.model.preference)
    typical = fit(population.drawn(np.arange(n_prompts)), population.gamed)
    endless = length_controlled_statistic(population.model, population.gamed, typical)
    return float(endless.resample(np.full((1, size), n_prompts / size))[0])


# Intervals and how often they cover


@dataclass(frozen=True)
class Case:
    """An interval whose target is known: `interval` maps drawn prompts, resamples and a seed to its ends."""

    name: str
    n_prompts: int
    truth: float
    interval: Callable[[IntArray, int, int], Interval]


def coverage(case: Case, simulations: int, resamples: int) -> float:
    """The share of simulated evaluations, each on prompts of its own, whose interval covers the truth."""
    rng = np.random.default_rng(0)
    covered = 0
    for simulation in range(simulations):
        drawn = rng.integers(0, POPULATION, size=case.n_prompts)
        lower, upper = case.interval(drawn, resamples, simulation)
        covered += lower <= case.truth <= upper
    return covered / simulations


def _bootstrap(statistic: Statistic, n_prompts: int, resamples: int, seed: int) -> Interval:
    return percentile_interval(statistic.resample(resample_counts(n_prompts, resamples, seed)))


@cache
def _student() -> AlpacaPopulation:
    return alpaca_population(writers.STUDENT, MiniJudge())


@cache
def _clerk() -> AlpacaPopulation:
    return alpaca_population(writers.CLERK, MiniJudge())


def win_rate_case() -> Case:
    """AlpacaEval's win rate."""
    values = _student().model.preference
    return Case(
        "win rate",
        ALPACA_EVAL_PROMPTS,
        win_rate(values)["win_rate"],
        lambda drawn, resamples, seed: _bootstrap(win_rate_statistic(values[drawn]), len(drawn), resamples, seed),
    )


def discrete_win_rate_case() -> Case:
    """AlpacaEval's discrete win rate."""
    values = _student().model.preference
    return Case(
        "discrete win rate",
        ALPACA_EVAL_PROMPTS,
        win_rate(values)["discrete_win_rate"],
        lambda drawn, resamples, seed: _bootstrap(
            discrete_win_rate_statistic(values[drawn]), len(drawn), resamples, seed
        ),
    )


def length_controlled_case() -> Case:
    """AlpacaEval's length-controlled win rate, the fit repeated in each resample."""
    population = _student()

    def interval(drawn: IntArray, resamples: int, seed: int) -> Interval:
        statistic = length_controlled_statistic(population.drawn(drawn), population.gamed)
        return _bootstrap(statistic, len(drawn), resamples, seed)

    truth = true_length_controlled(population, ALPACA_EVAL_PROMPTS)
    return Case("length-controlled win rate", ALPACA_EVAL_PROMPTS, truth, interval)


def paired_difference_case() -> Case:
    """The difference between two models' win rates on the same prompts."""
    first, second = _student().model.preference, _clerk().model.preference

    def interval(drawn: IntArray, resamples: int, seed: int) -> Interval:
        both = [[win_rate_statistic(values[drawn])] for values in (first, second)]
        return interval_of_difference(paired_difference(*both, len(drawn), resamples=resamples, seed=seed))

    truth = 100 * float(np.mean(first - second))
    return Case("paired difference of win rates", ALPACA_EVAL_PROMPTS, truth, interval)


@cache
def _arena_population() -> list[ArenaJudgment]:
    """The student against the scholar, Arena-Hard's baseline in the embedded world: A in the first game, B after."""
    judge, prompts = MiniJudge(), requests(POPULATION, ARENA_HARD_SIZES)
    baseline, texts = answers(writers.SCHOLAR, prompts), answers(writers.STUDENT, prompts)
    return [
        ArenaJudgment(
            f"q{place:05d}",
            "student",
            "mini judge",
            (Game(label(judge, prompt, other, text)), Game(label(judge, prompt, text, other))),
        )
        for place, (prompt, text, other) in enumerate(zip(prompts, texts, baseline, strict=True))
    ]


def _drawn_judgments(drawn: IntArray) -> list[ArenaJudgment]:
    population = _arena_population()
    return [replace(population[position], question_id=f"q{place:05d}") for place, position in enumerate(drawn)]


def arena_hard_case() -> Case:
    """Arena-Hard's score, questions resampled."""

    def interval(drawn: IntArray, resamples: int, seed: int) -> Interval:
        scores = score_judgments(_drawn_judgments(drawn), n_questions=len(drawn), resamples=resamples, seed=seed)
        return scores["ci95"]

    return Case("Arena-Hard score", ARENA_HARD_PROMPTS, _true_arena_score(), interval)


def _true_arena_score() -> float:
    return float(score_judgments(_arena_population(), n_questions=POPULATION, resamples=1)["score"])


def pairwise_case() -> Case:
    """Points of one set of answers against another, 1, ½ or 0 a verdict, both orders."""
    judge, prompts = MiniJudge(), requests(POPULATION, ALPACA_EVAL_SIZES)
    first, second = answers(writers.STUDENT, prompts), answers(writers.CLERK, prompts)
    points = np.array(
        [
            (POINTS[label(judge, prompt, mine, theirs)] + 1 - POINTS[label(judge, prompt, theirs, mine)]) / 2
            for prompt, mine, theirs in zip(prompts, first, second, strict=True)
        ]
    )
    return Case(
        "pairwise points",
        PAIRWISE_PROMPTS,
        100 * float(points.mean()),
        lambda drawn, resamples, seed: _bootstrap(win_rate_statistic(points[drawn]), len(drawn), resamples, seed),
    )


def alpaca_eval_lc_case() -> Case:
    """What alpaca_eval's `lc_standard_error` makes of the length-controlled win rate: ± 1.96 of it."""
    population = _student()

    def interval(drawn: IntArray, resamples: int, seed: int) -> Interval:
        fitted = fit(population.drawn(drawn), population.gamed)
        half = NORMAL_95 * fitted.standard_error
        return fitted.win_rate - half, fitted.win_rate + half

    truth = true_length_controlled(population, ALPACA_EVAL_PROMPTS)
    return Case("length-controlled win rate ± 1.96 lc_standard_error", ALPACA_EVAL_PROMPTS, truth, interval)


def arena_hard_official_case() -> Case:
    """Arena-Hard v0.1's own interval: battles resampled one by one, 100 rounds."""

    def interval(drawn: IntArray, resamples: int, seed: int) -> Interval:
        scores = score_judgments(_drawn_judgments(drawn), n_questions=len(drawn), resamples=1)
        return scores["ci95_official"]

    return Case("Arena-Hard score, battles resampled", ARENA_HARD_PROMPTS, _true_arena_score(), interval)


def training_seeds_case(spread: float) -> Case:
    """The mean win rate of three training seeds whose true win rates have a standard deviation of `spread` points.

    The mini judge has no part in it: per-prompt scores are normal, with a part that all seeds share and one of each.
    """
    n_seeds = 3
    shared = np.random.default_rng(1).normal(0.5, 0.25, size=POPULATION)

    def interval(drawn: IntArray, resamples: int, seed: int) -> Interval:
        rng = np.random.default_rng([seed, 1])
        scores = shared[drawn] + rng.normal(0, 0.25, size=(n_seeds, len(drawn)))
        scores += rng.normal(0, spread / 100, size=(n_seeds, 1))
        statistics = [win_rate_statistic(row) for row in scores]
        return mean_interval(statistics, len(drawn), resamples=resamples, seed=seed)

    name = f"mean of three training seeds, sd {spread:g} points"
    return Case(name, ALPACA_EVAL_PROMPTS, 100 * float(shared.mean()), interval)


def difference_case(n_seeds: int, ratio: float) -> Case:
    """The difference of two methods with `n_seeds` training seeds each and equal true win rates.

    Per-prompt scores are normal. Of their variance half is what all prompts share, a quarter each method's own and a
    quarter each training seed's; a seed's true win rate has `ratio` times the variance that prompts give its score.
    """
    sd = 0.25
    parts = sd * np.sqrt([0.5, 0.25, 0.25])
    common, *own = np.random.default_rng(2).normal(size=(3, POPULATION)) * parts[[0, 1, 1], None]

    def interval(drawn: IntArray, resamples: int, seed: int) -> Interval:
        rng = np.random.default_rng([seed, 2])
        by_seed = rng.normal(0, parts[2], size=(2, n_seeds, len(drawn)))
        by_seed += rng.normal(0, sd * np.sqrt(ratio / len(drawn)), size=(2, n_seeds, 1))
        sides = [
            [win_rate_statistic(0.5 + common[drawn] + of_method[drawn] + row) for row in rows]
            for of_method, rows in zip(own, by_seed, strict=True)
        ]
        return interval_of_difference(paired_difference(*sides, len(drawn), resamples=resamples, seed=seed))

    name = f"difference of methods, {n_seeds} training seeds, variance ratio {ratio:g}"
    return Case(name, PAIRWISE_PROMPTS, 100 * float(np.mean(own[0] - own[1])), interval)


OURS = (
    win_rate_case,
    discrete_win_rate_case,
    length_controlled_case,
    paired_difference_case,
    arena_hard_case,
    pairwise_case,
)
PEERS = (alpaca_eval_lc_case, arena_hard_official_case)
TRAINING_SEEDS = tuple(partial(training_seeds_case, spread) for spread in (0, 1, 5))
DIFFERENCES = tuple(partial(difference_case, n_seeds, ratio) for n_seeds in (3, 5) for ratio in (0, 1, 2))
