"""Published results as data: a paper's table with its claims, and the ledger of what we do differently."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.core.config import config_path, from_mapping, load_yaml, read_yaml
from harness.core.errors import UserError, unknown


@dataclass(frozen=True, slots=True)
class Column:
    """One metric of the table, with the judge and the baseline the paper used for it."""

    id: str
    bench: str
    metric: str
    bench_label: str
    label: str
    judge: str
    baseline: str


@dataclass(frozen=True, slots=True)
class Row:
    """One method: our name and the paper's label. `added` says what a row is that the paper does not have."""

    method: str
    label: str
    added: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """An ordering the paper states: `better` scores above `worse`, for each of `models`."""

    better: str
    worse: str
    bench: str
    metric: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """Something the paper says about its table, as orderings, and where it says so."""

    id: str
    says: str
    where: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A place where the paper's text and its table disagree."""

    where: str
    text: str
    table: str
    note: str


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A published table. `cells` holds the printed numbers as model -> method -> column id."""

    paper: str
    title: str
    arxiv: str
    table: str
    label: str
    caption: str
    where: str
    scale: str
    decimals: int
    models: dict[str, str]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    cells: dict[str, dict[str, dict[str, float]]]
    claims: tuple[Claim, ...] = ()
    discrepancies: tuple[Discrepancy, ...] = ()

    def model(self, name: str) -> str:
        """The paper's name of one of our base models. Raises UserError with the nearest name."""
        if name in self.models:
            return self.models[name]
        raise unknown(f"model of {self.paper} {self.table}", name, self.models)

    def column(self, bench: str, metric: str) -> Column:
        """The column of one metric. Raises UserError with the nearest name."""
        columns = {f"{column.bench}/{column.metric}": column for column in self.columns}
        name = f"{bench}/{metric}"
        if name in columns:
            return columns[name]
        raise unknown(f"column of {self.paper} {self.table}", name, columns)

    def row(self, method: str) -> Row:
        """The row of one of our methods. Raises UserError with the nearest name."""
        rows = {row.method: row for row in self.rows}
        if method in rows:
            return rows[method]
        raise unknown(f"row of {self.paper} {self.table}", method, rows)

    def with_rows(self, added: Mapping[str, str]) -> "PaperTable":
        """The table with a row for each method in `added` (method -> what it is) that the paper does not have."""
        known = {row.method for row in self.rows}
        rows = (Row(method, label=method, added=what) for method, what in added.items() if method not in known)
        return replace(self, rows=(*self.rows, *rows))

    def published(self, model: str, method: str, column: Column) -> float | None:
        """The printed number, or None where the paper has none."""
        return self.cells.get(model, {}).get(method, {}).get(column.id)


@dataclass(frozen=True, slots=True)
class Deviation:
    """What the paper says (or leaves open), what we do, and why."""

    id: str
    paper_says: str
    we_do: str
    why: str


def load_paper_table(paper: str, table: str) -> PaperTable:
    """``configs/papers/<paper>/<table>.yaml``. Raises UserError where it names a row or column that it has not."""
    path = config_path(f"papers/{paper}/{table}.yaml")
    loaded = load_yaml(path, PaperTable)
    try:
        _check_names(loaded)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return loaded


def load_deviations(paper: str) -> tuple[Deviation, ...]:
    """The ledger ``configs/deviations/<paper>.yaml``, in its order."""
    path = config_path(f"deviations/{paper}.yaml")
    ledger: Any = tuple[Deviation, ...]
    deviations: tuple[Deviation, ...] = from_mapping(ledger, read_yaml(path), str(path))
    return deviations


def _check_names(table: PaperTable) -> None:
    """Raises UserError where a cell or a claim names a model, method or column that the table does not have."""
    columns = tuple(column.id for column in table.columns)
    for model, methods in table.cells.items():
        table.model(model)
        for method, cells in methods.items():
            table.row(method)
            for column in cells:
                if column not in columns:
                    raise unknown("column id", column, columns)
    for comparison in (comparison for claim in table.claims for comparison in claim.comparisons):
        table.column(comparison.bench, comparison.metric)
        table.row(comparison.better)
        table.row(comparison.worse)
        for model in comparison.models:
            table.model(model)
