"""The tables and figures of a paper (exhibits) as they are printed, and what it claims about them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.errors import UserError, unknown
from harness.papers.paper import Number, Paper


@dataclass(frozen=True, slots=True)
class Comparison:
    """An ordering the paper states: `better` is above `worse` (below it, where less is better), for each of `models`.

    Both are rows of the exhibit, or `EVEN` for a win rate of 50 %.
    """

    better: str
    worse: str
    bench: str
    metric: str
    models: tuple[str, ...]


EVEN = "even"
"""In the place of a row: what a win rate is compared with where neither side is better."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Something the paper says about an exhibit, as orderings, and where it says so.

    With the quantifier "all" it holds with every ordering and fails with any that is reversed; with "most", where the
    paper says "most", it holds with more than half of them and fails where at least half are reversed.
    """

    id: str
    says: str
    where: str
    comparisons: tuple[Comparison, ...]
    quantifier: Literal["all", "most"] = "all"

    def orderings(self) -> Iterator[tuple[str, Comparison]]:
        """Each ordering with each base model that it is stated for."""
        return ((model, each) for each in self.comparisons for model in each.models)

    @property
    def n_orderings(self) -> int:
        """How many tests the claim rests on."""
        return sum(1 for _ in self.orderings())

    @property
    def at_least(self) -> int:
        """How many of its orderings have to hold."""
        return self.n_orderings if self.quantifier == "all" else self.n_orderings // 2 + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """A table or figure of a paper, on some of its base models."""

    name: str
    paper: Paper
    label: str
    """The paper's, such as "Table 3"."""
    caption: str
    where: str
    models: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()

    @property
    def less_is_better(self) -> bool:
        """Whether a claim's `better` is the lower one."""
        return False

    def subject(self, id: str) -> str:
        """The paper's label of what a claim compares. Raises UserError for an unknown one."""
        raise UserError(f"{self.name} has nothing that a claim could compare, such as {id!r}")

    def measure(self, bench: str, metric: str) -> str:
        """What a claim compares by, in the paper's words. Raises UserError for an unknown one."""
        raise UserError(f"{self.name} has nothing that a claim could compare by, such as {bench}/{metric}")

    def numbers(self) -> dict[str, Number]:
        """The printed numbers, by their place in the exhibit."""
        return {}

    def number(self, model: str, id: str, bench: str, metric: str) -> Number | None:
        """The printed number of what a claim compares, or None where nothing is printed."""
        return None

    def check(self) -> None:
        """Raises UserError where the exhibit contradicts itself."""


@dataclass(frozen=True, slots=True)
class Column:
    """One metric of a table, with the judge and the baseline the paper used for it."""

    id: str
    bench: str
    metric: str
    bench_label: str
    label: str
    judge: str
    baseline: str


@dataclass(frozen=True, slots=True)
class Row:
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
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    cells: dict[str, dict[str, dict[str, float]]]

    def subject(self, id: str) -> str:
        """The paper's label of one of our methods."""
        return self.row(id).label

    def measure(self, bench: str, metric: str) -> str:
        """``AlpacaEval 2.0 LC``."""
        column = self.column(bench, metric)
        return f"{column.bench_label} {column.label.removesuffix(' (%)')}"

    def column(self, bench: str, metric: str) -> Column:
        """The column of one metric. Raises UserError with the nearest name."""
        columns = {f"{column.bench}/{column.metric}": column for column in self.columns}
        name = f"{bench}/{metric}"
        if name in columns:
            return columns[name]
        raise unknown(f"column of {self.paper.name} {self.name}", name, columns)

    def row(self, method: str) -> Row:
        """The row of one of our methods. Raises UserError with the nearest name."""
        rows = {row.method: row for row in self.rows}
        if method in rows:
            return rows[method]
        raise unknown(f"row of {self.paper.name} {self.name}", method, rows)

    def with_rows(self, added: Mapping[str, str]) -> "ScoreTable":
        """The table with a row for each method in `added` (method -> what it is) that the paper does not have."""
        known = {row.method for row in self.rows}
        empty = ("",) * len(self.descriptions)
        rows = (Row(method, method, what, empty) for method, what in added.items() if method not in known)
        return replace(self, rows=(*self.rows, *rows))

    def published(self, model: str, method: str, column: Column) -> float | None:
        """The printed number, or None where the paper has none."""
        return self.cells.get(model, {}).get(method, {}).get(column.id)

    def numbers(self) -> dict[str, Number]:
        """By ``model/method/column id``."""
        cells = ((model, row, column) for model in self.models for row in self.rows for column in self.columns)
        return {
            f"{model}/{row.method}/{column.id}": number
            for model, row, column in cells
            if (number := self.number(model, row.method, column.bench, column.metric))
        }

    def number(self, model: str, id: str, bench: str, metric: str) -> Number | None:
        """The printed cell of a method."""
        value = self.published(model, id, self.column(bench, metric))
        if value is None:
            return None
        label = f"{self.label}: {self.paper.model(model)}, {self.subject(id)}, {self.measure(bench, metric)}"
        return Number(value, self.decimals, (model, id, bench, metric), label)

    def check(self) -> None:
        """Raises UserError where a cell or a claim names a model, method or column that the table does not have."""
        columns = tuple(column.id for column in self.columns)
        for model, methods in self.cells.items():
            self.paper.model(model)
            for method, cells in methods.items():
                self.row(method)
                for column in cells:
                    if column not in columns:
                        raise unknown("column id", column, columns)
        if stray := next((row.method for row in self.rows if len(row.described) != len(self.descriptions)), None):
            raise UserError(f"row {stray!r} needs {len(self.descriptions)} descriptions")
        require_distinct("row", (row.method for row in self.rows))
        require_distinct("column id", columns)


@dataclass(frozen=True, slots=True)
class Match:
    """One set of responses against another, by the judge's win rate. `published` is None where nothing is printed.

    `data` is a data role, the sides are sets of responses that `method` declares: by default the paper's own method,
    which bears the paper's name. `approximate` marks a number that the text rounds.
    """

    id: str
    label: str
    data: str
    outputs: str
    baselines: str
    method: str = ""
    group: str = ""
    """What rows that belong together have in common, such as the data set."""
    published: float | None = None
    approximate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRateTable(Exhibit):
    """Judge win rates between sets of responses, on `prompts` randomly drawn prompts (all where None)."""

    decimals: int
    prompts: int | None = None
    judge: str
    as_figure: bool = False
    """Whether the paper draws them (figures 8 and 10) instead of printing a table."""
    matches: tuple[Match, ...]

    def subject(self, id: str) -> str:
        """The label of one match with its group, or of an even win rate."""
        if id == EVEN:
            return "50 %"
        match = self.match(id)
        return f"{match.group}: {match.label}" if match.group else match.label

    def measure(self, bench: str, metric: str) -> str:
        """``judge win rate``."""
        if (bench, metric) != ("pairwise", "win_rate"):
            raise unknown(f"measure of {self.paper.name} {self.name}", f"{bench}/{metric}", ["pairwise/win_rate"])
        return "judge win rate"

    def match(self, id: str) -> Match:
        """One match. Raises UserError with the nearest id."""
        matches = {match.id: match for match in self.matches}
        if id in matches:
            return matches[id]
        raise unknown(f"match of {self.paper.name} {self.name}", id, [*matches, EVEN])

    def numbers(self) -> dict[str, Number]:
        """By the match's id."""
        printed = ((match.id, self._number(match)) for match in self.matches)
        return {id: number for id, number in printed if number}

    def number(self, model: str, id: str, bench: str, metric: str) -> Number | None:
        """The printed win rate, which is of all base models where the exhibit has several."""
        return Number(50, 0, (EVEN,), self.subject(EVEN)) if id == EVEN else self._number(self.match(id))

    def _number(self, match: Match) -> Number | None:
        if match.published is None:
            return None
        decimals = -1 if match.approximate else self.decimals
        return Number(match.published, decimals, (self.name, match.id), f"{self.label}: {self.subject(match.id)}")

    def check(self) -> None:
        """Raises UserError where two matches have one id."""
        require_distinct("match", [EVEN, *(match.id for match in self.matches)])


@dataclass(frozen=True, slots=True)
class ValueSet:
    """One of the overlaid sets of a histogram. `filtered` sets are those that the IQR rule keeps (section 3.1.2)."""

    id: str
    label: str
    responses: str
    filtered: bool = False


@dataclass(frozen=True, slots=True)
class HistogramPanel:
    """One histogram of a figure."""

    title: str
    sets: tuple[ValueSet, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramFigure(Exhibit):
    """Histograms of a measure of responses to `prompts` randomly drawn prompts (all where None) of a data role.

    `distance_from` is the set that edit distances are measured from; perplexities are under the checkpoint of the
    method `under`. Sets of responses are those of the paper's own method.
    """

    quantity: Literal["edit_distance", "perplexity"]
    data: str
    prompts: int | None = None
    distance_from: str | None = None
    under: str | None = None
    log_scale: bool = False
    x: str
    y: str
    panels: tuple[HistogramPanel, ...]
    kept: dict[str, int] = field(default_factory=dict)
    """Published number of improver examples that the filter keeps, by base model (section 4.1.1)."""
    kept_of: int | None = None
    """Of how many, where that is known."""

    @property
    def less_is_better(self) -> bool:
        """Distances and perplexities."""
        return True

    def subject(self, id: str) -> str:
        """The label of one set of values. Raises UserError with the nearest id."""
        sets = {each.id: each.label for panel in self.panels for each in panel.sets}
        if id in sets:
            return sets[id]
        raise unknown(f"set of {self.paper.name} {self.name}", id, sets)

    def measure(self, bench: str, metric: str) -> str:
        """``edit distance`` or ``log-perplexity``, both better when less."""
        names = {"edit_distance/tokens": "edit distance", "perplexity/log_perplexity": "log-perplexity"}
        name = f"{bench}/{metric}"
        if name in names and bench == self.quantity:
            return names[name]
        raise unknown(f"measure of {self.paper.name} {self.name}", name, names)

    def numbers(self) -> dict[str, Number]:
        """The published number of kept examples, by base model."""
        return {
            model: Number(count, 0, (self.name, model), f"examples kept for {self.paper.model(model)}")
            for model, count in self.kept.items()
        }

    def check(self) -> None:
        """Raises UserError where the figure lacks what its quantity is measured from or under, or repeats an id."""
        needed = "distance_from" if self.quantity == "edit_distance" else "under"
        if getattr(self, needed) is None:
            raise UserError(f"a figure of {self.quantity} needs {needed!r}")
        for model in self.kept:
            if model not in self.models:
                raise unknown(f"model of {self.name}", model, self.models)
        require_distinct("set", (each.id for panel in self.panels for each in panel.sets))


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """What the paper's Table 2 says of one benchmark: its `metrics` by our names, and in its words."""

    bench: str
    label: str
    examples: int
    baseline: str
    judge: str
    scoring: str
    metrics: tuple[str, ...]
    metrics_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsTable(Exhibit):
    """How each benchmark is evaluated."""

    benches: tuple[BenchSettings, ...]

    def numbers(self) -> dict[str, Number]:
        """The number of examples, by bench."""
        return {
            each.bench: Number(each.examples, 0, (self.name, each.bench), f"{self.label}: {each.label}, # Exs.")
            for each in self.benches
        }


@dataclass(frozen=True, slots=True)
class SampleGroup:
    """Responses side by side to a few prompts: sets of responses to training prompts, or methods' answers on a bench.

    `of` is the paper's table in whose manner they are shown. Changed words are marked against the first column.
    """

    of: str
    title: str
    model: str
    rows: int
    data: str = ""
    responses: dict[str, str] = field(default_factory=dict)
    """Column label -> set of responses to the data role `data`."""
    bench: str = ""
    methods: dict[str, str] = field(default_factory=dict)
    """Column label -> method, on `bench`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTable(Exhibit):
    """Examples of responses, drawn by seed."""

    groups: tuple[SampleGroup, ...]

    def check(self) -> None:
        """Raises UserError where a group has neither sets of responses nor methods, or a model it cannot have."""
        for group in self.groups:
            if group.model not in self.models:
                raise unknown(f"model of {self.name}", group.model, self.models)
            if bool(group.responses) == bool(group.bench and group.methods):
                raise UserError(f"{group.title!r} needs either responses, or a bench with methods")


AnyExhibit = ScoreTable | WinRateTable | HistogramFigure | SettingsTable | SampleTable

KINDS: dict[str, type[AnyExhibit]] = {
    "scores": ScoreTable,
    "win_rates": WinRateTable,
    "histograms": HistogramFigure,
    "settings": SettingsTable,
    "samples": SampleTable,
}
"""What the key `kind` of an exhibit's file can be."""


def require_distinct(kind: str, ids: Iterable[str]) -> None:
    """Raises UserError that names the first id which is there twice."""
    seen: set[str] = set()
    for id in ids:
        if id in seen:
            raise UserError(f"{kind} {id!r} is there twice; give each its own")
        seen.add(id)
