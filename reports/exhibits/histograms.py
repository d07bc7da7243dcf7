"""Histograms of a measure of responses (figures 3, 4, 5 and 9 of SGPO)."""

from collections.abc import Iterator, Sequence
from statistics import quantiles

from harness.errors import UserError
from harness.papers.histograms import HistogramFigure, HistogramPanel, ValueSet
from harness.results.exhibits import HistogramsResult
from harness.results.manifest import Manifest
from reports.blocks import (
    Block,
    Column,
    Figure,
    Group,
    HistogramAxes,
    HistogramChart,
    HistogramSet,
    Records,
    Row,
    Table,
)
from reports.measured import first_seed, number, source

_LOG_SCALE = ". The axis is logarithmic; its marks are the perplexities themselves"
_DECIMALS = {"edit_distance": 1, "perplexity": 2}


def histograms(manifest: Manifest, result: HistogramsResult) -> tuple[list[Block], Records]:
    """Make a figure for each base model, a table of what is in it, and how many examples the filter kept.

    Raises UserError for a model or a set the exhibit does not have, and for a set that is there twice.
    """
    exhibit = result.exhibit
    values = _values(result)
    models = [model for model in exhibit.models if model in result.models]
    measured = [model for model in models if any(found for (of, *_), found in values.items() if of == model)]
    figures = [_figure(manifest, result, model, values) for model in measured]
    found: list[Block] = [*figures, _summary(manifest, result, values)]
    if result.kept:
        found.append(_filter_counts(result))
    return found, _records(result, values)


_Place = tuple[str, int, str]


def _values(result: HistogramsResult) -> dict[_Place, tuple[float, ...]]:
    """Return (model, panel, set) -> values, in the order of the exhibit."""
    exhibit = result.exhibit
    given: dict[_Place, tuple[float, ...]] = {}
    for each in result.values:
        exhibit.paper.model(each.model)
        exhibit.subject(each.set)
        place = (each.model, each.panel, each.set)
        if place in given:
            raise UserError(f"the manifest has two sets {each.set!r} in panel {each.panel} of {each.model}")
        given[place] = each.values
    order = [
        (model, number, each.id)
        for model in exhibit.models
        for number, panel in enumerate(exhibit.panels)
        for each in panel.sets
    ]
    return {place: given[place] for place in order if place in given}


def _figure(
    manifest: Manifest,
    result: HistogramsResult,
    model: str,
    values: dict[_Place, tuple[float, ...]],
) -> Figure:
    exhibit = result.exhibit
    panels = []
    for place, panel in enumerate(exhibit.panels):
        sets = (
            HistogramSet(each.label, values.get((model, place, each.id), ()), _kind(panel, each)) for each in panel.sets
        )
        panels.append(HistogramAxes(panel.title, tuple(each for each in sets if each.values)))
    label = exhibit.paper.model(model)
    about = manifest.models[model].label
    return Figure(
        name=exhibit.name if len(result.models) == 1 else f"{exhibit.name}-{model}",
        caption=f"{exhibit.label}: {exhibit.caption}. {label}, here {about}{_LOG_SCALE if exhibit.log_scale else ''}",
        alt=f"Histograms for {label}; n, median and quartiles of each set are in the table below",
        drawing=HistogramChart(
            tuple(panel for panel in panels if panel.sets),
            _with_unit(exhibit.x, result.unit),
            exhibit.y,
            exhibit.log_scale,
        ),
    )


def _kind(panel: HistogramPanel, each: ValueSet) -> str:
    """Tell what a set holds. Beside what the filter keeps of it, the whole of a set is of a kind of its own."""
    has_filtered = any(other.filtered and other.responses == each.responses for other in panel.sets)
    return "unfiltered" if has_filtered and not each.filtered else each.responses


def _with_unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit and unit not in name else name


def _summary(manifest: Manifest, result: HistogramsResult, values: dict[_Place, tuple[float, ...]]) -> Table:
    """Tabulate n, median and quartiles of each set."""
    exhibit = result.exhibit
    titled = any(panel.title for panel in exhibit.panels)
    heads = ("n", "first quartile", "median", "third quartile")
    return Table(
        columns=(
            *([Column("histogram")] if titled else []),
            Column("set"),
            *(Column(head, number=True) for head in heads),
        ),
        groups=tuple(
            Group(
                tuple(_rows(exhibit, {place: found for place, found in values.items() if place[0] == model}, titled)),
                heading=exhibit.paper.model(model),
            )
            for model in exhibit.models
            if model in result.models
        ),
        name=exhibit.name,
        caption=f"{exhibit.x} of each set in {exhibit.label}, ours",
        source=source(manifest, exhibit, first_seed(manifest), f"values in {result.unit}" if result.unit else ""),
    )


def _rows(exhibit: HistogramFigure, values: dict[_Place, tuple[float, ...]], titled: bool) -> Iterator[Row]:
    for (_, panel, name), found in values.items():
        figures = (number(value, _DECIMALS[exhibit.quantity]) for value in quartiles(found))
        title = [exhibit.panels[panel].title] if titled else []
        yield Row((*title, exhibit.subject(name), f"{len(found):,}", *figures))


def quartiles(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Return Q1, median, Q3, by linear interpolation between the values (as numpy.percentile); None without values."""
    if len(values) < 2:
        return (values[0],) * 3 if values else (None, None, None)
    first, median, third = quantiles(values, n=4, method="inclusive")
    return first, median, third


def _filter_counts(result: HistogramsResult) -> Table:
    """Show how many improver examples the filter kept, ours beside the paper's."""
    exhibit = result.exhibit
    rows = []
    for each in result.kept:
        published = exhibit.kept.get(each.model)
        ours = (f"{each.kept:,}", f"{each.of:,}", _share(each.kept, each.of))
        paper = (_count(published), _count(exhibit.kept_of), _share(published, exhibit.kept_of))
        rows.append(Row((exhibit.paper.model(each.model), *ours, *paper)))
    heads = ("ours kept", "of", "ours (%)", "paper kept", "of", "paper (%)")
    return Table(
        columns=(Column("base model"), *(Column(head, number=True) for head in heads)),
        groups=(Group(tuple(rows)),),
        name=f"{exhibit.name}-kept",
        caption="Improver examples that the filter kept",
    )


def _count(published: int | None) -> str:
    return number(None, 0) if published is None else f"{published:,}"


def _share(count: int | None, of: int | None) -> str:
    """Return the share in per cent; a dash where one of the two is not known."""
    return number(100 * count / of if count is not None and of else None, 1)


def _records(result: HistogramsResult, values: dict[_Place, tuple[float, ...]]) -> Records:
    """Make one line for each value, and two for what the filter kept on each base model."""
    exhibit = result.exhibit
    fields = ("model", "model_label", "panel", "set", "label", "quantity", "value", "paper")
    rows: list[tuple[object, ...]] = []
    for (model, panel, name), found in values.items():
        names = (model, exhibit.paper.model(model), exhibit.panels[panel].title, name, exhibit.subject(name))
        rows += [(*names, exhibit.quantity, value, None) for value in found]
    for each in result.kept:
        names = (each.model, exhibit.paper.model(each.model), "", "", "")
        rows += [(*names, "kept", each.kept, exhibit.kept.get(each.model)), (*names, "filtered", each.of, None)]
    return Records(fields, tuple(rows))
