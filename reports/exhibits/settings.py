"""How each benchmark was evaluated (Table 2 of SGPO)."""

from harness.core.errors import unknown
from harness.core.papers import SettingsTable
from reports.blocks import Block, Cell, Column, Differing, Group, Records, Row, Table
from reports.manifest import BenchSetting, Manifest, SettingsPart
from reports.measured import source

SETTINGS = {
    "examples": "# examples",
    "baseline": "baseline model",
    "judge": "judge model",
    "scoring": "scoring",
    "metrics": "metric",
}
"""Field of `BenchSetting` -> the head of its column."""


def settings(manifest: Manifest, part: SettingsPart, exhibit: SettingsTable) -> tuple[list[Block], Records]:
    """Ours above the paper's for each benchmark, what differs marked. Raises UserError for an unknown benchmark."""
    published = {each.bench: each for each in exhibit.benches}
    groups, records = [], []
    for ours in part.benches:
        if ours.bench not in published:
            raise unknown(f"bench of {exhibit.paper.name} {exhibit.name}", ours.bench, published)
        paper = published[ours.bench]
        pairs = {name: (_shown(ours, name), str(getattr(paper, name))) for name in SETTINGS}
        cells: tuple[Cell, ...] = tuple(here if here == there else Differing(here) for here, there in pairs.values())
        theirs = tuple(there for _, there in pairs.values())
        groups.append(Group((Row(("ours", *cells)), Row(("the paper", *theirs))), heading=paper.label))
        records += [(ours.bench, name, here, there, here != there) for name, (here, there) in pairs.items()]
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


def _shown(setting: BenchSetting, name: str) -> str:
    return str(getattr(setting, name))
