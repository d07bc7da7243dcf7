"""From the result of an exhibit to what is printed of it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.results.exhibits import (
    BanditResult,
    CurvesResult,
    HistogramsResult,
    Result,
    SamplesResult,
    ScoresResult,
    SettingsResult,
    WinRatesResult,
)
from harness.results.manifest import Manifest
from reports.blocks import Block, ExhibitView, Prose, Records, Section
from reports.exhibits.bandit import bandit
from reports.exhibits.curves import curves
from reports.exhibits.histograms import histograms
from reports.exhibits.samples import samples
from reports.exhibits.scores import scores
from reports.exhibits.settings import settings
from reports.exhibits.win_rates import win_rates

_VIEWS: dict[type[Result], Callable[[Manifest, Any], tuple[list[Block], Records]]] = {
    ScoresResult: scores,
    WinRatesResult: win_rates,
    HistogramsResult: histograms,
    SettingsResult: settings,
    SamplesResult: samples,
    BanditResult: bandit,
    CurvesResult: curves,
}


def view(manifest: Manifest, result: Result) -> ExhibitView:
    """Make what is printed of a result beside what the paper has. Raises UserError where the paper lacks some of it."""
    of_seeds = replace(manifest, seeds=result.seeds or manifest.seeds)
    blocks, records = _VIEWS[type(result)](of_seeds, result)
    exhibit = result.exhibit
    lead = Prose(f"{exhibit.caption} ({exhibit.where}).")
    section = Section(exhibit.name, exhibit.label, (lead, *blocks), about=exhibit.caption)
    return ExhibitView(section, records)
