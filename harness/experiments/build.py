"""From the name of an exhibit to its experiment."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.errors import UserError, unknown
from harness.experiments.histograms import histograms
from harness.experiments.interface import Experiment, Request
from harness.experiments.samples import samples
from harness.experiments.scores import scores
from harness.experiments.settings import settings
from harness.experiments.win_rates import win_rates
from harness.papers import (
    AnyExhibit,
    HistogramFigure,
    SampleTable,
    ScoreTable,
    SettingsTable,
    WinRateTable,
    exhibit_names,
    load_exhibit,
)

ALL = "all"
"""In the place of an exhibit's name: all of them."""

BUILDERS: dict[type[AnyExhibit], Callable[[Any, Request], Experiment]] = {
    ScoreTable: scores,
    WinRateTable: win_rates,
    HistogramFigure: histograms,
    SettingsTable: settings,
    SampleTable: samples,
}


def build_experiments(name: str, request: Request) -> list[Experiment]:
    """The experiment `name`, or all there are, without those that have none of the selected models or methods.

    A selected method that no chosen table has becomes an added row of each score table.
    Raises UserError for unknown names, each with the nearest known one, and where nothing is left.
    """
    exhibits = _with_added_rows(_exhibits(name), request)
    if request.methods and not any(isinstance(exhibit, ScoreTable) for exhibit in exhibits):
        raise UserError(f"--methods selects rows of score tables, and {name} is none; leave it out")
    _require_known(exhibits, request)
    built = [BUILDERS[type(exhibit)](exhibit, request) for exhibit in exhibits if _is_selected(exhibit, request)]
    if not built:
        raise UserError(f"{name} is not on any of the models {', '.join(request.models)}; it is on {_models(exhibits)}")
    return built


def _exhibits(name: str) -> list[AnyExhibit]:
    names = exhibit_names()
    if name == ALL:
        _require_one_paper(set(names.values()))
        return [load_exhibit(paper, each) for each, paper in names.items()]
    if name not in names:
        raise _not_there(name, names)
    return [load_exhibit(names[name], name)]


def _not_there(name: str, names: Mapping[str, str]) -> UserError:
    """The error for a name that no experiment has: another table or figure of the paper is no misspelt one."""
    for known, paper in names.items():
        exhibit = load_exhibit(paper, known)
        groups = exhibit.groups if isinstance(exhibit, SampleTable) else ()
        if name in [group.of.lower().replace(" ", "") for group in groups]:
            return UserError(f"{name} shows examples, drawn anew; it is part of the experiment {known!r}")
    found = re.fullmatch("(table|fig)([0-9]{1,3})", name)
    alike = [known for known in names if found and re.fullmatch(f"{found[1]}[0-9]+", known)]
    largest = max((int(re.sub("[a-z]", "", known)) for known in alike), default=0)
    if found is None or not 0 < int(found[2]) < largest:
        return unknown("experiment", name, [*names, ALL])
    return UserError(
        f"there is no experiment {name!r}: a table or figure without results of a run has none"
        f" (known: {', '.join([*names, ALL])})"
    )


def _require_one_paper(papers: set[str]) -> None:
    """A report is on one paper. Raises UserError where there are exhibits of several."""
    if len(papers) > 1:
        raise UserError(f"{ALL} is a report on one paper, and there are {', '.join(sorted(papers))}; name one exhibit")


def _with_added_rows(exhibits: list[AnyExhibit], request: Request) -> list[AnyExhibit]:
    known = {row.method for exhibit in exhibits if isinstance(exhibit, ScoreTable) for row in exhibit.rows}
    added = {name: request.scale.card(name).summary for name in request.methods if name not in known}
    return [exhibit.with_rows(added) if isinstance(exhibit, ScoreTable) else exhibit for exhibit in exhibits]


def _require_known(exhibits: list[AnyExhibit], request: Request) -> None:
    known = {model for exhibit in exhibits for model in exhibit.models} & set(request.scale.base_models)
    for model in request.models:
        if model not in known and model not in request.scale.base_models:
            raise unknown("model", model, sorted(known))


def _is_selected(exhibit: AnyExhibit, request: Request) -> bool:
    """An exhibit without base models is always shown, one without methods of its own whichever are selected."""
    if exhibit.models and not request.models_of(exhibit):
        return False
    if not isinstance(exhibit, ScoreTable) or not request.methods:
        return True
    return any(row.method in request.methods for row in exhibit.rows)


def _models(exhibits: list[AnyExhibit]) -> str:
    return ", ".join(dict.fromkeys(model for exhibit in exhibits for model in exhibit.models))
