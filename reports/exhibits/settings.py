"""The settings of each benchmark (Table 2 of SGPO)."""

from harness.errors import unknown
from harness.papers.settings import BenchSettings
from harness.results.exhibits import EvaluationSetting, SettingsResult
from harness.results.manifest import Manifest
from reports.blocks import Block, Cell, Column, Differing, Group, Records, Row, Table
from reports.measured import source

SETTINGS = {
    "examples": "# examples",
    "baseline": "baseline model",
    "judge": "judge model",
    "scoring": "scoring",
    "metrics": "metric",
}
"""Field of `EvaluationSetting` -> the head of its column."""


def settings(manifest: Manifest, result: SettingsResult) -> tuple[list[Block], Records]:
    """Tabulate ours above the paper's for each benchmark, what differs marked.

    Raises UserError for an unknown benchmark.
    """
    exhibit = result.exhibit
    published = {each.bench: each for each in exhibit.benches}
    groups, records = [], []
    for ours in result.benches:
        if ours.bench not in published:
            raise unknown(f"bench of {exhibit.paper.name} {exhibit.name}", ours.bench, published)
        paper = published[ours.bench]
        differ = {name: getattr(ours, name) != getattr(paper, name) for name in SETTINGS}
        here = {name: _ours(ours, paper, name) for name in SETTINGS}
        there = {name: _papers(paper, name) for name in SETTINGS}
        cells: tuple[Cell, ...] = tuple(Differing(here[name]) if differ[name] else here[name] for name in SETTINGS)
        groups.append(Group((Row(("ours", *cells)), Row(("the paper", *there.values()))), heading=paper.label))
        records += [(ours.bench, name, here[name], there[name], differ[name]) for name in SETTINGS]
    table = Table(
        columns=(
            Column(""),
            *(Column(head, wraps=0 if name == "examples" else 0.18) for name, head in SETTINGS.items()),
        ),
        groups=tuple(groups),
        name=exhibit.name,
        caption=f"{exhibit.caption}. Ours above the paper's; ≠ marks what differs",
        source=source(manifest, exhibit),
    )
    return [table], Records(("bench", "setting", "ours", "paper", "differs"), tuple(records))


def _ours(setting: EvaluationSetting, paper: BenchSettings, name: str) -> str:
    """Describe our setting in words, the same metrics in the paper's.

    Of orders the paper says nothing: they are only told.
    """
    if name == "metrics":
        same = setting.metrics == paper.metrics
        return paper.metrics_label if same else " & ".join(metric.replace("_", " ") for metric in setting.metrics)
    return f"{setting.scoring}, {setting.orders}" if name == "scoring" else str(getattr(setting, name))


def _papers(setting: BenchSettings, name: str) -> str:
    return setting.metrics_label if name == "metrics" else str(getattr(setting, name))
