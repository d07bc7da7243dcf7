"""Sweeps: rows of one method that differ in one setting, such as ``dpo:beta=0.01`` and ``dpo:beta=0.1``."""

from collections.abc import Iterable, Sequence
from itertools import combinations

from harness.errors import UserError
from harness.recipes.changes import leaves, split_row
from harness.results.row_comparisons import Sweep, SweepPoint


def swept_setting(rows: Iterable[str]) -> str:
    """Return the setting that rows of one method differ in.

    Raises UserError where there is none, or more than one.
    """
    values: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        method, changes = split_row(row)
        for path, value in leaves(changes):
            values.setdefault((method, path), set()).add(repr(value))
    varying = sorted({path for (_, path), found in values.items() if len(found) > 1})
    if len(varying) != 1:
        what = f"these rows differ in {', '.join(varying)}" if varying else "no setting has two values"
        raise UserError(f"a sweep is over the values of one setting, as in dpo:beta={{0.01,0.1,0.5}}, but {what}")
    return varying[0]


def sweep_of(setting: str, rows: Iterable[str]) -> Sweep:
    """Return the sweep over `setting`, with those of `rows` that have it, by line and value."""
    points = [point for row in rows for point in _points(setting, row)]
    lines = list(dict.fromkeys(point.line for point in points))
    points.sort(key=lambda point: (lines.index(point.line), point.value is None, point.value or 0.0))
    return Sweep(setting, tuple(points))


def swept_pairs(points: Sequence[SweepPoint]) -> list[tuple[str, str]]:
    """Return each pair of rows of one line, that with the larger value first."""
    return [(second.row, first.row) for first, second in combinations(points, 2) if first.line == second.line]


def _points(setting: str, row: str) -> Iterable[SweepPoint]:
    method, changes = split_row(row)
    settings = dict(leaves(changes))
    if setting in settings:
        value = settings.pop(setting)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        line = ":".join([method, *(f"{path}={other}" for path, other in settings.items())])
        yield SweepPoint(row, line, float(value) if is_number else None)
