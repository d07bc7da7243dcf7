"""Pairwise judge win rate from responses to its score: the steps. How verdicts become a score: `scores`."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

from evals import scoring
from evals.base import RESAMPLES, ItemResults, Scored
from evals.judged_pairs import JudgedPairs, PairSetting
from evals.pairwise.scores import WIN_RATE, Pairs, PairVerdicts, compare_with_even, score_pairs
from harness.engine.artifacts import Artifact, Output, step
from harness.records import Judgment, Order, Response, share_of_output
from harness.steps.judge import Protocol, by_repeat


class Pairwise(JudgedPairs):
    """Any two sets of responses, each pair judged in both orders."""

    summary = "judge win rate between two sets of responses, both orders, with consistency and position bias"
    source = "SGPO, Table 1; SRPO, section C.3"
    metrics = (WIN_RATE,)
    protocol: ClassVar[Protocol] = "pairwise"

    def score(self, setting: PairSetting, rows: Sequence[Artifact], name: str) -> Artifact:
        """Return the win rate."""
        return score_pairwise(
            baselines=setting.baselines, judgments=rows, allow_missing=setting.allow_missing, resamples=RESAMPLES
        )

    def compare(self, setting: PairSetting, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
        """Return the paired difference of the win rates."""
        return compare_pairwise(better=better, worse=worse, allow_missing=setting.allow_missing, resamples=RESAMPLES)

    def compare_within_seeds(
        self, setting: PairSetting, better: Sequence[Artifact], worse: Sequence[Artifact]
    ) -> Artifact:
        """Build `comparison.json` of two sets of answers of the same checkpoints: the difference within each training
        seed."""
        return compare_pairwise_within_seeds(
            better=better, worse=worse, allow_missing=setting.allow_missing, resamples=RESAMPLES
        )

    def compare_with_even(self, setting: PairSetting, rows: Sequence[Artifact]) -> Artifact:
        """Build `comparison.json` of one win rate, one artifact of rows a training seed, against 50 %."""
        return compare_pairwise_with_even(judgments=rows, allow_missing=setting.allow_missing, resamples=RESAMPLES)

    def results(self, scored: Sequence[Scored]) -> list[ItemResults]:
        """Return the verdicts by prompt."""
        return [pairs_of(rows.rows(Judgment)) for each in scored for rows in each.rows]


BENCHMARK = Pairwise()


@step(version=2)
def score_pairwise(
    out: Output, *, baselines: Artifact, judgments: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """Write `scores.json` over all training seeds, and each seed's own in `seed-<n>/`."""
    n_prompts = len(baselines.rows(Response))
    rules: dict[str, Any] = {"resamples": resamples, "allow_missing": allow_missing}
    sets, repeated = [], []
    for number, artifact in enumerate(judgments):
        rows = artifact.rows(Judgment)
        sets.append(pairs_of(rows))
        repeated.append(list(map(pairs_of, by_repeat(rows))))
        (out.folder / f"seed-{number}").mkdir()
        scores = score_pairs(sets[-1].pairs, n_prompts=n_prompts, **rules)
        scores["uncertainty"] = scoring.uncertainty(repeated[-1:], resamples=resamples)
        out.write_json(f"seed-{number}/scores.json", scores)
    scores = scoring.score(sets, asked=n_prompts, **rules)
    scores["uncertainty"] = scoring.uncertainty(repeated, resamples=resamples)
    out.write_json("scores.json", scores)


@step(version=2)
def compare_pairwise(
    out: Output, *, better: Sequence[Artifact], worse: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """Write `comparison.json`: the paired difference between two methods on the same prompts."""
    first, second = ([pairs_of(artifact.rows(Judgment)) for artifact in side] for side in (better, worse))
    scoring.write_comparison(out, first, second, [WIN_RATE], allow_missing=allow_missing, resamples=resamples)


@step(version=1)
def compare_pairwise_within_seeds(
    out: Output, *, better: Sequence[Artifact], worse: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """Write `comparison.json`: the paired difference of two sets of answers, both of the same training seeds."""
    first, second = ([pairs_of(artifact.rows(Judgment)) for artifact in side] for side in (better, worse))
    rules: dict[str, Any] = {"allow_missing": allow_missing, "resamples": resamples, "within_seeds": True}
    scoring.write_comparison(out, first, second, [WIN_RATE], **rules)


@step(version=3)
def compare_pairwise_with_even(
    out: Output, *, judgments: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """Write `comparison.json`: how far above 50 % the win rate of a set over another is."""
    sets = [pairs_of(artifact.rows(Judgment)) for artifact in judgments]
    result = compare_with_even(sets, resamples=resamples, allow_missing=allow_missing)
    out.write_json("comparison.json", {"win_rate": result})


def pairs_of(judgments: Sequence[Judgment]) -> Pairs:
    """Return verdicts by prompt, in order of appearance, failed ones left out."""
    points: dict[str, dict[Order, list[float]]] = defaultdict(lambda: {"baseline_first": [], "output_first": []})
    for row in judgments:
        of_prompt = points[row.prompt.id]
        if (share := share_of_output(row)) is not None:
            of_prompt[row.order].append(share)
    return Pairs(
        [
            PairVerdicts(prompt_id, tuple(by_order["baseline_first"]), tuple(by_order["output_first"]))
            for prompt_id, by_order in points.items()
        ]
    )
