"""What a finished run says of itself: `manifest.json`, the one file that reports read."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.core.artifacts import Artifact, ancestry
from harness.core.errors import UserError
from harness.core.files import replace_file
from harness.core.papers import Claim, load_deviations
from harness.core.provenance import provenance
from harness.core.store import Store
from harness.experiments import Cell, Experiment, Test
from harness.steps.gold import GoldQuality

VERDICT_ON_CLAIM = {"better": "holds", "worse": "fails", "undecided": "undecided", "withheld": "not run"}


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
        "claims": [_claim(claim, experiment, store) for claim in table.claims],
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
                "value": scores["mean"][column.metric],
                "ci95": scores["ci95"][column.metric],
                "per_seed": scores["per_seed"][column.metric],
                "n": experiment.scale.benches[cell.bench].baselines.size,
                "n_missing": scores["n_missing"],
                "judge": experiment.fingerprints[cell.bench],
                "artifact": f"{cell.score.step}/{cell.score.key}",
                "note": _why_withheld(scores) if scores["mean"][column.metric] is None else "",
            }


def _why_withheld(scores: Mapping[str, Any]) -> str:
    return scores["withheld"] or scores.get("length_controlled_withheld") or ""


def _claim(claim: Claim, experiment: Experiment, store: Store) -> dict[str, Any]:
    results = {(test.model, test.better, test.worse, test.bench): test for test in experiment.tests}
    comparisons = [
        _comparison(results.get((model, each.better, each.worse, each.bench)), store, model, asdict(each))
        for each in claim.comparisons
        for model in each.models
        if model in experiment.models
    ]
    verdict = _verdict([each["verdict"] for each in comparisons])
    return {"id": claim.id, "says": claim.says, "where": claim.where, "verdict": verdict, "comparisons": comparisons}


def _comparison(test: Test | None, store: Store, model: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    place = {"model": model, **{name: stated[name] for name in ("better", "worse", "bench", "metric")}}
    if test is None:
        return {**place, "verdict": "not run"}
    result = store.bind(test.result).json("comparison.json")[stated["metric"]]
    figures = {name: result[name] for name in ("difference", "ci95", "p_value", "n_prompts") if name in result}
    return {**place, **figures, "verdict": VERDICT_ON_CLAIM[result["verdict"]]}


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
