"""A paper as pandas DataFrames: what it prints and claims, and where we depart from it."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.papers.claims import Comparison
from harness.papers.consistency import Finding, check_paper
from harness.papers.kinds import KINDS, AnyExhibit
from harness.papers.loading import load_deviations, load_exhibits, load_paper
from harness.papers.paper import Deviation, Number, Paper
from harness.papers.scores import ScoreTable

if TYPE_CHECKING:
    from pandas import DataFrame

_PLACE = ("model", "method", "bench", "metric")
_NUMBERS = ("exhibit", "place", *_PLACE, "published", "decimals", "label")
_EXHIBITS = ("exhibit", "kind", "label", "caption", "where", "models", "numbers", "claims")
_CLAIMS = ("exhibit", "claim", "says", "where", "quantifier", "model", "better", "worse", "bench", "metric")


@dataclass(frozen=True)
class PaperFrames:
    """A paper, and what is known of it as DataFrames. Each is made when it is first asked for."""

    paper: Paper

    @cached_property
    def exhibits(self) -> "DataFrame":
        """Its tables and figures: kind, caption, base models, and how many numbers and claims each has."""
        return _frame(map(_exhibit, self._loaded), _EXHIBITS)

    @cached_property
    def numbers(self) -> "DataFrame":
        """Every printed number: its `place` in the exhibit, and of a table of scores model, method, bench and metric,
        as in the scores of a run."""
        return _frame(_numbers(self._loaded), _NUMBERS)

    @cached_property
    def claims(self) -> "DataFrame":
        """Every ordering of every claim, one for each base model that it is stated for."""
        return _frame(_orderings(self._loaded), _CLAIMS)

    @cached_property
    def deviations(self) -> "DataFrame":
        """Where we depart from the paper: what it says, what we do, and why."""
        return _frame(map(asdict, load_deviations(self.paper.name)), _names(Deviation))

    @cached_property
    def disagreements(self) -> "DataFrame":
        """Where the paper disagrees with itself, as ``harness paper check`` finds it."""
        return _frame(map(asdict, check_paper(self.paper.name)), _names(Finding))

    @property
    def _loaded(self) -> tuple[AnyExhibit, ...]:
        return load_exhibits(self.paper.name)


def paper_frames(name: str) -> PaperFrames:
    """Read the paper `name`. Raises UserError for an unknown one, with the nearest known, and for a damaged one."""
    return PaperFrames(load_paper(name))


def _frame(rows: Iterable[dict[str, Any]], columns: tuple[str, ...]) -> "DataFrame":
    from pandas import DataFrame

    return DataFrame(list(rows), columns=list(columns))


def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _exhibit(exhibit: AnyExhibit) -> dict[str, Any]:
    return {
        "exhibit": exhibit.name,
        "kind": next(kind for kind, of in KINDS.items() if isinstance(exhibit, of)),
        "label": exhibit.label,
        "caption": exhibit.caption,
        "where": exhibit.where,
        "models": exhibit.models,
        "numbers": len(exhibit.numbers()),
        "claims": len(exhibit.claims),
    }


def _numbers(exhibits: Iterable[AnyExhibit]) -> Iterator[dict[str, Any]]:
    for exhibit in exhibits:
        for place, number in exhibit.numbers().items():
            yield {"exhibit": exhibit.name, "place": place, **_number(exhibit, number)}


def _number(exhibit: AnyExhibit, number: Number) -> dict[str, Any]:
    """Return a number with the cell that it is of, where it is that of a table of scores."""
    cell = number.quantity if isinstance(exhibit, ScoreTable) else (None,) * len(_PLACE)
    figures = {"published": number.value, "decimals": number.decimals, "label": number.label}
    return {**dict(zip(_PLACE, cell, strict=True)), **figures}


def _orderings(exhibits: Iterable[AnyExhibit]) -> Iterator[dict[str, Any]]:
    for exhibit in exhibits:
        for claim in exhibit.claims:
            names = {name: getattr(claim, name) for name in ("says", "where", "quantifier")}
            for model, stated in claim.orderings():
                yield {"exhibit": exhibit.name, "claim": claim.id, **names, "model": model, **_stated(stated)}


def _stated(ordering: Comparison) -> dict[str, str]:
    return {name: getattr(ordering, name) for name in ("better", "worse", "bench", "metric")}
