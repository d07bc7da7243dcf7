"""The course of the trainings behind a report: a figure a base model, and where the whole curves lie."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import count

from harness.results.exhibits import CurvesResult, Result, ScoresResult
from harness.results.manifest import Manifest
from harness.results.training_curves import Course, StageCurves
from reports.blocks import Column, Curve, CurveChart, CurvePanel, Figure, Group, Prose, Row, Section, Table

FILE = "train.jsonl"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "loss": ("loss",),
    "gradient norm": ("gradient_norm",),
    "learning rate": ("learning_rate",),
    "reward margin": ("reward_margin",),
    "reward accuracy": ("reward_accuracy",),
    "log-probability (nats)": ("chosen_log_probability", "rejected_log_probability"),
    "margin, pairs made": ("fresh_margin",),
    "distance, pairs made": ("edit_distance",),
    "age (steps)": ("age",),
}
"""The columns of a figure, with the fields of `Course.values` that each draws."""
READING = (
    "The course of every training: a row a stage, a thin line a training seed. Reward margin is the reward "
    "of the chosen answer minus that of the rejected one, accuracy the share of pairs on which it is above 0, a tie "
    "counting half; gradient norms are those before clipping. Stages with the same loss share the axes of a column."
)
READING_OF_PAIRS_MADE = (
    " Of a training that makes its pairs itself: the policy's margin on those that a step has made; how far their "
    "rejected answers are from the chosen ones, in edits of tokens as a share of the longer answer; and the age of the "
    "pairs that it trained on."
)
GAP = " A gap is a number that is not finite."

TitledStages = dict[str, StageCurves]
"""The stages of one base model, each by its own title."""


def section(manifest: Manifest, stages: Sequence[StageCurves]) -> Section:
    """Draw the stages of each base model, and list where the files with every step lie."""
    labels = _labels(manifest, stages)
    by_model: dict[str, TitledStages] = {}
    for stage in sorted(stages, key=lambda each: each.loss):  # supervised fine-tuning first
        of_model = by_model.setdefault(stage.model, {})
        of_model[_title(stage, labels, of_model)] = stage
    figures = (_figure(manifest, model, of_model) for model, of_model in by_model.items())
    makes_pairs = any("age" in course.values for stage in stages for course in stage.trainings)
    reading = READING + (READING_OF_PAIRS_MADE if makes_pairs else "")
    lead = Prose(reading + _thinned(stages) + (GAP if _has_gaps(stages) else ""))
    return Section("curves", "Training curves", (lead, *figures, _table(manifest, by_model)))


def _labels(manifest: Manifest, stages: Iterable[StageCurves]) -> dict[str, str]:
    """Return the labels of the methods of `stages`: the paper's, where a table or a figure of this report has them."""
    known = {method: label for result in reversed(manifest.results) for method, label in _labels_of(result)}
    return {method: known.get(method, method) for stage in stages for method in stage.methods}


def _labels_of(result: Result) -> Iterator[tuple[str, str]]:
    """Yield the methods that an exhibit has labels of, with these: not of lines that are something of a method."""
    if isinstance(result, ScoresResult):
        yield from ((row.method, row.label) for row in result.exhibit.rows)
    if isinstance(result, CurvesResult) and not result.exhibit.x.setting:
        yield from ((line.method, line.label) for line in result.exhibit.lines if not line.against)


def _thinned(stages: Sequence[StageCurves]) -> str:
    most = max(course.every for stage in stages for course in stage.trainings)
    return f" Long trainings are thinned: a point is the mean of up to {most} steps." if most > 1 else ""


def _has_gaps(stages: Sequence[StageCurves]) -> bool:
    courses = (course for stage in stages for course in stage.trainings)
    return any(None in values for course in courses for values in course.values.values())


def _figure(manifest: Manifest, model: str, stages: TitledStages) -> Figure:
    name = _model_name(manifest, model)
    panels = tuple(panel for title, stage in stages.items() for panel in _panels(stage, title))
    columns = tuple(column for column in COLUMNS if column in {panel.column for panel in panels})
    return Figure(
        name=f"curves-{model}" if model else "curves",
        caption=f"Training curves on {name}",
        alt=f"Small charts of {', '.join(columns)} over optimizer steps, a row for each of {len(stages)} stages",
        drawing=CurveChart(columns, panels),
    )


def _model_name(manifest: Manifest, model: str) -> str:
    if model not in manifest.models:
        return model or "another model"
    return f"{manifest.paper.model(model)}, here {manifest.models[model].label}"


def _title(stage: StageCurves, labels: Mapping[str, str], taken: Container[str]) -> str:
    """Return ``improver of SGPO, SGPO†``, the stage and its methods; with a number where that title is `taken`."""
    methods = [labels[method] for method in stage.methods]
    of = "all methods" if len(methods) == len(labels) > 2 else ", ".join(methods)
    title = stage.stage if of in ("", stage.stage) else f"{stage.stage} of {of}"
    numbered = (f"{title} ({number})" for number in count(2))
    return title if title not in taken else next(each for each in numbered if each not in taken)


def _panels(stage: StageCurves, title: str) -> Iterator[CurvePanel]:
    """Yield a panel for each column that the stage has numbers of."""
    for column, names in COLUMNS.items():
        kinds = [name.partition("_")[0] if len(names) > 1 else "" for name in names]
        curves = tuple(
            Curve(tuple(step or 0.0 for step in course.values["step"]), course.values[name], kind)
            for course in stage.trainings
            for name, kind in zip(names, kinds, strict=True)
            if name in course.values
        )
        if curves:
            yield CurvePanel(title, column, curves, scale=stage.loss)


def _table(manifest: Manifest, by_model: Mapping[str, TitledStages]) -> Table:
    """List every training with its file."""
    groups = (
        Group(
            tuple(_row(title, stage, course) for title, stage in stages.items() for course in stage.trainings),
            heading=_model_name(manifest, model),
        )
        for model, stages in by_model.items()
    )
    return Table(
        columns=(
            Column("stage"),
            Column("loss"),
            Column("seed", number=True),
            Column("steps", number=True),
            Column("every step of it", wraps=0.5),
        ),
        groups=tuple(groups),
        name="trainings",
        source=f"Files are in the store, {manifest.store} as seen from this report's folder.",
        folded=f"{FILE} of each training, with every step",
    )


def _row(title: str, stage: StageCurves, course: Course) -> Row:
    loss = stage.loss or "supervised"
    return Row((title, loss, str(course.seed), f"{course.steps:,}", f"{course.artifact}/{FILE}"))
