"""`manifest.json`, the one file of a run that reports read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal, TypeVar

from harness.config.yaml_files import from_mapping
from harness.errors import UserError
from harness.papers import Deviation

T = TypeVar("T")

MAX_NOTE = 400
"""Characters of what stands above a report."""


@dataclass(frozen=True, slots=True)
class Judge:
    """The judge of a run; `fingerprint` covers model, prompt, parser and parameters."""

    name: str
    fingerprint: str
    prompt: str = ""
    parser: str = ""
    base_url: str = ""
    """Its endpoint; empty for an embedded judge."""


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
    judgments: tuple[str, ...] = ()
    """Where the verdicts, or the rows of a bench without a judge, lie in the store, one place a training seed."""
    artifact: str = ""
    """Where the score lies in the store."""


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """One paired test; `difference` is better minus worse, in `unit` (worse minus better where less is better).

    `ci95` is of the difference by itself; `p_value` is of its test with the family's spread of training seeds, `p_holm`
    of it as one of the paper's `Manifest.n_orderings`. `verdict` is "holds", "fails" or "undecided" on methods; with
    too few training seeds "above", "below" or "undecided" on these checkpoints. Beside an undecided one stand
    `minimum_detectable_effect` (in `unit`) and what would decide a difference of the size observed: `prompts_needed`,
    `seeds_needed`, and in words the one that is `needed`. One that is "withheld" has a `note` that says why; one that
    is "not run" lacks a side.
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
    prompts_needed: int | None = None
    seeds_needed: int | None = None
    needed: str = ""
    unit: str = "points"
    note: str = ""


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """One claim of the paper about one of its exhibits, with the outcome of its paired tests.

    `verdict` is "holds", "fails" or "undecided", with `p_adjusted` as one of the paper's `Manifest.n_claims`; "not run"
    where not all of it was, on `only_models` where that is some of its base models; "withheld" where some comparison
    is; "no verdict" with too few training seeds. `quantifier` says of how many orderings it must be found: "all" or
    "most". `contained_in` names claims of the paper that say all that it says, and more.
    """

    id: str
    exhibit: str
    says: str
    where: str
    verdict: str
    quantifier: str = "all"
    p_adjusted: float | None = None
    only_models: tuple[str, ...] = ()
    contained_in: tuple[str, ...] = ()
    comparisons: tuple[ComparisonResult, ...] = ()


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of the graph: how long it took when it was run, and whether this run found it in the store.

    `counts` is what its record counts, such as rows, calls, tokens and dollars. `stale` says why code or inputs as they
    were at the time of the run would not have given it; it is empty for nearly all.
    """

    step: str
    label: str
    key: str
    seconds: float
    found: bool
    counts: dict[str, float] = field(default_factory=dict)
    stale: str = ""


@dataclass(frozen=True, slots=True)
class RateMove:
    """By how many points a score moves at half and at twice a learning rate; None where that is not known."""

    bench: str
    metric: str
    half: float | None
    twice: float | None


@dataclass(frozen=True, slots=True)
class RowRate:
    """The learning rate of a method's preference stage on one base model, and what chose it, in words."""

    model: str
    method: str
    rate: float
    chosen: str
    moves: tuple[RateMove, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoresPart:
    """A table of benchmark scores (`harness.papers.ScoreTable`): the base models and rows that were run."""

    kind: Literal["scores"]
    name: str
    models: tuple[str, ...]
    rows: tuple[str, ...]
    added_rows: dict[str, str]
    """Methods of this run that the paper's table does not have, with what each one is."""
    cells: tuple[Score, ...]
    diagnostics: tuple[dict[str, Any], ...] = ()
    learning_rates: tuple[RowRate, ...] = ()
    """Of the rows that end with a preference stage."""


@dataclass(frozen=True, slots=True)
class WinRate:
    """The judge's win rate of one match on one base model, in per cent of `n` prompts, each judged in both orders.

    `wins`, `draws` and `losses` count prompts, over all training seeds. `consistency` is the share of prompts, in per
    cent, on which both orders agree.
    `value` is None when it was withheld; `note` says why.
    """

    model: str
    match: str
    value: float | None
    ci95: tuple[float, float] | None = None
    n: int | None = None
    n_asked: int | None = None
    n_missing: int = 0
    wins: int | None = None
    draws: int | None = None
    losses: int | None = None
    consistency: float | None = None
    uncertainty: Uncertainty | None = None
    judge: str = ""
    note: str = ""
    judgments: tuple[str, ...] = ()
    """Where the verdicts lie in the store, one place a training seed."""


@dataclass(frozen=True, slots=True)
class WinRatesPart:
    """Judge win rates between sets of responses (`harness.papers.WinRateTable`)."""

    kind: Literal["win_rates"]
    name: str
    models: tuple[str, ...]
    cells: tuple[WinRate, ...]


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one set of responses on one base model, one for each response."""

    model: str
    panel: int
    set: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """How many improver examples the filter kept of how many, on one base model."""

    model: str
    kept: int
    of: int


@dataclass(frozen=True, slots=True)
class HistogramsPart:
    """Histograms (`harness.papers.HistogramFigure`), of the first training seed."""

    kind: Literal["histograms"]
    name: str
    models: tuple[str, ...]
    unit: str
    """What the values are counted in, such as words."""
    values: tuple[Values, ...]
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True)
class BenchSetting:
    """How one benchmark was evaluated in this run, in the terms of `harness.papers.BenchSettings`.

    `orders` says in how many orders the judge is shown a pair.
    """

    bench: str
    examples: int
    baseline: str
    judge: str
    scoring: str
    orders: str
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SettingsPart:
    """Evaluation details (`harness.papers.SettingsTable`)."""

    kind: Literal["settings"]
    name: str
    benches: tuple[BenchSetting, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """The responses to one prompt: column label -> text."""

    prompt_id: str
    prompt: str
    responses: dict[str, str]


@dataclass(frozen=True, slots=True)
class SampleSet:
    """The samples of one group: its place among the groups of `harness.papers.SampleTable`."""

    group: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class SamplesPart:
    """Examples of responses (`harness.papers.SampleTable`), of the first training seed."""

    kind: Literal["samples"]
    name: str
    groups: tuple[SampleSet, ...]


Part = ScoresPart | WinRatesPart | HistogramsPart | SettingsPart | SamplesPart


@dataclass(frozen=True, slots=True)
class Manifest:
    """A run, as far as reports need it."""

    run: str
    """The name of the exhibit that was reproduced, or "all"."""
    paper: str
    scale: str
    fast: bool
    seeds: tuple[int, ...]
    models_asked: tuple[str, ...]
    """The base models and methods that were asked for; none for all."""
    methods_asked: tuple[str, ...]
    command: str
    started: str
    ended: str
    seconds: float
    store: str
    """Where the artifacts are, as seen from the manifest's folder."""
    judge: Judge
    provenance: dict[str, Any]
    models: dict[str, Model]
    parts: tuple[Part, ...]
    n_tests: int
    """Tests of this run behind its claims, each counted once."""
    n_claims: int
    """Claims of the whole paper, and their different orderings: the two families that p-values are adjusted over."""
    n_orderings: int
    seeds_for_verdict: int
    """How many training seeds a verdict on methods takes."""
    claims: tuple[ClaimResult, ...]
    deviations: tuple[Deviation, ...]
    steps: tuple[StepRecord, ...] = ()
    teacher: str = ""
    stale: tuple[str, ...] | None = None
    """What of the steps was stale, by other code or other inputs; None in a manifest from before that was looked at."""
    stale_unknown: str = ""
    """Of which steps it could not be told."""
    asked: dict[str, Any] | None = None
    """What the user chose, wholly (`harness.run.options.Choice`)."""

    @property
    def limit(self) -> int | None:
        """How many rows of each data set were used at most, where that was asked for."""
        return (self.asked or {}).get("limit")

    @property
    def stale_note(self) -> str:
        """What a reader must know before any number, where artifacts are stale; else empty."""
        if not self.stale:
            return ""
        of = f"{sum(bool(step.stale) for step in self.steps)} of {len(self.steps)} steps"
        said = f"Stale: {of} are not what the code of this run would give: {'; '.join(self.stale)}."
        return shorten(said, MAX_NOTE, placeholder=" … (all of it under Provenance)")

    @property
    def reduced(self) -> str:
        """What the run has less of than its scale; empty where nothing."""
        if self.limit:
            return f"at most {self.limit} rows of each data set"
        return "fast: reduced counts" if self.fast else ""

    @property
    def selection(self) -> str:
        """Which base models and methods alone were asked for; empty for all."""
        chosen = (("models", self.models_asked), ("methods", self.methods_asked))
        return "; ".join(f"{what} {', '.join(names)} alone" for what, names in chosen if names)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the run in `folder`. Raises UserError where there is none that this version can read."""
    path = folder / "manifest.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name the folder of a finished run") from None
    except ValueError:
        raise UserError(f"{path} is not JSON; run the command that made it again") from None
    try:
        return parse_manifest(content, str(path))
    except UserError as error:
        command = content.get("command") if isinstance(content, Mapping) else None
        same = f"`{command}`" if isinstance(command, str) and command else "the command that made it"
        mend = f"run {same} again, which finds what it made and writes it anew"
        raise UserError(f"{error}: it is damaged or of another version; {mend}") from None


def parse_manifest(content: Mapping[str, Any], where: str = "manifest.json") -> Manifest:
    """The manifest from its JSON. Keys that reports do not read are passed over; a missing one is a UserError."""
    if not isinstance(content, Mapping):
        raise UserError(f"{where}: expected a mapping")
    known = _known(Manifest, content)
    for name in ("parts", "steps", "claims"):
        if not isinstance(known.get(name, []), list):
            raise UserError(f"{where}: {name}: expected a list")
    if not isinstance(known.get("models", {}), Mapping):
        raise UserError(f"{where}: models: expected a mapping")
    known["judge"] = _known(Judge, known.get("judge"))
    known["models"] = {name: _known(Model, model) for name, model in known.get("models", {}).items()}
    known["parts"] = [_known_part(part) for part in known.get("parts", ())]
    known["steps"] = [_known(StepRecord, step) for step in known.get("steps", ())]
    known["claims"] = [_known_claim(claim) for claim in known.get("claims", ())]
    manifest = from_mapping(Manifest, {**known, "parts": []}, where)
    return replace(manifest, parts=tuple(_part(part, where) for part in known["parts"]))


_PARTS: dict[str, type[Part]] = {
    "scores": ScoresPart,
    "win_rates": WinRatesPart,
    "histograms": HistogramsPart,
    "settings": SettingsPart,
    "samples": SamplesPart,
}


def _part(part: Any, where: str) -> Part:
    """One part by its kind, so that an error is about that kind."""
    kind = part.get("kind") if isinstance(part, Mapping) else None
    if kind not in _PARTS:
        raise UserError(f"{where}: a part needs a kind, one of {', '.join(_PARTS)}")
    return from_mapping(_PARTS[kind], part, f"{where}: {part.get('name', kind)}")


def _known_part(part: Any) -> Any:
    if not isinstance(part, Mapping) or part.get("kind") not in _PARTS:
        return part
    known = _known(_PARTS[part["kind"]], part)
    if "cells" in known:
        record = Score if part["kind"] == "scores" else WinRate
        known["cells"] = [_known_cell(record, cell) for cell in known["cells"]]
    return known


def _known_cell(record: type, cell: Any) -> Any:
    known = _known(record, cell)
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
