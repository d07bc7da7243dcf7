"""`manifest.json`, the one file of a run that reports read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from harness.core.config import from_mapping
from harness.core.errors import UserError
from harness.core.papers import Deviation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Judge:
    """The judge of a run; `fingerprint` covers model, prompt, parser and parameters."""

    name: str
    fingerprint: str
    prompt: str = ""
    parser: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """What stands for one of the paper's base models in this run."""

    reference: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Standard errors of a score in points, by what they come from; None where a part cannot be told apart."""

    prompts: float
    judge: float | None
    training_seeds: float | None
    total: float


@dataclass(frozen=True, slots=True)
class Score:
    """One of our cells, in per cent. `value` is None when it was withheld; `note` says why.

    `n` is the number of prompts; `n_asked` verdicts were asked for over all training seeds, of which `n_missing` are
    not there. `uncertainty` is None with one training seed and one verdict a pair.
    """

    model: str
    method: str
    bench: str
    metric: str
    value: float | None
    ci95: tuple[float, float] | None = None
    n: int | None = None
    n_asked: int | None = None
    n_missing: int = 0
    uncertainty: Uncertainty | None = None
    judge: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """One paired test; `difference` is better minus worse, in points.

    `p_value` is of this test by itself; `p_holm` and `verdict` are of it as one of the `Manifest.n_tests` of the
    report. Beside an undecided verdict stand `minimum_detectable_effect` (points) and `n_needed` (prompts), at the
    level that Holm's method leaves to the first of these. `note` says why a comparison was withheld.
    """

    model: str
    better: str
    worse: str
    bench: str
    metric: str
    verdict: str
    difference: float | None = None
    ci95: tuple[float, float] | None = None
    p_value: float | None = None
    p_holm: float | None = None
    minimum_detectable_effect: float | None = None
    n_needed: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """One claim of the paper with the outcome of its paired tests."""

    id: str
    says: str
    where: str
    verdict: str
    comparisons: tuple[ComparisonResult, ...] = ()


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of the graph: how long it took when it was run, and whether this run found it in the store."""

    step: str
    label: str
    key: str
    seconds: float
    found: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """A run, as far as reports need it."""

    experiment: str
    paper: str
    scale: str
    fast: bool
    seeds: tuple[int, ...]
    command: str
    started: str
    ended: str
    seconds: float
    judge: Judge
    provenance: dict[str, Any]
    models: dict[str, Model]
    rows: tuple[str, ...]
    added_rows: dict[str, str]
    """Methods of this run that the paper's table does not have, with what each one is."""
    cells: tuple[Score, ...]
    n_tests: int
    """Tests behind the claims, each counted once: the family that the p-values are adjusted over."""
    claims: tuple[ClaimResult, ...]
    deviations: tuple[Deviation, ...]
    steps: tuple[StepRecord, ...] = ()
    diagnostics: tuple[dict[str, Any], ...] = ()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the run in `folder`. Raises UserError when there is none or it is damaged."""
    path = folder / "manifest.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name the folder of a finished run") from None
    except ValueError:
        raise UserError(f"{path} is not JSON; run the same command again to write it anew") from None
    return parse_manifest(content, str(path))


def parse_manifest(content: Mapping[str, Any], where: str = "manifest.json") -> Manifest:
    """The manifest from its JSON. Keys that reports do not read are passed over; a missing one is a UserError."""
    if not isinstance(content, Mapping):
        raise UserError(f"{where}: expected a mapping")
    known = _known(Manifest, content)
    known["judge"] = _known(Judge, known.get("judge"))
    known["models"] = {name: _known(Model, model) for name, model in known.get("models", {}).items()}
    known["cells"] = [_known_score(cell) for cell in known.get("cells", ())]
    known["steps"] = [_known(StepRecord, step) for step in known.get("steps", ())]
    known["claims"] = [_known_claim(claim) for claim in known.get("claims", ())]
    return from_mapping(Manifest, known, where)


def _known_score(cell: Any) -> Any:
    known = _known(Score, cell)
    if isinstance(known, dict) and "uncertainty" in known:
        known["uncertainty"] = _known(Uncertainty, known["uncertainty"])
    return known


def _known_claim(claim: Any) -> Any:
    known = _known(ClaimResult, claim)
    if isinstance(known, dict):
        known["comparisons"] = [_known(ComparisonResult, item) for item in known.get("comparisons", ())]
    return known


def _known(record: type, value: Any) -> Any:
    """`value` without the keys that `record` does not have."""
    if not isinstance(value, Mapping):
        return value
    names = {field.name for field in fields(record)}
    return {key: item for key, item in value.items() if key in names}
