"""Pairwise judge win rate from responses to its score: the steps. How verdicts become a score: `evals.pairwise`."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from evals import pairwise
from evals.bench import RESAMPLES, Bench, Evaluation
from evals.pairwise import PairVerdicts
from harness.engine.artifacts import Artifact, Output, step
from harness.records import Judgment, Order, Response, share_of_output
from harness.steps.judge import by_repeat
from harness.steps.respond import respond


def _answers(bench: Bench, checkpoint: Artifact, seed: int) -> Artifact:
    """Sampled answers to the baseline's prompts."""
    return respond(model=checkpoint, prompts=bench.baselines, sampling=bench.sampling, seed=seed)


def _score(bench: Bench, judgments: Sequence[Artifact], name: str) -> Artifact:
    return score_pairwise(
        baselines=bench.baselines, judgments=judgments, allow_missing=bench.allow_missing, resamples=RESAMPLES
    )


def _compare(bench: Bench, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
    return compare_pairwise(better=better, worse=worse, allow_missing=bench.allow_missing, resamples=RESAMPLES)


EVALUATION = Evaluation(
    summary="judge win rate between two sets of responses, both orders, with consistency and position bias",
    source="SGPO, Table 1; SRPO, section C.3",
    metrics=("win_rate",),
    protocol="pairwise",
    answers=_answers,
    score=_score,
    compare=_compare,
)


@step(version=2)
def score_pairwise(
    out: Output, *, baselines: Artifact, judgments: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """`scores.json` over all training seeds, and each seed's own in `seed-<n>/`."""
    rules: dict[str, Any] = {
        "n_prompts": len(baselines.rows(Response)),
        "resamples": resamples,
        "allow_missing": allow_missing,
    }
    sets, repeated = [], []
    for number, artifact in enumerate(judgments):
        rows = artifact.rows(Judgment)
        pairs, repeats = _pairs(rows), list(map(_pairs, by_repeat(rows)))
        (out.folder / f"seed-{number}").mkdir()
        scores = pairwise.score_pairs(pairs, **rules)
        scores["uncertainty"] = pairwise.uncertainty([repeats], resamples=resamples)
        out.write_json(f"seed-{number}/scores.json", scores)
        sets.append(pairs)
        repeated.append(repeats)
    scores = pairwise.score_training_seeds(sets, **rules)
    scores["uncertainty"] = pairwise.uncertainty(repeated, resamples=resamples)
    out.write_json("scores.json", scores)


@step(version=2)
def compare_pairwise(
    out: Output, *, better: Sequence[Artifact], worse: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """`comparison.json`: the paired difference between two methods on the same prompts."""
    first, second = ([_pairs(artifact.rows(Judgment)) for artifact in side] for side in (better, worse))
    result = pairwise.compare_pairs(first, second, resamples=resamples, allow_missing=allow_missing)
    out.write_json("comparison.json", {"win_rate": result})


def pairwise_against_even(bench: Bench, judgments: Sequence[Artifact]) -> Artifact:
    """`comparison.json` of one win rate, one artifact of judgments a training seed, against 50 %."""
    return compare_pairwise_with_even(judgments=judgments, allow_missing=bench.allow_missing, resamples=RESAMPLES)


@step(version=3)
def compare_pairwise_with_even(
    out: Output, *, judgments: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """`comparison.json`: how far above 50 % the win rate of a set over another is."""
    sets = [_pairs(artifact.rows(Judgment)) for artifact in judgments]
    result = pairwise.compare_with_even(sets, resamples=resamples, allow_missing=allow_missing)
    out.write_json("comparison.json", {"win_rate": result})


def _pairs(judgments: Sequence[Judgment]) -> list[PairVerdicts]:
    points: dict[str, dict[Order, list[float]]] = defaultdict(lambda: {"baseline_first": [], "output_first": []})
    for row in judgments:
        of_prompt = points[row.prompt.id]
        if (share := share_of_output(row)) is not None:
            of_prompt[row.order].append(share)
    return [
        PairVerdicts(prompt_id, tuple(by_order["baseline_first"]), tuple(by_order["output_first"]))
        for prompt_id, by_order in points.items()
    ]
