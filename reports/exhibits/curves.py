"""Win rates over the number of revisions, or over a setting of the method (figures 1, 3 to 5 and Table 1 of SRPO)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from harness.papers.curves import CurveFigure, CurveLine, point_id
from harness.results.exhibits import BootstrapBand, CurveMargin, CurvePoint, CurvesResult
from harness.results.manifest import Manifest
from reports.blocks import ADDED, DASH, Block, Column, Figure, Group, Prose, Records, Row, Table
from reports.compare import NOT_IN_PAPER, obstacle, verdict
from reports.line_chart import ChartLine, LineChart, LinePanel, LinePoint
from reports.measured import all_seeds, judge, number, require_one_judge, source

_DECIMALS = 1

_READING = (
    "Two points of one line are the same checkpoint on the same prompts, and so differ more surely than their "
    "intervals tell: the tests of the claims take the difference prompt by prompt, and within each training seed."
)


@dataclass(frozen=True, slots=True)
class _Curves:
    """A result with its points by place, and what keeps its numbers from being compared with the paper's."""

    manifest: Manifest
    result: CurvesResult
    points: dict[tuple[str, str, str], CurvePoint] = field(default_factory=dict)
    """By base model, panel and point."""

    @property
    def exhibit(self) -> CurveFigure:
        """What the paper shows."""
        return self.result.exhibit

    @property
    def places(self) -> Iterator[tuple[str, str]]:
        """Return each base model with each panel."""
        return product(self.result.models, (panel.id for panel in self.exhibit.panels))

    def of(self, model: str, panel: str, line: CurveLine) -> list[CurvePoint]:
        """Return the points of a line, in the order of the axis."""
        return [self.points[model, panel, point_id(line.id, x)] for x in self.exhibit.x.values]

    def printed(self, point: CurvePoint) -> float | None:
        """Return the paper's number."""
        return self.exhibit.printed(point.panel, point.id)

    def verdict(self, point: CurvePoint) -> str:
        """Tell whether our number is the paper's."""
        exhibit, manifest = self.exhibit, self.manifest
        why_not = obstacle(manifest.scale, manifest.fast, manifest.judge.name, exhibit.paper.scale, exhibit.judge)
        return verdict(point.value, point.ci95, self.printed(point), exhibit.decimals, why_not)

    def name(self, point: CurvePoint) -> str:
        """Name a point: ``SRPO 3-rev., TL;DR``."""
        return f"{self.exhibit.subject(point.id)}, {self.exhibit.panel(point.panel).label}"


def curves(manifest: Manifest, result: CurvesResult) -> tuple[list[Block], Records]:
    """Draw and tabulate the win rates, with what the paper's text prints of them.

    Raises UserError for a point or a model the exhibit does not have, and for two judges.
    """
    of = _Curves(manifest, result, {(each.model, each.panel, each.id): each for each in result.points})
    for point in result.points:
        of.exhibit.paper.model(point.model)
        of.name(point)
    for panel in of.exhibit.panels:
        judges = (each.judge for each in result.points if each.panel == panel.id)
        require_one_judge(f"{of.exhibit.name}/{panel.id}", judges)
    blocks: list[Block] = [Prose(f"{_band_in_words(of)}{_READING}", quiet=True)]
    if of.exhibit.as_figure:
        blocks.append(_figure(of))
    blocks.append(_table(of))
    blocks += [table for table in (_margins(of), _gold(of)) if table]
    return blocks, _records(of)


def _band_in_words(of: _Curves) -> str:
    """Say how the paper's band is drawn, and on how many prompts here."""
    drawn, bands = of.exhibit.bootstrap, [point.band for point in of.result.points if point.band]
    if drawn is None or not bands:
        return ""
    fewest = min(bands, key=lambda band: band.n_prompts)
    return (
        f"Bands are the paper's: mean ± standard deviation of {drawn.resamples} bootstrap win rates, each on "
        f"{fewest.size:,} prompts drawn from the first {fewest.n_prompts:,}. Intervals are ours: 95 %, on all prompts. "
    )


# The figure


def _figure(of: _Curves) -> Figure:
    exhibit = of.exhibit
    several = len(of.result.models) > 1
    panels = tuple(
        LinePanel(
            exhibit.paper.model(model) if several else "",
            exhibit.panel(panel).heading,
            tuple(_line(of, model, panel, line) for line in exhibit.lines),
        )
        for model, panel in of.places
    )
    has_bands = any(point.band for point in of.result.points)
    return Figure(
        name=exhibit.name,
        caption=f"{exhibit.label}: {exhibit.caption}",
        alt="Lines of the win rates in the table below, with whiskers and bands, and a dashed line at 50 %",
        drawing=LineChart(panels, exhibit.x.label, "win rate (%)", "bootstrap mean ± s.d." if has_bands else ""),
    )


def _line(of: _Curves, model: str, panel: str, line: CurveLine) -> ChartLine:
    points = tuple(
        LinePoint(point.x, point.value, point.ci95, _band(point), of.printed(point))
        for point in of.of(model, panel, line)
    )
    return ChartLine(line.label, points, bool(line.added))


def _band(point: CurvePoint) -> tuple[float, float] | None:
    return (point.band.mean - point.band.sd, point.band.mean + point.band.sd) if point.band else None


# The table


def _table(of: _Curves) -> Table:
    exhibit, manifest = of.exhibit, of.manifest
    judges = dict.fromkeys(f"{exhibit.panel(each.panel).bench} {each.judge}" for each in of.result.points if each.judge)
    n = ", ".join(dict.fromkeys(f"{point.n:,} prompts" for point in of.result.points if point.n))
    return Table(
        columns=(
            Column(""),
            Column(""),
            *(Column(exhibit.x.name(x), number=True) for x in exhibit.x.values),
        ),
        groups=tuple(
            Group(
                tuple(row for line in exhibit.lines for row in _rows(of, model, panel, line)),
                heading=_heading(of, model, panel),
                detail=manifest.models[model].label,
            )
            for model, panel in of.places
        ),
        name=exhibit.name,
        caption=f"{exhibit.caption}. Win rates in per cent, ours with 95 % intervals, and those that the paper prints",
        footnotes=tuple(
            (ADDED, f"ours, not in the paper: {each.label}, {each.added}") for each in exhibit.lines if each.added
        ),
        source=" ".join(
            [
                source(manifest, exhibit, all_seeds(manifest), n, judge(manifest, judges), "a draw counting half"),
                *_notes(of),
            ]
        ),
        dense=True,
    )


def _heading(of: _Curves, model: str, panel: str) -> str:
    return f"{of.exhibit.panel(panel).heading}, {of.exhibit.paper.model(model)}"


def _rows(of: _Curves, model: str, panel: str, line: CurveLine) -> Iterator[Row]:
    """Yield the win rates of a line, their intervals, the paper's bands, and its numbers where there are any."""
    points = of.of(model, panel, line)
    yield Row((line.label, "ours", *(number(point.value, _DECIMALS) for point in points)), added=bool(line.added))
    yield Row(("", "95 %", *(_interval(point.ci95) for point in points)))
    if any(point.band for point in points):
        yield Row(("", "band", *(_band_text(point.band) for point in points)))
    if any(of.printed(point) is not None for point in points):
        yield Row(("", "paper", *(number(of.printed(point), of.exhibit.decimals) for point in points)))


def _band_text(band: BootstrapBand | None) -> str:
    return f"{band.mean:.{_DECIMALS}f}±{band.sd:.{_DECIMALS}f}" if band else DASH


def _interval(ci95: tuple[float, float] | None) -> str:
    return f"{ci95[0]:.{_DECIMALS}f}–{ci95[1]:.{_DECIMALS}f}" if ci95 else DASH


def _notes(of: _Curves) -> Iterator[str]:
    """Yield whether ours can be compared with the paper's, what could not be revised, and why some of ours are
    missing."""
    yield from _comparable(of)
    yield from _unrevised(of)
    for point in of.result.points:
        missing = f"{point.n_missing} of {point.n_asked} verdicts are missing" if point.n_missing else ""
        if note := "; ".join(filter(None, (point.note, missing))):
            yield f"{of.name(point)}: {note}."


def _comparable(of: _Curves) -> list[str]:
    """Say of the paper's numbers whether ours are those, in one line where it is the same for all."""
    found = {of.name(point): of.verdict(point) for point in of.result.points if of.verdict(point) != NOT_IN_PAPER}
    if len(set(found.values())) == 1:
        return [f"The paper's numbers: {next(iter(found.values()))}."]
    return [f"The paper's number of {name}: {found_verdict}." for name, found_verdict in found.items()]


def _unrevised(of: _Curves) -> list[str]:
    """Say how many answers could not be revised, and where that was most often so."""
    unrevised = [point for point in of.result.points if point.unrevised]
    if not unrevised:
        return []
    most = max(unrevised, key=lambda point: point.unrevised / point.answers)
    places = f"in {len(unrevised)} of {len(of.result.points)} points"
    return [
        f"Answers whose revision had no room in the model are kept as they were: {places}, at most "
        f"{most.unrevised:,} of {most.answers:,} ({of.name(most)})."
    ]


# The differences that the text prints


def _margins(of: _Curves) -> Table | None:
    if not of.result.margins:
        return None
    return Table(
        columns=(
            Column("difference", wraps=0.35),
            Column("where", wraps=0.2),
            Column("ours [95 %]", number=True),
            Column("paper", number=True),
        ),
        groups=(Group(tuple(_margin(of, each) for each in of.result.margins)),),
        name=f"{of.exhibit.name}-margins",
        caption=f"{of.exhibit.label}: the differences that the paper's text prints, in points of win rate",
        source=source(of.manifest, of.exhibit, all_seeds(of.manifest)),
    )


def _margin(of: _Curves, found: CurveMargin) -> Row:
    exhibit = of.exhibit
    margin = exhibit.margins[found.margin]
    sides = f"{exhibit.subject(margin.better)} − {exhibit.subject(margin.worse)}"
    interval = f" [{found.ci95[0]:.{_DECIMALS}f}, {found.ci95[1]:.{_DECIMALS}f}]" if found.ci95 else ""
    ours = found.note if found.difference is None else f"{found.difference:+.{_DECIMALS}f}{interval}"
    return Row((f"{sides}, {exhibit.panel(margin.panel).label}", margin.where, ours, f"{margin.points:+g}"))


# What the judge does not see


def _gold(of: _Curves) -> Table | None:
    """Show gold quality and length of the answers, where the truth is known."""
    exhibit = of.exhibit
    if all(point.gold_quality is None for point in of.result.points):
        return None
    title = "Gold quality and length of the answers"
    return Table(
        columns=(Column(""), Column(""), *(Column(exhibit.x.name(x), number=True) for x in exhibit.x.values)),
        groups=tuple(
            Group(tuple(_gold_rows(of, model, panel)), heading=_heading(of, model, panel)) for model, panel in of.places
        ),
        name=f"{exhibit.name}-gold",
        caption=f"{exhibit.label}: mean gold quality (0 to 1) and words of the answers",
        source="Of the embedded world alone: what its judge does not see.",
        folded=title,
    )


def _gold_rows(of: _Curves, model: str, panel: str) -> Iterator[Row]:
    for line in of.exhibit.lines:
        points = of.of(model, panel, line)
        yield Row((line.label, "quality", *(number(point.gold_quality, 3) for point in points)))
        yield Row(("", "words", *(number(point.mean_words, 1) for point in points)))


# The file


def _records(of: _Curves) -> Records:
    """Make one line for each point; numbers unrounded."""
    fields = (
        "model", "model_label", "panel", "line", "method", "x", "revisions", "ours", "lo", "hi", "band_mean", "band_sd",
        "paper", "verdict", "n", "n_asked", "n_missing", "answers", "unrevised", "gold_quality", "mean_words", "judge",
        "note",
    )  # fmt: skip
    return Records(fields, tuple(_record(of, point) for point in of.result.points))


def _record(of: _Curves, point: CurvePoint) -> tuple[object, ...]:
    exhibit, line = of.exhibit, of.exhibit.line(point.line)
    names: Sequence[object] = (point.model, exhibit.paper.model(point.model), point.panel, point.line)
    place = (exhibit.row(line, point.x), point.x, exhibit.revisions(line, point.x))
    band = (point.band.mean, point.band.sd) if point.band else (None, None)
    figures = (point.value, *(point.ci95 or (None, None)), *band, of.printed(point), of.verdict(point))
    counts = (point.n, point.n_asked, point.n_missing, point.answers, point.unrevised)
    return (*names, *place, *figures, *counts, point.gold_quality, point.mean_words, point.judge, point.note)
