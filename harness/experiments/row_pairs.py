"""The rows of a table of scores that are tested against each other, beside what the paper claims."""

from collections.abc import Iterator, Sequence

from harness.engine.artifacts import ancestry
from harness.experiments.interface import Checkpoints, Request
from harness.recipes.changes import split_row
from harness.recipes.sweeps import sweep_of, swept_pairs


def row_pairs(request: Request, rows: Sequence[str], checkpoints: Checkpoints) -> list[tuple[str, str]]:
    """Return the pairs (first, second) of `rows`, each once.

    Those that the request asks for: every other row `against` some, or rows of a `sweep` against each other. Else each
    row that the user adds to the paper's, against the paper's own method and against what it is built from, as far as
    these are run.
    """
    if request.against:
        found = [(row, other) for other in request.against for row in rows if row not in request.against]
    elif request.sweep:
        found = swept_pairs(sweep_of(request.sweep, rows).points)
    else:
        found = [pair for row in request.added if row in rows for pair in _usual(request, row, rows, checkpoints)]
    return list(dict.fromkeys(found))


def _usual(request: Request, row: str, rows: Sequence[str], checkpoints: Checkpoints) -> Iterator[tuple[str, str]]:
    for other in (request.recipe.own_method, _built_from(request, row, rows, checkpoints)):
        if other in rows and other != row:
            yield row, other


def _built_from(request: Request, row: str, rows: Sequence[str], checkpoints: Checkpoints) -> str:
    """Return what a row is built from: the method that it changes settings of, the method that it is a variant of,
    else the row whose checkpoint its own starts from; empty where there is none."""
    name, changes = split_row(row)
    if changes:
        return name
    if (parent := request.recipe.parent(name)) != name:
        return parent
    return _started_from(row, rows, checkpoints)


def _started_from(row: str, rows: Sequence[str], checkpoints: Checkpoints) -> str:
    """Return the row whose checkpoint is the last that is behind the row's own; empty where none is."""
    model, _, seed = next(place for place in checkpoints if place[1] == row)
    behind = {artifact.key for artifact in ancestry([checkpoints[model, row, seed]])}
    of_others = {other: checkpoints[model, other, seed] for other in rows if other != row}
    started = {other: len(ancestry([made])) for other, made in of_others.items() if made.key in behind}
    return max(started, key=lambda other: started[other], default="")
