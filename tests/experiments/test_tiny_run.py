"""A tiny run of every kind of exhibit, two training seeds: what the manifest says is what the rows in the store say."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from rapidfuzz.distance import Levenshtein
from tokenizers import Tokenizer

from harness.engine.artifacts import Artifact, ancestry
from harness.engine.pipeline import run
from harness.engine.store import Store
from harness.experiments import Experiment
from harness.experiments.build import BUILDERS
from harness.experiments.response_sets import DRAW_SEED, responses_of
from harness.mini.identity import world_digest
from harness.records import Judgment, Response, read_rows, share_by_label
from harness.results.exhibits import HistogramsResult, SamplesResult, SettingsResult, WinRatesResult
from harness.results.manifest import Manifest, read_manifest, write_manifest
from harness.run import claims
from harness.run.manifest import build_manifest
from harness.run.training_curves import stage_curves
from harness.steps.draw import drawn
from harness.steps.filter import iqr_bounds
from harness.steps.gold import GoldQuality, response_gold_quality
from harness.training.job import CURVES, TrainingStep
from tests.experiments.exhibits import (
    MODEL,
    SCALE,
    distance_figure,
    filter_figure,
    likelihood_figure,
    request,
    sample_table,
    settings_table,
    win_rate_table,
)

pytestmark = pytest.mark.usefixtures("in_this_process")

SEEDS = (0, 1)
EXHIBITS = (
    win_rate_table(prompts=20),
    distance_figure(prompts=10),
    filter_figure(),
    likelihood_figure(),
    settings_table(),
    sample_table(),
)


@dataclass(frozen=True)
class Finished:
    store: Store
    experiments: Sequence[Experiment]
    manifest: Manifest

    def rows(self, data: str, name: str, seed: int = 0) -> dict[str, str]:
        """The texts of a set of responses by prompt id."""
        artifact = responses_of(SCALE, MODEL, seed).all(data, name)
        return {row.prompt.id: row.text for row in self.store.bind(artifact).rows(Response)}

    def result(self, kind: type) -> Any:
        return next(result for result in self.manifest.results if isinstance(result, kind))

    def comparisons(self, claim: int) -> Sequence[Any]:
        """Those on the base model that was run; the others of the claim were not."""
        found = self.manifest.claims[claim].comparisons
        assert {each.verdict for each in found if each.model != MODEL} <= {"not run"}
        return [each for each in found if each.model == MODEL]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    store = Store(tmp_path_factory.mktemp("run") / "store")
    experiments = [BUILDERS[type(exhibit)](exhibit, request(*SEEDS)) for exhibit in EXHIBITS]
    started = datetime.now(UTC)
    targets = [target for experiment in experiments for target in experiment.targets()]
    run(targets, store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "load_exhibits", lambda _: EXHIBITS)  # they are the whole paper
        manifest = build_manifest(
            "all", experiments, request(*SEEDS), store, store.root.parent, started=started, ran=frozenset()
        )
    return Finished(store, experiments, manifest)


def test_the_manifest_can_be_written_and_read(finished: Finished, tmp_path: Path) -> None:
    write_manifest(tmp_path, finished.manifest)
    assert read_manifest(tmp_path) == finished.manifest


def test_everything_a_report_reads_lies_in_the_store(finished: Finished) -> None:
    for experiment in finished.experiments:
        for artifact in ancestry(experiment.targets()):
            assert finished.store.has(artifact)
    for cell in finished.result(WinRatesResult).cells:
        for place in cell.judgments:
            assert (finished.store.root / place / "rows.jsonl").exists()


def test_curves_are_those_of_the_trainings(finished: Finished) -> None:
    found = stage_curves(finished.experiments, SCALE, finished.store)
    courses = [course for stage in found for course in stage.trainings]
    assert {stage.model for stage in found} == {MODEL} and {course.seed for course in courses} == set(SEEDS)
    for course in courses:
        steps = read_rows(finished.store.root / course.artifact / CURVES, TrainingStep)
        assert course.values["step"] == tuple(range(1, len(steps) + 1)) and course.every == 1
        assert course.values["loss"] == pytest.approx([step.loss for step in steps], rel=1e-5)


def points(rows: Sequence[Judgment]) -> dict[str, tuple[float, float]]:
    """Each prompt's points, 1 for a win, ½ for a tie: with the baseline first, and with the output first."""
    by_prompt: dict[str, dict[str, float]] = {}
    for row in rows:
        shown_first = row.order == "output_first"
        by_prompt.setdefault(row.prompt.id, {})[row.order] = share_by_label(row.verdict, shown_first=shown_first)
    return {id: (orders["baseline_first"], orders["output_first"]) for id, orders in by_prompt.items()}


def winner(value: float) -> int:
    return (value > 0.5) - (value < 0.5)


def test_win_rates_are_those_of_the_verdicts_on_the_drawn_prompts(finished: Finished) -> None:
    result = finished.result(WinRatesResult)
    matches = {match.id: match for match in EXHIBITS[0].matches}  # type: ignore[union-attr]
    assert [cell.match for cell in result.cells] == list(matches)
    for cell in result.cells:
        match = matches[cell.match]
        seeds = []
        for seed, place in zip(SEEDS, cell.judgments, strict=True):
            rows = read_rows(finished.store.root / place / "rows.jsonl", Judgment)
            outputs, baselines = (finished.rows(match.data, each, seed) for each in (match.outputs, match.baselines))
            assert {row.prompt.id for row in rows} == set(drawn(baselines, 20, DRAW_SEED))
            assert all((row.output, row.baseline) == (outputs[row.prompt.id], baselines[row.prompt.id]) for row in rows)
            seeds.append(points(rows))
        pairs = [pair for each in seeds for pair in each.values()]
        every = list(map(fmean, pairs))
        assert cell.value == pytest.approx(100 * fmean(every))
        assert cell.ci95[0] <= cell.value <= cell.ci95[1]
        assert (cell.n, cell.n_asked, cell.n_missing) == (20, 40, 0)
        assert cell.wins == sum(value > 0.5 for value in every)
        assert (cell.draws, cell.losses) == (every.count(0.5), 40 - cell.wins - every.count(0.5))
        assert cell.consistency == pytest.approx(100 * fmean(winner(one) == winner(two) for one, two in pairs))
        assert cell.uncertainty.training_seeds is not None
        assert cell.judge == finished.experiments[0].fingerprints["pairwise"]


def test_the_tests_of_win_rates_are_against_even_and_between_matches(finished: Finished) -> None:
    values = {cell.match: cell.value for cell in finished.result(WinRatesResult).cells}
    initial, reference, between = finished.comparisons(0)
    assert initial.difference == pytest.approx(values["self-initial"] - 50)
    assert reference.difference == pytest.approx(values["self-reference"] - 50)
    assert between.difference == pytest.approx(values["self-initial"] - values["self-reference"])
    assert {each.unit for each in (initial, reference, between)} == {"points"}
    assert {each.n_prompts for each in (initial, reference, between)} == {20}
    assert finished.manifest.n_tests == 6


def test_with_two_training_seeds_checkpoints_are_compared_and_no_claim_has_a_verdict(finished: Finished) -> None:
    claims = finished.manifest.claims
    assert {claim.verdict for claim in claims} <= {"no verdict", "not run"}
    assert {claim.only_models for claim in claims if claim.verdict == "not run"} <= {(MODEL,)}
    verdicts = {each.verdict for claim in range(len(claims)) for each in finished.comparisons(claim)}
    assert verdicts <= {"above", "below", "undecided"}
    assert finished.manifest.n_claims == len(claims) == sum(len(exhibit.claims) for exhibit in EXHIBITS)


def histogram(finished: Finished, name: str) -> HistogramsResult:
    [result] = [each for each in finished.manifest.results if each.exhibit.name == name]
    assert isinstance(result, HistogramsResult)
    return result


def test_edit_distances_are_in_tokens_of_the_base_model_from_the_drafts(finished: Finished) -> None:
    result = histogram(finished, "distances")
    tokenizer = Tokenizer.from_file(str(files("harness.mini") / "models" / "llama" / "tokenizer.json"))

    def tokens(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    names = {"improved": "teacher_improvement", "reference": "reference"}
    means = {}
    for each in result.values:
        by_seed = []
        for seed in SEEDS:
            drafts, texts = (finished.rows("improver_data", name, seed) for name in ("draft", names[each.set]))
            ids = drawn(drafts, 10, DRAW_SEED)
            by_seed.append([Levenshtein.distance(tokens(drafts[id]), tokens(texts[id])) for id in ids])
        assert sorted(each.values) == sorted(by_seed[0])
        means[each.set] = fmean(fmean(values) for values in by_seed)
    assert (result.unit, result.kept) == ("tokens", ())
    [comparison] = finished.comparisons(1)
    assert comparison.difference == pytest.approx(means["reference"] - means["improved"])
    assert comparison.unit == "tokens"


def test_filtered_values_lie_within_the_bounds_and_are_what_the_improver_learns_from(finished: Finished) -> None:
    result = histogram(finished, "filtered")
    values = {each.set: each.values for each in result.values}
    assert [each.panel for each in result.values] == [0, 0, 1, 1]
    left = 0
    for name in ("improved", "direct"):
        low, high = iqr_bounds(values[f"{name}-before"])
        inside = [value for value in values[f"{name}-before"] if low <= value <= high]
        assert list(values[f"{name}-after"]) == inside
        left += len(inside)
    [kept] = result.kept
    assert (kept.model, kept.kept, kept.of) == (MODEL, left, 48)
    improver = finished.experiments[-1].checkpoints[MODEL, "improver", 0]
    examples = improver.inputs["examples"]
    assert isinstance(examples, Artifact)
    assert finished.store.record(examples)["counts"]["improver_examples"] == left < 48


def test_likelihoods_are_compared_by_their_logarithms_over_all_seeds(finished: Finished) -> None:
    result = histogram(finished, "likelihoods")
    assert [len(each.values) for each in result.values] == [32, 32, 32]  # all there are, though 2,000 were asked for
    assert result.unit == ""
    sets = {each.set.id: each.measurements for each in finished.experiments[3].sets}  # type: ignore[attr-defined]
    means = {}
    for name, (first, second) in sets.items():
        shown = next(each.values for each in result.values if each.set == name)
        of_seeds = [_log_perplexities(finished.store.bind(each)) for each in (first, second)]
        assert [math.log(value) for value in shown] == pytest.approx(of_seeds[0])
        means[name] = fmean(map(fmean, of_seeds))
    initial, reference = finished.comparisons(2)
    assert initial.difference == pytest.approx(means["initial_improvement"] - means["self_improvement"])
    assert reference.difference == pytest.approx(means["reference"] - means["self_improvement"])
    assert (initial.unit, reference.unit) == ("nats", "nats")


def _log_perplexities(perplexities: Artifact) -> list[float]:
    rows = [json.loads(line) for line in (perplexities.folder / "rows.jsonl").read_text().splitlines()]
    return [row["negative_log_likelihood"] / row["tokens"] for row in rows]


def test_settings_are_those_of_the_scale(finished: Finished) -> None:
    alpaca, arena = finished.result(SettingsResult).benches
    assert (alpaca.bench, alpaca.examples, arena.bench, arena.examples) == ("alpaca_eval2", 24, "arena_hard", 16)
    assert (alpaca.baseline, arena.baseline) == ("teacher (mini:alpaca_eval2)", "clerk (mini:arena_hard)")
    assert alpaca.judge == arena.judge == SCALE.judge.model
    assert alpaca.scoring == arena.scoring == "Pairwise comparison"
    assert (alpaca.orders, arena.orders) == ("one order", "both orders")
    assert (alpaca.metrics, arena.metrics) == (("length_controlled_winrate", "win_rate"), ("score",))


def test_samples_are_drawn_rows_of_their_sets_and_of_the_judged_answers(finished: Finished) -> None:
    sets, methods = finished.result(SamplesResult).groups
    assert (sets.group, methods.group) == (1, 2)
    policy, improved = (finished.rows("preference_data", name) for name in ("policy_answer", "self_improvement"))
    assert [each.prompt_id for each in sets.samples] == drawn(policy, 3, DRAW_SEED)
    for sample in sets.samples:
        id = sample.prompt_id
        assert sample.responses == {"Policy": policy[id], "Improved": improved[id]}
    assert len(methods.samples) == 2
    columns = finished.experiments[-1].groups[-1].responses  # type: ignore[attr-defined]
    for label, artifact in columns.items():
        rows = {row.prompt.id: row for row in finished.store.bind(artifact).rows(Response)}
        for sample in methods.samples:
            assert sample.responses[label] == rows[sample.prompt_id].text
            assert sample.prompt == rows[sample.prompt_id].prompt.text


def test_the_teacher_improves_drafts_and_is_no_better_than_the_references(finished: Finished) -> None:
    """What the world's oracle is for: Table 1 in miniature, by the truth and by the judge."""
    quality = {}
    for name in ("draft", "teacher_improvement", "reference"):
        artifact = response_gold_quality(
            responses=responses_of(SCALE, MODEL, 0).all("preference_data", name),
            world=world_digest(),
        )
        finished.store.build(artifact)
        quality[name] = fmean(row.quality for row in finished.store.bind(artifact).rows(GoldQuality))
    assert quality["draft"] < quality["teacher_improvement"] <= quality["reference"] + 0.03  # which has filler, too
    values = {cell.match: cell.value for cell in finished.result(WinRatesResult).cells}
    assert values["teacher-draft"] > 75
