"""Papers and their exhibits from their folders."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from harness.config.yaml_files import from_mapping, read_yaml
from harness.errors import UserError
from harness.papers.exhibit import require_distinct
from harness.papers.folders import PAPER_FILE, paper_file, paper_folder
from harness.papers.kinds import KINDS, AnyExhibit
from harness.papers.paper import Deviation, Paper
from harness.papers.win_rates import WinRateTable


def exhibit_names(paper: str) -> list[str]:
    """List a paper's exhibits in the order of their labels: tables, figures, then others."""
    return sorted((path.stem for path in (paper_folder(paper) / "exhibits").glob("*.yaml")), key=_order)


def _order(name: str) -> tuple[int, int, str]:
    kind = name.rstrip("0123456789")
    number = name.removeprefix(kind)
    kinds = ("table", "fig")
    return kinds.index(kind) if kind in kinds else len(kinds), int(number or 0), name


def load_paper(name: str) -> Paper:
    """Read a paper's ``paper.yaml``. Raises UserError for an unknown paper, with the nearest known one."""
    return _paper(paper_file(name, PAPER_FILE))


@cache
def _paper(path: Path) -> Paper:
    return from_mapping(Paper, _content(path), str(path))


@cache
def _content(path: Path) -> dict[str, Any]:
    """Return what a ``paper.yaml`` says, and the paper's name, which is its folder's."""
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: expected a mapping, such as title: ...")
    return {**content, "name": path.parent.name}


def load_exhibit(paper: str, name: str) -> AnyExhibit:
    """Read a paper's ``exhibits/<name>.yaml``.

    Raises UserError for an unknown kind and where the exhibit names something that it or the paper does not have.
    """
    return _exhibit(paper_file(paper, PAPER_FILE), paper_file(paper, f"exhibits/{name}.yaml"))


@cache
def _exhibit(about_paper: Path, path: Path) -> AnyExhibit:
    """Load an exhibit as `load_exhibit` does, from its two files.

    A report asks for each exhibit many times; none changes during a run.
    """
    content = read_yaml(path)
    if not isinstance(content, Mapping) or content.get("kind") not in KINDS:
        raise UserError(f"{path}: needs a kind, one of {', '.join(KINDS)}")
    whole: dict[str, Any] = {**content, "name": path.stem, "paper": _content(about_paper)}
    exhibit = from_mapping(KINDS[whole.pop("kind")], whole, str(path))
    try:
        _check(exhibit)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return exhibit


def load_exhibits(paper: str) -> tuple[AnyExhibit, ...]:
    """Read every exhibit of the paper.

    Raises UserError as `load_exhibit` does, and where two claims, or two matches, have one id.
    """
    exhibits = tuple(load_exhibit(paper, name) for name in exhibit_names(paper))
    matches = (match.id for exhibit in exhibits if isinstance(exhibit, WinRateTable) for match in exhibit.matches)
    try:
        require_distinct("claim", (claim.id for exhibit in exhibits for claim in exhibit.claims))
        require_distinct("match", matches)
    except UserError as error:
        raise UserError(f"{paper_folder(paper)}: {error}") from None
    return exhibits


def _check(exhibit: AnyExhibit) -> None:
    """Raise UserError where a name leads nowhere."""
    if exhibit.seeds < 1:
        raise UserError(f"seeds must be 1 or more, not {exhibit.seeds}")
    for model in exhibit.models:
        exhibit.paper.model(model)
    exhibit.check()
    for comparison in (comparison for claim in exhibit.claims for comparison in claim.comparisons):
        if exhibit.models and not comparison.models:
            raise UserError(f"a comparison of {comparison.better!r} with {comparison.worse!r} needs models")
        exhibit.measure(comparison.bench, comparison.metric)
        exhibit.subject(comparison.better)
        exhibit.subject(comparison.worse)
        exhibit.require_models(comparison.models)


def load_deviations(paper: str) -> tuple[Deviation, ...]:
    """Read the paper's ledger ``deviations.yaml``, in its order."""
    path = paper_file(paper, "deviations.yaml")
    ledger: Any = tuple[Deviation, ...]
    deviations: tuple[Deviation, ...] = from_mapping(ledger, read_yaml(path), str(path))
    return deviations
