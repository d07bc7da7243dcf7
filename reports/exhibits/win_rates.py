"""Judge win rates between sets of responses (Table 1, figures 8 and 10 of SGPO)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.errors import UserError
from harness.papers.paper import Number
from harness.papers.win_rates import Match, WinRateTable
from harness.results.exhibits import WinRate, WinRatesResult
from harness.results.manifest import Manifest
from reports import uncertainty
from reports.blocks import DASH, Bar, BarChart, BarPanel, Block, Column, Figure, Group, Records, Row, Table
from reports.compare import obstacle, verdict
from reports.measured import (
    INTERVAL,
    Compared,
    Marks,
    all_seeds,
    judge,
    marks,
    measured,
    number,
    require_one_judge,
    source,
)


@dataclass(frozen=True, slots=True)
class _Line:
    """One match on one base model."""

    model: str
    match: Match
    printed: Number | None
    cell: Compared
    rate: WinRate


READING = "win rates are means over both orders, a tie counting half; a prompt is won where both orders together say so"


def win_rates(manifest: Manifest, result: WinRatesResult) -> tuple[list[Block], Records]:
    """Show ours beside the paper's, match by match, drawn too where the paper draws them.

    Raises UserError for a match or a model the exhibit does not have, for two win rates of one match, and for two
    judges.
    """
    exhibit = result.exhibit
    lines = list(_lines(manifest, result))
    require_one_judge(f"{exhibit.name}/win_rate", (rate.judge for rate in result.cells))
    found: list[Block] = []
    if exhibit.as_figure and lines:
        found.append(_figure(manifest, exhibit, lines))
    found.append(_table(manifest, exhibit, lines))
    if details := uncertainty.table(result.cells, exhibit):
        found.append(details)
    return found, _records(exhibit, lines)


def _lines(manifest: Manifest, result: WinRatesResult) -> Iterator[_Line]:
    """Yield the lines in the order of the exhibit's models and matches."""
    exhibit = result.exhibit
    rates: dict[tuple[str, str], WinRate] = {}
    for rate in result.cells:
        exhibit.paper.model(rate.model)
        exhibit.match(rate.match)
        if (rate.model, rate.match) in rates:
            raise UserError(f"the manifest has two win rates for {rate.model} / {rate.match}")
        rates[rate.model, rate.match] = rate
    why_not = obstacle(manifest.scale, manifest.fast, manifest.judge.name, exhibit.paper.scale, exhibit.judge)
    all_printed = exhibit.numbers()
    for model in (model for model in exhibit.models if model in result.models):
        for match in exhibit.matches:
            rate = rates.get((model, match.id), WinRate(model=model, match=match.id, value=None, note="not run"))
            printed = all_printed.get(match.id)
            decimals = printed.decimals if printed else exhibit.decimals
            compared = verdict(rate.value, rate.ci95, match.published, decimals, why_not)
            yield _Line(model, match, printed, Compared(rate, match.published, compared, match.approximate), rate)


def _table(manifest: Manifest, exhibit: WinRateTable, lines: Sequence[_Line]) -> Table:
    marking = marks([line.cell for line in lines])
    grouped = any(line.match.group for line in lines)
    counts = "wins, ties and losses over all of them" if len(manifest.seeds) > 1 else ""
    judges = dict.fromkeys(f"pairwise {line.rate.judge}" for line in lines if line.rate.judge)
    return Table(
        columns=(
            *([Column("of")] if grouped else []),
            Column("comparison"),
            Column("win rate (%)", measured=True, paper_mark=marking.common, number=True),
            Column("n", number=True, brief=False),
            Column("win / tie / loss", number=True),
            Column(
                "orders agree (%)", number=True, brief=False, tooltip="prompts on which both orders have one winner"
            ),
        ),
        groups=tuple(
            Group(
                tuple(_rows(list(of_model), exhibit, marking, grouped)),
                heading=exhibit.paper.model(model),
                detail=manifest.models[model].label,
            )
            for model, of_model in groupby(lines, key=lambda line: line.model)
        ),
        name=exhibit.name,
        caption=f"{exhibit.caption}. Ours with 95 % interval, and the paper's",
        footnotes=marking.footnotes(),
        source=source(manifest, exhibit, all_seeds(manifest), counts, judge(manifest, judges), INTERVAL, READING),
    )


def _rows(lines: Sequence[_Line], exhibit: WinRateTable, marking: Marks, grouped: bool) -> Iterator[Row]:
    """Yield the rows; a group's name stands beside the first of its matches."""
    before = ""
    for line in lines:
        group = "" if line.match.group == before else line.match.group
        before = line.match.group
        rate = line.rate
        yield Row(
            (
                *([group] if grouped else []),
                line.match.label,
                measured(line.cell, exhibit.decimals, marking),
                DASH if rate.n is None else f"{rate.n:,}",
                " / ".join(DASH if count is None else f"{count:,}" for count in (rate.wins, rate.draws, rate.losses)),
                DASH if rate.consistency is None else number(rate.consistency, 1),
            )
        )


def _figure(manifest: Manifest, exhibit: WinRateTable, lines: Sequence[_Line]) -> Figure:
    """Tabulate win rates, base models down. Wins, ties and losses are in the table: they are another quantity."""
    panels = []
    for model, of_model in groupby(lines, key=lambda line: line.model):
        about = manifest.models[model].label
        bars = tuple(_bar(line, exhibit) for line in of_model)
        panels.append(BarPanel(f"{exhibit.paper.model(model)}, here {about}", "", bars))
    return Figure(
        name=exhibit.name,
        caption=f"{exhibit.label}: the judge's win rates, ours with 95 % intervals, and the paper's numbers",
        alt="Bars of the win rates in the table below, the paper's numbers as diamonds, a line at 50 %",
        drawing=BarChart(tuple(panels), win_rates=True),
    )


def _bar(line: _Line, exhibit: WinRateTable) -> Bar:
    return Bar(
        exhibit.subject(line.match.id),
        line.rate.value,
        line.rate.ci95,
        line.match.published,
        rounding=0.5 * 10.0**-line.printed.decimals if line.printed and line.printed.decimals < 0 else 0.0,
    )


def _records(exhibit: WinRateTable, lines: Sequence[_Line]) -> Records:
    """Make one line for each match on each base model; numbers unrounded."""
    fields = (
        "model", "model_label", "match", "group", "label", "ours", "lo", "hi", "paper", "paper_rounded_to", "verdict",
        "n", "n_asked", "n_missing", "wins", "draws", "losses", "consistency", "judge", "note",
    )  # fmt: skip
    rows = []
    for line in lines:
        rate, match = line.rate, line.match
        names = (line.model, exhibit.paper.model(line.model), match.id, match.group, match.label)
        rounded_to = line.printed and 10.0**-line.printed.decimals
        figures = (rate.value, *(rate.ci95 or (None, None)), match.published, rounded_to, line.cell.verdict)
        counts = (rate.n, rate.n_asked, rate.n_missing, rate.wins, rate.draws, rate.losses, rate.consistency)
        rows.append((*names, *figures, *counts, rate.judge, rate.note))
    return Records(fields, tuple(rows))
