"""The averages that SAPO (arXiv 2405.20830) prints, computed from the scores beside them."""

from collections.abc import Iterator, Mapping
from statistics import fmean

from harness.papers.checks import Found
from harness.papers.kinds import AnyExhibit
from harness.papers.scores import ScoreTable

MEANS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "table1": {"average": ("arc_challenge", "truthfulqa", "winogrande", "gsm8k", "hellaswag", "mmlu")},
    "table2": {"mt": ("mt1", "mt2")},
    "table5": {"mt": ("mt1", "mt2")},
}
"""By exhibit, each column that is the mean of others."""
_SLACK = 1e-9


def check(exhibits: Mapping[str, AnyExhibit]) -> Iterator[Found]:
    """Yield the averages that the scores cannot be rounded to, and how one of them turns an ordering round."""
    for name, means in MEANS.items():
        table = exhibits[name]
        assert isinstance(table, ScoreTable)
        for model, rows in table.cells.items():
            for row in rows:
                for column, parts in means.items():
                    yield from _mean(table, model, row, column, parts)


def _mean(table: ScoreTable, model: str, row: str, column: str, parts: tuple[str, ...]) -> Iterator[Found]:
    cells = table.cells[model][row]
    printed, mean = cells[column], fmean(cells[part] for part in parts)
    unit = 10.0**-table.decimals
    if abs(printed - mean) <= unit + _SLACK:  # each rounded, up or down where it lies between two
        return
    turned = [other for other, of in table.cells[model].items() if (of[column] - printed) * (of[column] - mean) < 0]
    notes = f"With it, these change sides: {', '.join(map(table.subject, turned))}." if turned else ""
    yield (
        table.label,
        f"{table.paper.model(model)}, {table.subject(row)}: an average of {printed:.{table.decimals}f}",
        f"the mean of its {len(parts)} scores is {mean:.{table.decimals}f}",
        notes,
    )
