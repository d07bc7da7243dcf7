"""Published results as data: a paper with its tables and figures (exhibits), its claims, and our deviations from it.

A paper is a folder, in ``configs/papers`` or elsewhere (`harness.papers.folders`): ``paper.yaml`` says what it is, each
file in ``exhibits`` is one exhibit, under the name that `harness reproduce` knows it by, after the paper's and a slash.
"""

from harness.papers.claims import EVEN, Claim, Comparison
from harness.papers.exhibit import Exhibit
from harness.papers.folders import DEFAULT_PAPER, paper_file, paper_folder, papers
from harness.papers.histograms import HistogramFigure, HistogramPanel, ValueSet
from harness.papers.kinds import AnyExhibit
from harness.papers.loading import exhibit_names, load_deviations, load_exhibit, load_exhibits, load_paper
from harness.papers.names import ALL, ExhibitName, find_exhibit, list_names
from harness.papers.paper import Deviation, Number, Paper
from harness.papers.samples import SampleGroup, SampleTable
from harness.papers.scores import MethodRow, ScoreColumn, ScoreTable
from harness.papers.settings import BenchSettings, SettingsTable
from harness.papers.win_rates import Match, WinRateTable

__all__ = [
    "ALL",
    "DEFAULT_PAPER",
    "EVEN",
    "AnyExhibit",
    "BenchSettings",
    "Claim",
    "Comparison",
    "Deviation",
    "Exhibit",
    "ExhibitName",
    "HistogramFigure",
    "HistogramPanel",
    "Match",
    "MethodRow",
    "Number",
    "Paper",
    "SampleGroup",
    "SampleTable",
    "ScoreColumn",
    "ScoreTable",
    "SettingsTable",
    "ValueSet",
    "WinRateTable",
    "exhibit_names",
    "find_exhibit",
    "list_names",
    "load_deviations",
    "load_exhibit",
    "load_exhibits",
    "load_paper",
    "paper_file",
    "paper_folder",
    "papers",
]
