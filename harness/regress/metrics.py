"""From the stored verdicts of a cell in both runs to its metrics as statistics, on the prompts that all seeds share."""

from collections.abc import Callable, Sequence
from typing import Any

from evals.summaries import SharedPrompts
from harness.errors import UserError
from harness.regress.runs import Cell, input_of

Metric = Callable[[str], SharedPrompts]
"""metric -> its statistics: the training seeds of the first cell, then those of the second."""


def metrics_of(bench: str, cells: Sequence[Cell]) -> Metric:
    """The metrics of the verdicts of all cells, which are of one bench. Their verdicts are read once.

    Raises UserError where the cells are not measured alike.
    """
    if bench not in _BENCHES:
        return lambda _metric: SharedPrompts((), 0, f"no paired test of {bench} is known")
    return _BENCHES[bench](cells)


def _alpaca_eval2(cells: Sequence[Cell]) -> Metric:
    from evals.alpaca_eval2 import on_shared_instructions
    from evals.alpaca_eval2_steps import annotations_of, positions_of, read_length_calibration

    sets = []
    for cell in cells:
        baselines = input_of(cell.score, "baselines")
        assert baselines is not None
        positions = positions_of(baselines)
        sets += [annotations_of(verdicts, positions) for verdicts in cell.verdicts.values()]
    calibrations = [read_length_calibration(input_of(cell.score, "calibration")) for cell in cells]
    if any(_content(each) != _content(calibrations[0]) for each in calibrations):
        raise UserError(
            "the runs control length with different calibrations; run the baseline again with that of the candidate"
        )
    return lambda metric: on_shared_instructions(sets, calibrations[0], metric=metric)


def _content(calibration: Any) -> Any:
    """The calibration without where it was read from; NaN, for a failed verdict, is equal to itself."""
    from dataclasses import astuple, replace

    return calibration and repr(astuple(replace(calibration, source="")))


def _arena_hard(cells: Sequence[Cell]) -> Metric:
    from evals.arena_hard import on_shared_questions
    from evals.arena_hard_steps import verdicts_of

    sets = [verdicts_of(verdicts) for cell in cells for verdicts in cell.verdicts.values()]
    return lambda _metric: on_shared_questions(sets)


_BENCHES: dict[str, Callable[[Sequence[Cell]], Metric]] = {"alpaca_eval2": _alpaca_eval2, "arena_hard": _arena_hard}
