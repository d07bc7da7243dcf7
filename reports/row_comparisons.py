"""Rows of a run against each other: tests that no claim of the paper is about."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from harness.papers.scores import ScoreTable
from harness.results.manifest import Manifest
from harness.results.row_comparisons import RowComparison
from reports.blocks import Column, Group, Outcome, Prose, Row, Section, Table
from reports.claims import detectable, difference, needed, p_value

TITLE = "Methods against each other"

_COLUMNS = (
    Column("model", wraps=0.14),
    Column("metric", wraps=0.2),
    Column("difference [95 %]", number=True),
    Column("Holm p", number=True),
    Column("here"),
    Column("detectable", number=True),
    Column("needed", wraps=0.1),
)
_DECIDED = ("better", "worse")
_ORDER = (*_DECIDED, "undecided", "withheld")


def section(manifest: Manifest) -> Section:
    """Show the tests of rows, a part for each pair of them."""
    lead = (
        "Paired tests on the same prompts, over all training seeds. Differences are the first minus the second, in "
        "points where no other unit stands, and above 0 where the first is better. Verdicts are on the first, at 5 %, "
        f"p-values adjusted by Holm's method over these {len(manifest.comparisons)} tests; the paper's claims are "
        "tested apart. Undecided does not mean equal: detectable is the true difference that such a test decides in "
        "80 % of repeats, needed is what would decide one of the size observed."
    )
    found = Table(_COLUMNS, _groups(manifest))
    return Section("comparisons", TITLE, (Prose(answer(manifest)), Prose(lead, quiet=True), found))


def brief(manifest: Manifest) -> Table | None:
    """Put the tests into a table for a terminal; None where there is none."""
    if not manifest.comparisons:
        return None
    groups = (Group(tuple(map(_brief, group.rows)), group.heading) for group in _groups(manifest))
    columns = (Column("the first against the second"), _COLUMNS[2], *_COLUMNS[4:6])
    return Table(columns, tuple(groups))


def _brief(row: Row) -> Row:
    """Make a row of `brief`, with base model and metric in one cell, below the pair that they are of."""
    model, metric, difference_, _, here, detectable_, _ = row.cells
    return Row((f"  {model} {metric}", difference_, here, detectable_))


def answer(manifest: Manifest) -> str:
    """Say of each pair of rows in how many tests the first is better, worse or undecided; empty without any.

    Of a sweep that is said of the pairs that some test tells apart.
    """
    pairs = _by_pair(manifest)
    if manifest.sweep is None:
        return " ".join(_answers(manifest, pairs))
    apart = {pair: tests for pair, tests in pairs.items() if any(each.verdict in _DECIDED for each in tests)}
    together = [" against ".join(pair) for pair in pairs if pair not in apart]
    values = f"values of {manifest.sweep.setting}"
    rest = f"No test tells these {values} apart: {', '.join(together)}." if together else ""
    none = f"No test tells two {values} apart."
    return " ".join(filter(None, [*_answers(manifest, apart), rest])) if apart else none if pairs else ""


def _answers(manifest: Manifest, pairs: Mapping[tuple[str, str], Sequence[RowComparison]]) -> Iterator[str]:
    for pair, tests in pairs.items():
        verdicts = Counter(each.verdict for each in tests)
        counts = ", ".join(f"{verdict} in {verdicts[verdict]}" for verdict in _ORDER if verdicts[verdict])
        where = ", on these checkpoints" if any(each.on == "checkpoints" for each in tests) else ""
        yield f"{_heading(manifest, pair)}: {counts} of {len(tests)}{where}."


def _groups(manifest: Manifest) -> tuple[Group, ...]:
    """Make a group of rows for each pair, those that are decided first."""
    groups = []
    for pair, tests in _by_pair(manifest).items():
        in_order = sorted(tests, key=lambda each: _ORDER.index(each.verdict))
        groups.append(Group(tuple(_row(manifest, each) for each in in_order), heading=_heading(manifest, pair)))
    return tuple(groups)


def _by_pair(manifest: Manifest) -> dict[tuple[str, str], list[RowComparison]]:
    found: dict[tuple[str, str], list[RowComparison]] = {}
    for each in manifest.comparisons:
        found.setdefault((each.first, each.second), []).append(each)
    return found


def _heading(manifest: Manifest, pair: tuple[str, str]) -> str:
    """Name a pair of rows as the tables call them."""
    labels = {row.method: row.label for exhibit in _tables(manifest) for row in exhibit.rows}
    return " against ".join(labels.get(method, method) for method in pair)


def _tables(manifest: Manifest) -> list[ScoreTable]:
    return [exhibit for exhibit in manifest.exhibits.values() if isinstance(exhibit, ScoreTable)]


def _metric(manifest: Manifest, each: RowComparison) -> str:
    """Return what the first table that has the metric calls it."""
    named = (each.bench, each.metric)
    known = (one for one in _tables(manifest) if named in {(column.bench, column.metric) for column in one.columns})
    return next(known).measure(*named)


def _row(manifest: Manifest, each: RowComparison) -> Row:
    return Row(
        (
            each.model,
            _metric(manifest, each),
            difference(each),
            p_value(each.p_holm),
            Outcome(each.verdict, each.note),
            detectable(each),
            needed(each),
        )
    )
