"""The kinds of exhibits, by the word that their files have for it."""

from harness.papers.bandit import BanditFigure
from harness.papers.curves import CurveFigure
from harness.papers.histograms import HistogramFigure
from harness.papers.samples import SampleTable
from harness.papers.scores import ScoreTable
from harness.papers.settings import SettingsTable
from harness.papers.win_rates import WinRateTable

AnyExhibit = ScoreTable | WinRateTable | HistogramFigure | SettingsTable | SampleTable | BanditFigure | CurveFigure

KINDS: dict[str, type[AnyExhibit]] = {
    "scores": ScoreTable,
    "win_rates": WinRateTable,
    "histograms": HistogramFigure,
    "settings": SettingsTable,
    "samples": SampleTable,
    "bandit": BanditFigure,
    "curves": CurveFigure,
}
"""What the key `kind` of an exhibit's file can be."""
