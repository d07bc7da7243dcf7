"""Action probabilities beside the analytic solutions, and what other trainings come to."""

from types import SimpleNamespace
from typing import Any

import pytest

from harness.papers.bandit import BanditFigure
from harness.papers.loading import load_exhibit
from harness.results.exhibits import ActionProbability, BanditResult, MostLikely
from reports.blocks import Bar, BarChart, Block, Figure, Records, Table
from reports.exhibits.bandit import bandit


def figure() -> BanditFigure:
    found = load_exhibit("srpo", "fig2")
    assert isinstance(found, BanditFigure)
    return found


def shown(sd: float | None, counts: tuple[int, ...]) -> tuple[list[Block], Records]:
    """The same numbers for every method, behavior and training: 0.2, 0.3, 0.5, and 0.25, 0.25, 0.5 analytic."""
    exhibit = figure()
    places = [
        {"training": training, "behavior": behavior.id, "method": method.id}
        for training in ("", *(each.id for each in exhibit.others))
        for behavior in exhibit.behaviors
        for method in exhibit.methods
    ]
    numbers = [(0, 0.2, 0.25), (1, 0.3, 0.25), (2, 0.5, 0.5)]
    probabilities = tuple(
        ActionProbability(**place, action=action, probability=found, sd=sd, analytic=analytic)
        for place in places
        for action, found, analytic in numbers
    )
    most = tuple(MostLikely(**place, counts=counts, loss=0.123456) for place in places)
    manifest: Any = SimpleNamespace(seeds=tuple(range(sum(counts))), scale="mini", reduced="")
    return bandit(manifest, BanditResult(exhibit=exhibit, probabilities=probabilities, most_likely=most))


def test_ours_stand_above_the_analytic_solution() -> None:
    blocks, _ = shown(0.0123, (1, 0, 4))
    table = next(block for block in blocks if isinstance(block, Table))
    ours, analytic, *_ = table.groups[0].rows
    assert ours.cells == ("SRPO", "ours", "0.200 ± 0.012", "0.300 ± 0.012", "0.500 ± 0.012", "y2 4, y0 1")
    assert analytic.cells == ("", "analytic", "0.250", "0.250", "0.500", "")
    assert [group.heading for group in table.groups] == ["uniform µ0", "skewed µ1"]
    assert [row.cells[0] for row in table.rows if row.added] == ["SRPO, α = 0.5"] * 2
    assert "the paper's own size" in table.source


def test_bars_have_a_standard_deviation_and_the_analytic_mark() -> None:
    blocks, _ = shown(0.01, (1, 0, 4))
    drawing = next(block.drawing for block in blocks if isinstance(block, Figure))
    assert isinstance(drawing, BarChart)
    assert drawing.panels[0].bars[0] == Bar("y0", 20.0, (pytest.approx(19.0), pytest.approx(21.0)), 25.0)
    assert (drawing.mark, drawing.interval) == ("analytic solution", "± standard deviation over data sets")
    assert len(drawing.panels) == 8


def test_one_data_set_has_no_spread() -> None:
    blocks, records = shown(None, (0, 0, 1))
    table = next(block for block in blocks if isinstance(block, Table))
    assert table.groups[0].rows[0].cells[2:] == ("0.200", "0.300", "0.500", "y2 1")
    drawing = next(block.drawing for block in blocks if isinstance(block, Figure))
    assert isinstance(drawing, BarChart)
    assert {bar.ci95 for panel in drawing.panels for bar in panel.bars} == {None}
    assert records.rows[0] == ("mu0", "srpo", 0, 0.2, None, 0.25)


def test_other_trainings_are_in_a_table_and_not_in_the_records() -> None:
    blocks, records = shown(0.01, (1, 0, 4))
    other = [block for block in blocks if isinstance(block, Table)][1]
    assert [group.heading.partition(":")[0] for group in other.groups] == [
        "as above",
        "another learning rate",
        "random start",
        "mini-batches",
    ]
    assert other.groups[2].rows[0].cells[-2:] == ("y2 4, y0 1", "0.1235")
    assert len(records.rows) == 2 * 4 * 3
