"""`manifest.json`: all that a report says of a run, with the paper and its exhibits as they were used."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any

from harness.config.codec import decode, encode
from harness.errors import UserError
from harness.files import replace_file
from harness.papers.consistency import Finding
from harness.papers.kinds import AnyExhibit
from harness.papers.paper import Deviation, Paper
from harness.results.claims import ClaimResult
from harness.results.exhibits import Result
from harness.results.row_comparisons import RowComparison, Sweep

MANIFEST = "manifest.json"

MAX_NOTE = 400
"""Characters of what stands above a report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRecord:
    """The judge of a run; `fingerprint` covers model, prompt, parser and parameters.

    Of a run of exhibits that are as large as the paper's on every scale, and have no judge, all is empty.
    """

    name: str
    fingerprint: str
    prompt: str = ""
    parser: str = ""
    base_url: str = ""
    """Its endpoint; empty for an embedded judge."""


@dataclass(frozen=True, slots=True)
class Model:
    """The model that stands for one of the paper's base models in this run."""

    reference: str
    description: str = ""

    @property
    def label(self) -> str:
        """The name in a report."""
        return self.description or self.reference


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A run, as far as reports need it."""

    run: str
    """The name of the exhibit that was reproduced, or "all"."""
    paper: Paper
    scale: str
    recipe: str
    """The file of what filled the paper's roles."""
    fast: bool
    seeds: tuple[int, ...]
    options: dict[str, Any]
    """All that the user chose (`harness.run.options.Choice`)."""
    command: str
    started: str
    ended: str
    seconds: float
    store: str
    """Where the store is, as seen from the manifest's folder."""
    judge: JudgeRecord
    teacher: str
    provenance: dict[str, Any]
    stale: tuple[str, ...]
    """What of the steps was stale, by other code or other inputs."""
    stale_unknown: str
    """Of which steps it could not be told."""
    models: dict[str, Model]
    results: tuple[Result, ...]
    claims: tuple[ClaimResult, ...]
    n_tests: int
    """Tests of this run behind its claims, each counted once."""
    n_claims: int
    n_orderings: int
    """Claims of the whole paper and their different orderings: the two families that p-values are adjusted over."""
    seeds_for_verdict: int
    """How many training seeds a verdict on methods takes."""
    deviations: tuple[Deviation, ...]
    disagreements: tuple[Finding, ...]
    """Where the paper disagrees with itself."""
    steps: tuple[StepRecord, ...]
    comparisons: tuple[RowComparison, ...] = ()
    """Tests of rows that no claim is about, one family."""
    sweep: Sweep | None = None

    @property
    def exhibits(self) -> dict[str, AnyExhibit]:
        """The exhibits as published, by name, with the rows that the run adds to them."""
        return {result.exhibit.name: result.exhibit for result in self.results}

    @property
    def is_own_size(self) -> bool:
        """Whether all exhibits are reproduced as large as in the paper, whatever the scale."""
        return all(result.exhibit.is_own_size for result in self.results)

    @property
    def limit(self) -> int | None:
        """The most rows of each data set that were used, where that was asked for."""
        return self.options.get("limit")

    @property
    def stale_note(self) -> str:
        """The warning before any number where artifacts are stale; else empty."""
        if not self.stale:
            return ""
        of = f"{sum(bool(step.stale) for step in self.steps)} of {len(self.steps)} steps"
        text = f"Stale: {of} are not what the code of this run would give: {'; '.join(self.stale)}."
        return shorten(text, MAX_NOTE, placeholder=" … (all of it under Provenance)")

    @property
    def reduced(self) -> str:
        """The reduction of the run against its scale; empty where there is none."""
        if self.limit:
            return f"at most {self.limit} rows of each data set"
        return "fast: reduced counts" if self.fast else ""

    @property
    def selection(self) -> str:
        """The base models and methods that alone were asked for; empty for all."""
        selected = ((name, self.options.get(name) or ()) for name in ("models", "methods"))
        return "; ".join(f"{name} {', '.join(values)} alone" for name, values in selected if values)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into the folder, which is made if need be, in one piece.

    Raises UserError where the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_encoded(manifest), indent=1, ensure_ascii=False) + "\n"
        replace_file(folder / MANIFEST, text.encode("utf-8"))
    except OSError as error:
        raise UserError(f"cannot write the report to {folder} ({error.strerror}); remove what is in its way") from None


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the run in `folder`. Raises UserError where there is none that this version can read."""
    path = folder / MANIFEST
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


def parse_manifest(content: Any, where: str = MANIFEST) -> Manifest:
    """Decode a manifest from its JSON. Raises UserError where it is not as this version writes it."""
    return decode(Manifest, _with_paper(content), where)


def _encoded(manifest: Manifest) -> dict[str, Any]:
    """Encode a manifest as JSON. The paper stands once, not in each of its exhibits."""
    content: dict[str, Any] = encode(manifest)
    for result in content["results"]:
        del result["exhibit"]["paper"]
    return content


def _with_paper(content: Any) -> Any:
    """Return the JSON of a manifest with the paper in each of its exhibits, as far as it has any."""

    def with_paper(result: Any) -> Any:
        exhibit = result.get("exhibit") if isinstance(result, Mapping) else None
        if not isinstance(exhibit, Mapping):
            return result
        return {**result, "exhibit": {**exhibit, "paper": content.get("paper")}}

    if not isinstance(content, Mapping) or not isinstance(content.get("results"), list):
        return content
    return {**content, "results": [with_paper(result) for result in content["results"]]}
