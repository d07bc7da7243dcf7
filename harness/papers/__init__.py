"""Published results as data: a paper with its tables and figures (exhibits), its claims, and our deviations from it.

``configs/papers/<paper>/paper.yaml`` says what the paper is. Each other file there is one exhibit, under the name that
`harness reproduce` knows it by; no two papers have one of the same name.
"""

from harness.papers.exhibits import (
    EVEN,
    KINDS,
    AnyExhibit,
    BenchSettings,
    Claim,
    Column,
    Comparison,
    Exhibit,
    HistogramFigure,
    HistogramPanel,
    Match,
    Row,
    SampleGroup,
    SampleTable,
    ScoreTable,
    SettingsTable,
    ValueSet,
    WinRateTable,
)
from harness.papers.loading import (
    PAPER_FILE,
    exhibit_names,
    load_deviations,
    load_exhibit,
    load_exhibits,
    load_paper,
    papers,
)
from harness.papers.paper import Deviation, Disagreement, Number, Paper, Statement

__all__ = [
    "EVEN",
    "KINDS",
    "PAPER_FILE",
    "AnyExhibit",
    "BenchSettings",
    "Claim",
    "Column",
    "Comparison",
    "Deviation",
    "Disagreement",
    "Exhibit",
    "HistogramFigure",
    "HistogramPanel",
    "Match",
    "Number",
    "Paper",
    "Row",
    "SampleGroup",
    "SampleTable",
    "ScoreTable",
    "SettingsTable",
    "Statement",
    "ValueSet",
    "WinRateTable",
    "exhibit_names",
    "load_deviations",
    "load_exhibit",
    "load_exhibits",
    "load_paper",
    "papers",
]
