"""Tables of benchmark scores: methods by metrics, on base models."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.errors import UserError, named
from harness.papers.exhibit import Exhibit, require_distinct
from harness.papers.paper import Number


@dataclass(frozen=True, slots=True)
class ScoreColumn:
    """One metric of a table, with the judge and the baseline the paper used for it, where anything is judged."""

    id: str
    bench: str
    metric: str
    bench_label: str
    label: str
    judge: str = ""
    baseline: str = ""


@dataclass(frozen=True, slots=True)
class MethodRow:
    """One method: our name and the paper's label. `added` says what a row is that the paper does not have.

    `described` holds the paper's words on it, one for each of the table's `descriptions`.
    """

    method: str
    label: str
    added: str = ""
    described: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable(Exhibit):
    """A table of benchmark scores. `cells` holds the printed numbers as model -> method -> column id."""

    decimals: int
    descriptions: tuple[str, ...] = ()
    """Heads of the columns that say in words what each row is, as in Tables 4, 5 and 7."""
    columns: tuple[ScoreColumn, ...]
    rows: tuple[MethodRow, ...]
    cells: dict[str, dict[str, dict[str, float]]]

    def subject(self, id: str) -> str:
        """Return the paper's label of one of our methods."""
        return self.row(id).label

    def measure(self, bench: str, metric: str) -> str:
        """Return ``AlpacaEval 2.0 LC``."""
        column = self.column(bench, metric)
        return f"{column.bench_label} {column.label.removesuffix(' (%)')}"

    def column(self, bench: str, metric: str) -> ScoreColumn:
        """Return the column of one metric. Raises UserError with the nearest name."""
        columns = {f"{column.bench}/{column.metric}": column for column in self.columns}
        return named(f"column of {self.paper.name} {self.name}", f"{bench}/{metric}", columns)

    def row(self, method: str) -> MethodRow:
        """Return the row of one of our methods. Raises UserError with the nearest name."""
        return named(f"row of {self.paper.name} {self.name}", method, {row.method: row for row in self.rows})

    def with_rows(self, added: Mapping[str, str]) -> "ScoreTable":
        """Return the table with a row for each method in `added` (method -> what it is) that the paper does not
        have."""
        known = {row.method for row in self.rows}
        empty = ("",) * len(self.descriptions)
        rows = (MethodRow(method, method, what, empty) for method, what in added.items() if method not in known)
        return replace(self, rows=(*self.rows, *rows))

    def published(self, model: str, method: str, column: ScoreColumn) -> float | None:
        """Return the printed number, or None where the paper has none."""
        return self.cells.get(model, {}).get(method, {}).get(column.id)

    def numbers(self) -> dict[str, Number]:
        """Return the numbers by ``model/method/column id``."""
        cells = ((model, row, column) for model in self.models for row in self.rows for column in self.columns)
        return {
            f"{model}/{row.method}/{column.id}": number
            for model, row, column in cells
            if (number := self.number(model, row.method, column.bench, column.metric))
        }

    def number(self, model: str, id: str, bench: str, metric: str) -> Number | None:
        """Return the printed cell of a method."""
        value = self.published(model, id, self.column(bench, metric))
        if value is None:
            return None
        label = f"{self.label}: {self.paper.model(model)}, {self.subject(id)}, {self.measure(bench, metric)}"
        return Number(value, self.decimals, (model, id, bench, metric), label)

    def check(self) -> None:
        """Raise UserError where a cell or a claim names a model, method or column that the table does not have."""
        columns = {column.id: column for column in self.columns}
        for model, methods in self.cells.items():
            self.paper.model(model)
            for method, cells in methods.items():
                self.row(method)
                for column in cells:
                    named("column id", column, columns)
        if stray := next((row.method for row in self.rows if len(row.described) != len(self.descriptions)), None):
            raise UserError(f"row {stray!r} needs {len(self.descriptions)} descriptions")
        require_distinct("row", (row.method for row in self.rows))
        require_distinct("column id", (column.id for column in self.columns))
