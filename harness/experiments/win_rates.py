"""Judge win rates between the paper's sets of responses (Table 1, figures 8 and 10), with the tests of their claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from evals.judged_pairs import PairSetting
from evals.pairwise.benchmark import BENCHMARK
from harness.engine.artifacts import Artifact, labels
from harness.engine.store import Store, place
from harness.experiments.interface import Experiment, Request, Tests, metric_fields, stated, test_place
from harness.experiments.response_sets import responses_of
from harness.papers.claims import EVEN
from harness.papers.win_rates import Match, WinRateTable
from harness.recipes.benches import pairs_on
from harness.recipes.recipe import Recipe
from harness.results.exhibits import WinRate, WinRatesResult

BENCH = "pairwise"
METRIC = "win_rate"


@dataclass(frozen=True, slots=True)
class Played:
    """One match on one base model, over all seeds."""

    model: str
    match: Match
    judgments: tuple[Artifact, ...]
    """One artifact a training seed."""
    score: Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRatesExperiment(Experiment):
    """Win rates on a scale, as promises."""

    exhibit: WinRateTable
    played: tuple[Played, ...]

    def targets(self) -> list[Artifact]:
        """List verdicts, scores, tests."""
        judged = [artifact for played in self.played for artifact in played.judgments]
        return [*judged, *(played.score for played in self.played), *self.tests.values()]

    def scores(self) -> Mapping[str, Artifact]:
        """Return the score of each match: `<model>-<match>`."""
        return {f"{played.model}-{played.match.id}": played.score for played in self.played}

    def result(self, store: Store) -> WinRatesResult:
        """Read the win rates."""
        cells = tuple(_win_rate(played, store, self.fingerprints[BENCH]) for played in self.played)
        return WinRatesResult(exhibit=self.exhibit, models=self.models, cells=cells)


def win_rates(exhibit: WinRateTable, request: Request) -> WinRatesExperiment:
    """Return the exhibit on the request's scale. Raises UserError for a set of responses that there is not."""
    models, bench = request.models_of(exhibit), pairs_on(request.recipe, BENCH)
    played = tuple(
        _play(exhibit, match, request.recipe, model, request.seeds, bench)
        for model in models
        for match in exhibit.matches
    )
    return WinRatesExperiment(
        exhibit=exhibit,
        models=models,
        played=played,
        tests=_tests(exhibit, bench, played),
        fingerprints={BENCH: BENCHMARK.fingerprint(bench)},
    )


def _play(
    exhibit: WinRateTable,
    match: Match,
    recipe: Recipe,
    model: str,
    seeds: Sequence[int],
    bench: PairSetting,
) -> Played:
    """Return the match with the sets of each seed.

    Prompts are drawn by drawing the baselines: verdicts are on these alone.
    """
    judgments, settings = [], []
    for seed in seeds:
        sets = responses_of(recipe, model, seed, match.method or exhibit.method)
        with labels(f"{model} {sets.name} seed {seed}"):
            outputs = sets.all(match.data, match.outputs)
            baselines = sets.drawn(match.data, match.baselines, exhibit.prompts)
        settings.append(replace(bench, baselines=baselines, baseline_name=match.baselines))
        with labels(f"{model} {match.id} seed {seed}"):
            judgments.append(BENCHMARK.rows(settings[-1], outputs=outputs))
    with labels(f"{model} {match.id}"):
        score = BENCHMARK.score(settings[0], judgments, f"{model}-{match.id}")
    return Played(model, match, tuple(judgments), score)


def _tests(exhibit: WinRateTable, bench: PairSetting, played: Sequence[Played]) -> Tests:
    """Test each match that a claim compares: with another on the same prompts, or with an even win rate."""
    by_place = {(each.model, each.match.id): each.judgments for each in played}
    tests = {}
    for model, comparison in stated(exhibit, {each.model for each in played}):
        pair = [by_place[model, id] for id in (comparison.better, comparison.worse) if id != EVEN]
        with labels(f"{model} {comparison.better} against {comparison.worse}"):
            test = BENCHMARK.compare(bench, *pair) if len(pair) == 2 else BENCHMARK.compare_with_even(bench, *pair)
        tests[test_place(model, comparison)] = test
    return tests


def _win_rate(played: Played, store: Store, judge: str) -> WinRate:
    score = store.bind(played.score)
    scores = score.json("scores.json")
    fields = metric_fields(scores, METRIC)
    n_seeds = scores["n_training_seeds"]
    return WinRate(
        model=played.model,
        match=played.match.id,
        **fields,
        **(_by_prompt(score, n_seeds) if fields["value"] is not None else {}),
        n=scores["n_asked"] // n_seeds,
        judge=judge,
        artifact=place(played.score),
        judgments=tuple(place(judged) for judged in played.judgments),
    )


def _by_prompt(score: Artifact, n_seeds: int) -> dict[str, Any]:
    """Count prompts won, drawn and lost, added up over the training seeds, and the mean share of them whose orders
    agree."""
    each = [score.json(f"seed-{number}/scores.json") for number in range(n_seeds)]
    return {
        "wins": sum(scores["n_wins"] for scores in each),
        "draws": sum(scores["n_draws"] for scores in each),
        "losses": sum(scores["n_losses"] for scores in each),
        "consistency": fmean(scores["consistency"] for scores in each),
    }
