"""Papers and their exhibits from ``configs/papers``."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from harness.config import yaml_files
from harness.config.yaml_files import config_path, from_mapping, load_yaml, read_yaml
from harness.errors import UserError, unknown
from harness.papers.exhibits import KINDS, AnyExhibit, WinRateTable, require_distinct
from harness.papers.paper import Deviation, Paper

PAPER_FILE = "paper.yaml"


def papers() -> tuple[str, ...]:
    """The papers there are, sorted."""
    return tuple(sorted(path.parent.name for path in yaml_files.CONFIGS.glob(f"papers/*/{PAPER_FILE}")))


def exhibit_names() -> dict[str, str]:
    """Each exhibit's name with the paper it belongs to, paper by paper, each in the order of `_names_in`.

    Raises UserError where two papers have an exhibit of the same name.
    """
    owners: dict[str, str] = {}
    for paper in papers():
        for name in _names_in(paper):
            if name in owners:
                raise UserError(
                    f"the papers {owners[name]} and {paper} both have an exhibit {name!r}; rename the file of one"
                )
            owners[name] = paper
    return owners


def _names_in(paper: str) -> list[str]:
    """The names of a paper's exhibits in the order of their labels: tables, figures, then others."""
    files = (yaml_files.CONFIGS / "papers" / paper / "exhibits").glob("*.yaml")
    return sorted((path.stem for path in files), key=_order)


def _order(name: str) -> tuple[int, int, str]:
    kind = name.rstrip("0123456789")
    number = name.removeprefix(kind)
    kinds = ("table", "fig")
    return kinds.index(kind) if kind in kinds else len(kinds), int(number or 0), name


def load_paper(name: str) -> Paper:
    """``configs/papers/<name>/paper.yaml``. Raises UserError for an unknown paper, with the nearest known one."""
    if name not in papers():
        raise unknown("paper", name, papers())
    return _paper(config_path(f"papers/{name}/{PAPER_FILE}"))


@cache
def _paper(path: Path) -> Paper:
    return load_yaml(path, Paper)


def load_exhibit(paper: str, name: str) -> AnyExhibit:
    """``configs/papers/<paper>/exhibits/<name>.yaml``.

    Raises UserError for an unknown kind and where the exhibit names something that it or the paper does not have.
    """
    return _exhibit(config_path(f"papers/{paper}/{PAPER_FILE}"), config_path(f"papers/{paper}/exhibits/{name}.yaml"))


@cache
def _exhibit(about_paper: Path, path: Path) -> AnyExhibit:
    """`load_exhibit` from its two files. A report asks for each exhibit many times; none changes during a run."""
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


@cache
def _content(path: Path) -> Any:
    return read_yaml(path)


def load_exhibits(paper: str) -> tuple[AnyExhibit, ...]:
    """Every exhibit of the paper.

    Raises UserError as `load_exhibit` does, and where two claims, or two matches, have one id.
    """
    exhibits = tuple(load_exhibit(paper, name) for name in _names_in(paper))
    matches = (match.id for exhibit in exhibits if isinstance(exhibit, WinRateTable) for match in exhibit.matches)
    try:
        require_distinct("claim", (claim.id for exhibit in exhibits for claim in exhibit.claims))
        require_distinct("match", matches)
    except UserError as error:
        raise UserError(f"configs/papers/{paper}: {error}") from None
    return exhibits


def _check(exhibit: AnyExhibit) -> None:
    """Raises UserError where a name leads nowhere."""
    for model in exhibit.models:
        exhibit.paper.model(model)
    exhibit.check()
    for comparison in (comparison for claim in exhibit.claims for comparison in claim.comparisons):
        exhibit.measure(comparison.bench, comparison.metric)
        exhibit.subject(comparison.better)
        exhibit.subject(comparison.worse)
        for model in comparison.models:
            if model not in exhibit.models:
                raise unknown(f"model of {exhibit.name}", model, exhibit.models)


def load_deviations(paper: str) -> tuple[Deviation, ...]:
    """The ledger ``configs/papers/<paper>/deviations.yaml``, in its order."""
    path = config_path(f"papers/{paper}/deviations.yaml")
    ledger: Any = tuple[Deviation, ...]
    deviations: tuple[Deviation, ...] = from_mapping(ledger, read_yaml(path), str(path))
    return deviations
