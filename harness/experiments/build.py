"""From the name of an exhibit to its experiment."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.errors import UserError, unknown
from harness.experiments.bandit import bandit
from harness.experiments.curves import curves
from harness.experiments.histograms import histograms
from harness.experiments.interface import Experiment, Request
from harness.experiments.samples import samples
from harness.experiments.scores import scores
from harness.experiments.settings import settings
from harness.experiments.win_rates import win_rates
from harness.papers.bandit import BanditFigure
from harness.papers.curves import CurveFigure
from harness.papers.histograms import HistogramFigure
from harness.papers.kinds import AnyExhibit
from harness.papers.loading import load_exhibit, load_exhibits
from harness.papers.names import ALL, ExhibitName, find_exhibit
from harness.papers.samples import SampleTable
from harness.papers.scores import ScoreTable
from harness.papers.settings import SettingsTable
from harness.papers.win_rates import WinRateTable
from harness.recipes.recipe import Recipe

BUILDERS: dict[type[AnyExhibit], Callable[[Any, Request], Experiment]] = {
    ScoreTable: scores,
    WinRateTable: win_rates,
    HistogramFigure: histograms,
    SettingsTable: settings,
    SampleTable: samples,
    BanditFigure: bandit,
    CurveFigure: curves,
}


def build_experiments(name: str | ExhibitName, request: Request) -> list[Experiment]:
    """Build the experiment `name`, or all of a paper, without those that have none of the selected models or methods.

    A selected method that no chosen table has becomes an added row of each score table.
    Raises UserError for unknown names, each with the nearest known one, and where nothing is left.
    """
    exhibits = _exhibits(find_exhibit(str(name)))
    if not exhibits:
        raise UserError(f"{name} is empty: its paper has no exhibits; write one to its folder exhibits")
    _require_paper(exhibits[0].paper.name, request.recipe)
    if not any(isinstance(exhibit, ScoreTable) for exhibit in exhibits):
        _require_no_rows(name, request)
    if request.models and not any(exhibit.models for exhibit in exhibits):
        raise UserError(f"--models selects base models, and {name} is on none; leave it out")
    added = _added_rows(exhibits, request)
    exhibits = [each.with_rows(added) if isinstance(each, ScoreTable) else each for each in exhibits]
    request = replace(request, added=tuple(added))
    _require_known(exhibits, request)
    _require_models(exhibits, request)
    by_itself = len(exhibits) == 1
    built = [_build(exhibit, request, by_itself) for exhibit in exhibits if _is_selected(exhibit, request)]
    if not built:
        raise UserError(f"{name} is not on any of the models {', '.join(request.models)}; it is on {_models(exhibits)}")
    return built


def _build(exhibit: AnyExhibit, request: Request, by_itself: bool) -> Experiment:
    own = request.for_exhibit(exhibit, by_itself=by_itself)
    experiment = BUILDERS[type(exhibit)](exhibit, own)
    return experiment if own.seeds == request.seeds else replace(experiment, seeds=own.seeds)


def _exhibits(name: ExhibitName) -> list[AnyExhibit]:
    return [*load_exhibits(name.paper)] if name.name == ALL else [load_exhibit(name.paper, name.name)]


def _require_paper(paper: str, recipe: Recipe) -> None:
    """Raise UserError for a recipe of another paper, whose roles are others even where they have the same names."""
    if recipe.paper != paper:
        raise UserError(
            f"{recipe.where} is a recipe of the paper {recipe.paper}, not of {paper}; choose one of"
            f" `harness list scales`, or write `paper: {paper}` in yours"
        )


def _require_no_rows(name: str | ExhibitName, request: Request) -> None:
    """Raise UserError for an option about rows of score tables, where there is no such table."""
    if request.methods:
        raise UserError(f"--methods selects rows of score tables, and {name} is none; leave it out")
    if request.against:
        raise UserError(f"--against tests rows of score tables, and {name} is none; leave it out")


def _added_rows(exhibits: list[AnyExhibit], request: Request) -> dict[str, str]:
    """Return the selected methods that no table has a row for, and what each is."""
    known = {row.method for exhibit in exhibits if isinstance(exhibit, ScoreTable) for row in exhibit.rows}
    asked = dict.fromkeys((*request.methods, *request.against))
    return {name: request.recipe.card(name).summary for name in asked if name not in known}


def _require_known(exhibits: list[AnyExhibit], request: Request) -> None:
    known = {model for exhibit in exhibits for model in exhibit.models} & set(request.recipe.base_models)
    for model in request.models:
        if model not in known and model not in request.recipe.base_models:
            raise unknown("model", model, sorted(known))


def _require_models(exhibits: list[AnyExhibit], request: Request) -> None:
    """Raise UserError for all of a paper on a scale with models for part of it, unless models are selected."""
    recipe = request.recipe
    lacking = [exhibit.name for exhibit in exhibits if exhibit.models and not _on_scale([exhibit], recipe)]
    if lacking and not request.models and (on_scale := _on_scale(exhibits, recipe)):
        raise UserError(
            f"the scale {recipe.name} of {recipe.paper} has no model for {', '.join(lacking)};"
            f" --models {','.join(on_scale)} runs the others, or choose another scale"
        )


def _on_scale(exhibits: list[AnyExhibit], recipe: Recipe) -> list[str]:
    """Return the base models of exhibits that the scale has."""
    return [model for model in recipe.base_models if any(model in exhibit.models for exhibit in exhibits)]


def _is_selected(exhibit: AnyExhibit, request: Request) -> bool:
    """Return whether the selection leaves something of an exhibit; it does not touch one without models or methods."""
    if exhibit.models and not request.models_of(exhibit):
        return False
    if not isinstance(exhibit, ScoreTable) or not request.methods:
        return True
    return any(row.method in request.methods for row in exhibit.rows)


def _models(exhibits: list[AnyExhibit]) -> str:
    return ", ".join(dict.fromkeys(model for exhibit in exhibits for model in exhibit.models))
