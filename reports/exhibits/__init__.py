"""From a part of a run and the exhibit it fills to what is printed of it."""

from collections.abc import Callable
from typing import Any

from harness.errors import UserError
from harness.papers import AnyExhibit, HistogramFigure, SampleTable, ScoreTable, SettingsTable, WinRateTable
from reports.blocks import Block, ExhibitView, Prose, Records, Section
from reports.exhibits.histograms import histograms
from reports.exhibits.samples import samples
from reports.exhibits.scores import scores
from reports.exhibits.settings import settings
from reports.exhibits.win_rates import win_rates
from reports.manifest import (
    HistogramsPart,
    Manifest,
    Part,
    SamplesPart,
    ScoresPart,
    SettingsPart,
    WinRatesPart,
)

_VIEWS: dict[type[Part], tuple[type[AnyExhibit], Callable[[Manifest, Any, Any], tuple[list[Block], Records]]]] = {
    ScoresPart: (ScoreTable, scores),
    WinRatesPart: (WinRateTable, win_rates),
    HistogramsPart: (HistogramFigure, histograms),
    SettingsPart: (SettingsTable, settings),
    SamplesPart: (SampleTable, samples),
}


def view(manifest: Manifest, part: Part, exhibit: AnyExhibit) -> ExhibitView:
    """What is printed of one part beside the paper's exhibit.

    Raises UserError where the exhibit is of another kind, or lacks what the part has.
    """
    kind, make = _VIEWS[type(part)]
    if not isinstance(exhibit, kind):
        raise UserError(f"{part.name} of {exhibit.paper.name} is no exhibit of {part.kind}; run the same command again")
    blocks, records = make(manifest, part, exhibit)
    lead = Prose(f"{exhibit.caption} ({exhibit.where}).")
    section = Section(exhibit.name, exhibit.label, (lead, *blocks), about=exhibit.caption)
    return ExhibitView(section, records)
