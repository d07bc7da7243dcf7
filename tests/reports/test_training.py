"""The section of training curves, and its figures."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawn

from harness.results.manifest import Manifest, parse_manifest
from harness.results.training_curves import StageCurves
from reports.blocks import Figure, Prose, Section, Table
from reports.figures import to_matplotlib
from reports.report import build_report
from reports.training import section
from tests.reports.conftest import made_up_curves, made_up_manifest


@pytest.fixture
def run() -> Manifest:
    return parse_manifest(made_up_manifest())


def figures(found: Section) -> list[Figure]:
    return [block for block in found.blocks if isinstance(block, Figure)]


def lead(found: Section) -> str:
    return found.blocks[0].text if isinstance(found.blocks[0], Prose) else ""


def panels(figure: Figure) -> dict[tuple[str, str], Axes]:
    """The panels as they are drawn, by row and column."""
    drawn: Drawn = to_matplotlib(figure)
    return {
        (panel.row, panel.column): axes
        for panel, axes in zip(figure.drawing.panels, drawn.axes, strict=True)  # type: ignore[union-attr]
    }


def changed(stages: list[StageCurves], values: Mapping[str, tuple[float | None, ...]], every: int = 1) -> StageCurves:
    """The first stage, with other values of its first training."""
    first, *others = stages[0].trainings
    return replace(stages[0], trainings=(replace(first, values={**first.values, **values}, every=every), *others))


def test_a_run_without_curves_has_no_section(run: Manifest) -> None:
    assert "curves" not in [each.id for each in build_report(run).sections]
    assert "curves" in [each.id for each in build_report(run, made_up_curves()).sections]


def test_each_base_model_has_a_figure_with_a_row_a_stage(run: Manifest) -> None:
    llama, qwen = figures(section(run, made_up_curves()))
    assert (llama.name, qwen.name) == ("curves-llama", "curves-qwen")
    assert llama.caption == "Training curves on Llama3-Base (8B), here a made-up model & llama_tiny"
    rows = list(dict.fromkeys(row for row, _ in panels(llama)))
    assert rows == ["SFT of all methods", "improver of SGPO", "DPO", "preference stage of SGPO"]  # supervised first
    assert [row for row, _ in panels(qwen)] == ["SFT"] * 3
    assert qwen.alt.startswith("Small charts of loss, gradient norm, learning rate over optimizer steps")


def test_stages_of_one_name_have_rows_of_their_own(run: Manifest) -> None:
    round_of_sgpo = made_up_curves()[3]
    found = section(run, [round_of_sgpo] * 3)
    name = "preference stage of SGPO"
    rows = dict.fromkeys(row for row, _ in panels(figures(found)[0]))
    assert list(rows) == [name, f"{name} (2)", f"{name} (3)"]
    table = next(block for block in found.blocks if isinstance(block, Table))
    assert list(dict.fromkeys(row.cells[0] for row in table.rows)) == list(rows)


def test_supervised_stages_have_no_rewards(run: Manifest) -> None:
    found = panels(figures(section(run, made_up_curves()))[0])
    supervised = ["loss", "gradient norm", "learning rate"]
    rewards = ["reward margin", "reward accuracy", "log-probability (nats)"]
    assert [column for row, column in found if row == "SFT of all methods"] == supervised
    assert [column for row, column in found if row == "DPO"] == supervised + rewards


def test_a_line_a_seed_and_two_where_chosen_and_rejected_are_shown(run: Manifest) -> None:
    found = panels(figures(section(run, made_up_curves()))[0])
    lines = [line for line in found["DPO", "log-probability (nats)"].lines if len(line.get_xydata()) > 2]  # type: ignore[arg-type]
    assert len(lines) == 4 and len({line.get_color() for line in lines}) == 2
    assert len({line.get_linestyle() for line in lines}) == 2
    assert len([line for line in found["DPO", "loss"].lines if len(line.get_xydata()) > 2]) == 2  # type: ignore[arg-type]


def test_stages_of_one_loss_share_axes_and_others_do_not(run: Manifest) -> None:
    found = panels(figures(section(run, made_up_curves()))[0])
    for column in ("loss", "gradient norm", "learning rate", "reward margin", "log-probability (nats)"):
        assert found["DPO", column].get_ylim() == found["preference stage of SGPO", column].get_ylim()
    assert found["SFT of all methods", "loss"].get_ylim() == found["improver of SGPO", "loss"].get_ylim()
    assert found["SFT of all methods", "loss"].get_ylim() != found["DPO", "loss"].get_ylim()


def test_nothing_that_is_drawn_lies_outside_its_panel(run: Manifest) -> None:
    for axes in panels(figures(section(run, made_up_curves()))[0]).values():
        low, high = axes.get_ylim()
        assert all(low <= value <= high for line in axes.lines for value in line.get_ydata())  # type: ignore[union-attr]


def test_a_gap_and_thinning_are_said_and_only_then(run: Manifest) -> None:
    stages = made_up_curves()
    assert "gap" not in lead(section(run, stages)) and "thinned" not in lead(section(run, stages))
    thinned = changed(stages, {"loss": (1.0, None, 1.0, 1.0)}, every=3)
    found = section(run, [thinned])
    assert "A gap is" in lead(found) and "mean of up to 3 steps" in lead(found)
    [loss] = [axes for (_, column), axes in panels(figures(found)[0]).items() if column == "loss"]
    assert [str(value) for value in loss.lines[0].get_ydata()] == ["1.0", "nan", "1.0", "1.0"]  # type: ignore[union-attr]


def test_a_training_of_one_step_or_of_no_finite_number_is_drawn(run: Manifest) -> None:
    one = {name: values[:1] for name, values in made_up_curves()[0].trainings[0].values.items()}
    for values in (one, {"loss": (None,) * 4}):
        [figure] = figures(section(run, [replace(changed(made_up_curves(), values), methods=())]))
        assert panels(figure)


def test_every_training_has_a_line_that_names_its_file(run: Manifest) -> None:
    stages = made_up_curves()
    table = next(block for block in section(run, stages).blocks if isinstance(block, Table))
    files = [row.cells[-1] for row in table.rows]
    assert sorted(map(str, files)) == sorted(
        f"{course.artifact}/train.jsonl" for stage in stages for course in stage.trainings
    )
    assert run.store in table.source and "train.jsonl" in table.folded
