"""Published results as data: a paper's table with its claims, and the ledger of what we do differently."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.core.config import config_path, from_mapping, load_yaml, read_yaml
from harness.core.errors import unknown


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
    """One method: our name and the paper's label; `added` marks a row the paper does not have."""

    method: str
    label: str
    added: bool = False


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

    def row(self, method: str) -> Row:
        """The row of one of our methods. Raises UserError with the nearest name."""
        for row in self.rows:
            if row.method == method:
                return row
        raise unknown(f"row of {self.paper} {self.table}", method, (row.method for row in self.rows))

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
    """``configs/papers/<paper>/<table>.yaml``. Raises UserError where a cell or a claim names what the table does not have."""
    path = config_path(f"papers/{paper}/{table}.yaml")
    loaded = load_yaml(path, PaperTable)
    known = {
        "model": tuple(loaded.models),
        "method": tuple(row.method for row in loaded.rows),
        "column": tuple(column.id for column in loaded.columns),
        "metric": tuple(f"{column.bench}/{column.metric}" for column in loaded.columns),
    }
    for kind, name in _names_used(loaded):
        if name not in known[kind]:
            raise unknown(f"{kind} in {path}:", name, known[kind])
    return loaded


def load_deviations(paper: str) -> tuple[Deviation, ...]:
    """The ledger ``configs/deviations/<paper>.yaml``, in its order."""
    path = config_path(f"deviations/{paper}.yaml")
    ledger: Any = tuple[Deviation, ...]
    deviations: tuple[Deviation, ...] = from_mapping(ledger, read_yaml(path), str(path))
    return deviations


def _names_used(table: PaperTable) -> Iterator[tuple[str, str]]:
    """(kind, name) of everything that cells and claims refer to."""
    for model, methods in table.cells.items():
        yield "model", model
        for method, columns in methods.items():
            yield "method", method
            yield from (("column", column) for column in columns)
    for claim in table.claims:
        for comparison in claim.comparisons:
            yield "metric", f"{comparison.bench}/{comparison.metric}"
            yield from (("method", method) for method in (comparison.better, comparison.worse))
            yield from (("model", model) for model in comparison.models)
