"""What a finished run says of itself: `manifest.json`, the one file that reports read."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from evals.stats.power import SIGNIFICANCE, power
from harness.core.artifacts import Artifact, ancestry
from harness.core.errors import UserError
from harness.core.files import replace_file
from harness.core.papers import Claim, load_deviations
from harness.core.provenance import provenance
from harness.core.store import Store
from harness.experiments import Cell, Experiment, Test
from harness.steps.gold import GoldQuality

VERDICT_ON_CLAIM = {"better": "holds", "worse": "fails", "undecided": "undecided"}


@dataclass(frozen=True, slots=True)
class Run:
    """How and when a run was made; `ran` holds the keys of the artifacts it made."""

    command: str
    started: datetime
    ended: datetime
    ran: frozenset[str]


def manifest(experiment: Experiment, store: Store, run: Run) -> dict[str, Any]:
    """The manifest of a run whose artifacts are all in the store; JSON values."""
    scale, table = experiment.scale, experiment.table
    made = [(one, store.record(one)) for one in ancestry(experiment.targets()) if store.has(one)]
    claims = [_claim(claim, experiment, store) for claim in table.claims]
    adjusted = holm_adjusted(comparison for claim in claims for comparison in claim["comparisons"])
    return {
        "experiment": table.table,
        "paper": table.paper,
        "scale": scale.name,
        "fast": scale.is_reduced,
        "seeds": list(experiment.seeds),
        "command": run.command,
        "started": run.started.isoformat(timespec="seconds"),
        "ended": run.ended.isoformat(timespec="seconds"),
        "seconds": round((run.ended - run.started).total_seconds(), 1),
        "judge": {
            "name": scale.judge,
            "fingerprint": ", ".join(f"{bench} {print_}" for bench, print_ in experiment.fingerprints.items()),
            "prompt": f"configs/prompts/{scale.prompts}.yaml",
            "parser": "harness/steps/verdicts.py",
        },
        "provenance": {**provenance(), "artifact_commits": _commits(record for _, record in made)},
        "models": {name: asdict(scale.models[name]) for name in experiment.models},
        "rows": list(experiment.methods),
        "added_rows": {row.method: row.added for row in table.rows if row.added},
        "cells": [entry for cell in experiment.cells for entry in _cell_entries(experiment, store, cell)],
        "n_tests": len(adjusted),
        "claims": [decided(claim, adjusted) for claim in claims],
        "deviations": [asdict(deviation) for deviation in load_deviations(table.paper)],
        "diagnostics": [_gold(cell, store) for cell in experiment.cells if cell.gold],
        "steps": [_step(artifact, record, run.ran) for artifact, record in made],
    }


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes `manifest.json` into the folder, which is made if need be, in one piece.

    Raises UserError where the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        replace_file(folder / "manifest.json", text.encode("utf-8"))
    except OSError as error:
        raise UserError(f"cannot write the report to {folder} ({error.strerror}); remove what is in its way") from None


def _cell_entries(experiment: Experiment, store: Store, cell: Cell) -> Iterator[dict[str, Any]]:
    """One entry for each metric of the table's columns."""
    scores = store.bind(cell.score).json("scores.json")
    for column in experiment.table.columns:
        if column.bench == cell.bench:
            yield {
                "model": cell.model,
                "method": cell.method,
                "bench": cell.bench,
                "metric": column.metric,
                **_figures(scores, column.metric),
                "n": experiment.scale.benches[cell.bench].baselines.size,
                "n_asked": scores["n_asked"],
                "n_missing": scores["n_missing"],
                "judge": experiment.fingerprints[cell.bench],
                "artifact": f"{cell.score.step}/{cell.score.key}",
            }


def _figures(scores: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """One metric of `scores.json`. A withheld one has no figures, and a note that says why."""
    shown = scores["mean"][metric] is not None
    reason = scores["withheld"] or scores.get("length_controlled_withheld") or "no verdicts"
    return {
        "value": scores["mean"][metric],
        "ci95": scores["ci95"][metric],
        "per_seed": scores["per_seed"][metric],
        "uncertainty": scores["uncertainty"].get(metric) if shown else None,
        "note": "" if shown else f"withheld: {reason}",
    }


def _claim(claim: Claim, experiment: Experiment, store: Store) -> dict[str, Any]:
    """The claim with its tests, each by itself."""
    results = {(test.model, test.better, test.worse, test.bench): test for test in experiment.tests}
    comparisons = [
        _comparison(results.get((model, each.better, each.worse, each.bench)), store, model, asdict(each))
        for each in claim.comparisons
        for model in each.models
        if model in experiment.models
    ]
    return {"id": claim.id, "says": claim.says, "where": claim.where, "comparisons": comparisons}


def _comparison(test: Test | None, store: Store, model: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    place = {"model": model, **{name: stated[name] for name in ("better", "worse", "bench", "metric")}}
    if test is None:
        return place
    result = store.bind(test.result).json("comparison.json")[stated["metric"]]
    if result["verdict"] == "withheld":
        return {**place, "note": f"withheld: {result['withheld']}"}
    names = ("difference", "ci95", "p_value", "n_prompts", "prompt_error", "seed_error")
    return {**place, **{name: result[name] for name in names}, "verdict_alone": VERDICT_ON_CLAIM[result["verdict"]]}


TestName = tuple[str, frozenset[str], str, str]


def _test_name(comparison: Mapping[str, Any]) -> TestName:
    """What makes two comparisons the same test, whichever of the pair is said to be better."""
    pair = frozenset((comparison["better"], comparison["worse"]))
    return comparison["model"], pair, comparison["bench"], comparison["metric"]


def holm_adjusted(comparisons: Iterable[Mapping[str, Any]]) -> dict[TestName, float]:
    """The Holm-adjusted p-value of every test of a report: all its claims are one family.

    A test that several claims rest on counts once; a comparison without a p-value, not run or withheld, not at all.
    """
    from evals.stats.multiplicity import holm

    family = {_test_name(comparison): comparison["p_value"] for comparison in comparisons if "p_value" in comparison}
    return dict(zip(family, holm(list(family.values())), strict=True))


def decided(claim: Mapping[str, Any], adjusted: Mapping[TestName, float]) -> dict[str, Any]:
    """The claim with its verdict and those of its comparisons, at 5 % by the adjusted p-values.

    An undecided comparison says what it could have found, and how many prompts would decide a difference of its size,
    at the level that Holm's method leaves to the first of all undecided ones.
    """
    from evals.stats.multiplicity import level_left

    level = level_left(adjusted.values())
    comparisons = [_decided_comparison(each, adjusted.get(_test_name(each)), level) for each in claim["comparisons"]]
    return {**claim, "verdict": _verdict([each["verdict"] for each in comparisons]), "comparisons": comparisons}


def _decided_comparison(comparison: Mapping[str, Any], p_holm: float | None, level: float) -> dict[str, Any]:
    if p_holm is None:
        return {**comparison, "verdict": "not run"}
    if p_holm < SIGNIFICANCE:
        return {**comparison, "p_holm": p_holm, "verdict": comparison["verdict_alone"]}
    return {**comparison, "p_holm": p_holm, "verdict": "undecided", **power(comparison, level)}


def _verdict(verdicts: Sequence[str]) -> str:
    """A claim fails with any of its orderings and holds with all of them."""
    if "fails" in verdicts:
        return "fails"
    if not verdicts or "not run" in verdicts:
        return "not run"
    return "holds" if set(verdicts) == {"holds"} else "undecided"


def _gold(cell: Cell, store: Store) -> dict[str, Any]:
    """What the judge cannot see: mean gold quality in [0, 1], mean length in words, answers that the limit cut off."""
    outputs = [parent for judged in cell.judgments for parent in judged.parents() if parent.step == "respond"]
    rows = [row for artifact in cell.gold for row in store.bind(artifact).rows(GoldQuality)]
    return {
        "model": cell.model,
        "method": cell.method,
        "bench": cell.bench,
        "gold_quality": fmean(row.quality for row in rows),
        "mean_words": fmean(row.words for row in rows),
        "cut_off": sum(store.record(output)["counts"]["cut_off"] for output in outputs),
        "answers": len(rows),
    }


def _commits(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The commits of the harness that these artifacts were made by."""
    return sorted({record["provenance"]["git"]["commit"] for record in records})


def _step(artifact: Artifact, record: Mapping[str, Any], ran: frozenset[str]) -> dict[str, Any]:
    """One step behind the table, with the time it took when it was run."""
    return {
        "step": artifact.step,
        "label": artifact.label,
        "key": artifact.key,
        "seconds": record["seconds"],
        "found": artifact.key not in ran,
    }
