"""What a finished run says of itself: `manifest.json`, the one file that reports read."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.config.yaml_files import path_text
from harness.engine.artifacts import Artifact, ancestry
from harness.engine.store import Store
from harness.errors import UserError
from harness.experiments import Experiment, Request
from harness.files import replace_file
from harness.papers import load_deviations
from harness.provenance import provenance
from harness.recipes.registries import packages_used
from harness.run.claims import decide_claims


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
            "prompt": path_text(scale.prompts_path) if scale.truth_is_known else "the benches' own",
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
        **decide_claims(experiments, store),
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


def keep_fuller_report(folder: Path, content: Mapping[str, Any]) -> Path | None:
    """Move a report out of `folder` that has something in it which the one with the manifest `content` has not.

    Returns where it is kept, beside the folder, so that it still finds its store; None where nothing would be lost.
    Raises UserError where it cannot be moved.
    """
    earlier = _read(folder / "manifest.json")
    if earlier is None or _shown(earlier) <= _shown(content):
        return None
    places = (folder.with_name(f"{folder.name}-{count}") for count in itertools.count(1))
    kept = next(place for place in places if not place.exists())
    try:
        folder.rename(kept)
    except OSError as error:
        mend = "fix that, or name another --run-dir"
        raise UserError(f"cannot keep the report in {folder} as {kept} ({error.strerror}); {mend}") from None
    return kept


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a manifest; None where there is none, or none that can be read."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


_SELECTIONS = ("seeds", "models", "methods", "compute")
"""What of a choice says how much is shown, which the parts show themselves, or how it is made."""


def _shown(content: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    """All that a report has a number or a text of: by what was chosen, exhibit, base model, row and training seed."""
    asked = content.get("asked") or {}
    chosen = json.dumps({name: value for name, value in asked.items() if name not in _SELECTIONS}, sort_keys=True)
    return {
        (chosen, part.get("name"), model, row, seed)
        for part in content.get("parts", ())
        for model in part.get("models") or ("",)
        for row in part.get("rows") or ("",)
        for seed in content.get("seeds", ())
    }


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
