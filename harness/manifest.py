"""What a finished run says of itself: `manifest.json`, the one file that reports read."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from evals.stats.power import SIGNIFICANCE, power
from harness.core.artifacts import Artifact, ancestry
from harness.core.errors import UserError
from harness.core.files import replace_file
from harness.core.papers import Claim, Comparison, load_deviations
from harness.core.provenance import provenance
from harness.core.store import Store, place
from harness.experiments import Experiment, Request
from harness.registries import packages_used

VERDICT_ON_CLAIM = {"better": "holds", "worse": "fails", "undecided": "undecided"}


@dataclass(frozen=True, slots=True)
class Run:
    """How and when a run was made; `ran` holds the keys of the artifacts it made.

    `store` is where the store is, as seen from the manifest's folder.
    """

    command: str
    started: datetime
    ended: datetime
    ran: frozenset[str]
    store: str


def manifest(name: str, experiments: Sequence[Experiment], request: Request, store: Store, run: Run) -> dict[str, Any]:
    """The manifest of the run `name`, whose artifacts are all in the store; JSON values."""
    scale, paper = request.scale, experiments[0].exhibit.paper
    made = [(one, store.record(one)) for one in _behind(experiments) if store.has(one)]
    stale = store.staleness(one for one, _ in made)
    claims = [_claim(claim, experiment, store) for experiment in experiments for claim in experiment.exhibit.claims]
    adjusted = holm_adjusted(comparison for claim in claims for comparison in claim["comparisons"])
    fingerprints = {bench: each for experiment in experiments for bench, each in experiment.fingerprints.items()}
    models = dict.fromkeys(model for experiment in experiments for model in experiment.models)
    return {
        "run": name,
        "paper": paper.name,
        "scale": scale.name,
        "fast": scale.is_reduced,
        "seeds": list(request.seeds),
        "models_asked": list(request.models),
        "methods_asked": list(request.methods),
        "asked": request.asked,
        "command": run.command,
        "started": run.started.isoformat(timespec="seconds"),
        "ended": run.ended.isoformat(timespec="seconds"),
        "seconds": round((run.ended - run.started).total_seconds(), 1),
        "store": run.store,
        "judge": {
            "name": scale.judge.model,
            "fingerprint": ", ".join(f"{bench} {print_}" for bench, print_ in fingerprints.items()),
            "prompt": f"configs/prompts/{scale.prompts}.yaml" if scale.truth_is_known else "the benches' own",
            "parser": "harness/steps/verdicts.py",
            "base_url": scale.judge.reference().base_url,
        },
        "teacher": scale.teacher,
        "provenance": {**provenance(), "artifact_commits": _commits(record for _, record in made)}
        | {"outside": packages_used()},
        "stale": stale.lines,
        "stale_unknown": stale.unknown_line,
        "models": {name: asdict(scale.models[name]) for name in models},
        "parts": [experiment.part(store) for experiment in experiments],
        "n_tests": len(adjusted),
        "claims": [decided(claim, adjusted) for claim in claims],
        "deviations": [asdict(deviation) for deviation in load_deviations(paper.name)],
        "steps": [_step(artifact, record, run.ran, stale.why(artifact.key)) for artifact, record in made],
    }


def _behind(experiments: Sequence[Experiment]) -> list[Artifact]:
    return ancestry(target for experiment in experiments for target in experiment.targets())


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


def _claim(claim: Claim, experiment: Experiment, store: Store) -> dict[str, Any]:
    """The claim with its tests, each by itself."""
    comparisons = [
        _comparison(experiment, store, model, each)
        for each in claim.comparisons
        for model in each.models
        if model in experiment.models
    ]
    return {
        "id": claim.id,
        "exhibit": experiment.exhibit.name,
        "says": claim.says,
        "where": claim.where,
        "comparisons": comparisons,
    }


def _comparison(experiment: Experiment, store: Store, model: str, stated: Comparison) -> dict[str, Any]:
    names = {"better": stated.better, "worse": stated.worse, "bench": stated.bench, "metric": stated.metric}
    where: dict[str, Any] = {"model": model, **names}
    test = experiment.test(model, stated)
    if test is None:
        return where
    where["test"] = _place_of(test, experiment.test(model, replace(stated, better=stated.worse, worse=stated.better)))
    result = store.bind(test).json("comparison.json")[stated.metric]
    if result["verdict"] == "withheld":
        return {**where, "note": f"withheld: {result['withheld']}"}
    figures = ("difference", "ci95", "p_value", "n_prompts", "prompt_error", "seed_error")
    return {
        **where,
        **{name: result[name] for name in figures},
        "unit": result.get("unit", "points"),
        "verdict_alone": VERDICT_ON_CLAIM[result["verdict"]],
    }


def _place_of(test: Artifact, reverse: Artifact | None) -> str:
    """Where a test lies in the store. It is one test with its reverse, where an exhibit states it both ways round."""
    return min(place(each) for each in (test, reverse) if each is not None)


TestName = tuple[str, str]


def _test_name(comparison: Mapping[str, Any]) -> TestName:
    """What makes two comparisons the same test: where it lies, and which of its metrics is meant."""
    return comparison["test"], comparison["metric"]


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
    comparisons = [_decided_comparison(each, adjusted, level) for each in claim["comparisons"]]
    return {**claim, "verdict": _verdict([each["verdict"] for each in comparisons]), "comparisons": comparisons}


def _decided_comparison(
    comparison: Mapping[str, Any], adjusted: Mapping[TestName, float], level: float
) -> dict[str, Any]:
    if "p_value" not in comparison:
        return {**comparison, "verdict": "not run"}
    p_holm = adjusted[_test_name(comparison)]
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


def _commits(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The commits of the harness that these artifacts were made by."""
    return sorted({record["provenance"]["git"]["commit"] for record in records})


def _step(artifact: Artifact, record: Mapping[str, Any], ran: frozenset[str], stale: str) -> dict[str, Any]:
    """One step behind the table, with the time it took when it was run, and why it is stale if it is."""
    return {
        "step": artifact.step,
        "label": artifact.label,
        "key": artifact.key,
        "seconds": record["seconds"],
        "found": artifact.key not in ran,
        "counts": record["counts"],
        "stale": stale,
    }
