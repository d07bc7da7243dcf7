"""A leaderboard as a table for a terminal, as files, and as a page."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from harness.errors import UserError
from harness.files import replace_file
from harness.results.leaderboard import ComparedPair, Leaderboard, Ranking
from harness.terminal import aligned, joined
from reports.blocks import Figure
from reports.figures import draw
from reports.rank_chart import RankChart, RankLine
from reports.templating import templates

PAGE, TABLE, PAIRS, RECORD = "index.html", "leaderboard.csv", "pairs.csv", "leaderboard.json"

LEGEND = (
    "95 % rank: with a chance of 95 %, the true ranks of all models lie in these intervals at once. Models that share "
    "a group cannot be told apart; a model may be in several. 95 % intervals of scores are each by itself."
)
PAIRS_LEGEND = (
    "Points: the first model minus the second. Verdicts are on the first, at 5 %, by the p adjusted over all of these "
    "tests (Holm); they are on these checkpoints. Undecided does not mean equal."
)
PAIR_HEADS = ("", "metric", "prompts", "points", "95 % interval", "p", "Holm p", "verdict")
_SHOWN_REASONS = 5


def as_json(found: Leaderboard) -> str:
    """Return all that was found as JSON."""
    return json.dumps(asdict(found), indent=1)


# In words


def heading(found: Leaderboard) -> str:
    """Say what is ranked, against what and by whom, in one line."""
    against = f" against {found.baseline}" if found.baseline else ""
    judge = f", judged by {found.judge}" if found.judge else ""
    return f"{found.bench}: {len(found.rankings[0].places)} models{against}, {found.n_prompts} prompts{judge}"


def conclusion(ranking: Ranking) -> str:
    """Say how much of the ranking is more than chance."""
    sure = sum(place.rank_ci95[0] == place.rank_ci95[1] for place in ranking.places)
    return (
        f"{ranking.metric}: {ranking.n_apart} of {ranking.n_pairs} pairs can be told apart; {sure} of "
        f"{len(ranking.places)} ranks are certain"
    )


def left_out(found: Leaderboard) -> Iterator[str]:
    """Say how many files have no place, and why the first of them."""
    if found.left_out:
        yield f"left out: {len(found.left_out)} file{'s' * (len(found.left_out) > 1)}"
    for each in found.left_out[:_SHOWN_REASONS]:
        yield f"  {each.file}: {each.reason}"
    if len(found.left_out) > _SHOWN_REASONS:
        yield f"  and {len(found.left_out) - _SHOWN_REASONS} more, in {RECORD}"


# Rows


def heads(found: Leaderboard) -> tuple[str, ...]:
    """Return the heads of the table: of the leading metric with its groups, then of each other."""
    first, *others = found.rankings
    more = [head for each in others for head in (each.metric, "95 % rank")]
    return ("rank", "95 % rank", "model", first.metric, "95 % interval", "groups", *more)


def rows(found: Leaderboard) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each model, the best by the leading metric first."""
    first, *others = found.rankings
    for at, place in enumerate(first.places, start=1):
        low, high = place.ci95
        more: list[str] = []
        for each in others:
            other = next(found for found in each.places if found.model == place.model)
            more += [f"{other.score:.2f}", _span(other.rank_ci95)]
        yield (
            str(place.rank),
            _span(place.rank_ci95),
            place.model,
            f"{place.score:.2f}",
            f"[{low:.2f}, {high:.2f}]",
            _groups(first, at),
            *more,
        )


def _groups(ranking: Ranking, at: int) -> str:
    """Return the numbers of the groups that hold the place `at`."""
    numbers = [number for number, (first, last) in enumerate(ranking.groups, start=1) if first <= at <= last]
    return _span((numbers[0], numbers[-1]))


def _span(ends: Sequence[int]) -> str:
    low, high = ends
    return str(low) if low == high else f"{low}–{high}"


def pair_rows(found: Leaderboard) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each tested pair."""
    for pair in found.pairs:
        name = f"{pair.first} – {pair.second}"
        if pair.ci95 is None or pair.difference is None:
            yield (name, pair.metric, str(pair.n_prompts), "", "", "", "", f"withheld: {pair.withheld}")
            continue
        low, high = pair.ci95
        yield (
            name,
            pair.metric,
            str(pair.n_prompts),
            f"{pair.difference:+.2f}",
            f"[{low:.2f}, {high:.2f}]",
            _p_value(pair.p_value),
            _p_value(pair.p_holm),
            pair.verdict,
        )


def _p_value(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if value >= 0.0001 else "<.0001"


def leaderboard_table(found: Leaderboard) -> str:
    """Format the leaderboard for a terminal."""
    return joined(_lines(found))


def _lines(found: Leaderboard) -> Iterator[str]:
    from textwrap import wrap

    yield heading(found)
    yield from aligned([heads(found), *rows(found)], (2,))
    yield from wrap(LEGEND, 98)
    if found.pairs:
        yield from aligned([PAIR_HEADS, *pair_rows(found)], (0, 1, len(PAIR_HEADS) - 1))
        yield from wrap(PAIRS_LEGEND, 98)
    yield from found.notes
    yield from left_out(found)
    yield from map(conclusion, found.rankings)


# Files


def write_leaderboard(found: Leaderboard, folder: Path) -> Path:
    """Write the page, the tables, the record and the figures into a folder, and return the page.

    Raises UserError for a folder that cannot be written.
    """
    files = {RECORD: as_json(found).encode(), TABLE: _csv(_records(found)), PAIRS: _csv(_pair_records(found))}
    drawings = {figure: draw(figure) for figure in map(ranks_figure, found.rankings)}
    for figure, drawing in drawings.items():
        path = figure.path
        files |= {f"{path}.pdf": drawing.pdf, f"{path}.png": drawing.png, f"{path}.svg": drawing.svg_file}
    files[PAGE] = leaderboard_page(found, {figure.caption: each.svg for figure, each in drawings.items()}).encode()
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            replace_file(folder / name, content)
    except OSError as error:
        raise UserError(f"cannot write the leaderboard in {folder}: {error.strerror}") from None
    return folder / PAGE


def leaderboard_page(found: Leaderboard, drawings: dict[str, str]) -> str:
    """Render `index.html`, which loads nothing; `drawings` are `<svg>` elements by caption."""
    return (
        templates()
        .get_template("leaderboard.html.j2")
        .render(
            title="Which places are more than chance?",
            heading=heading(found),
            conclusions=[conclusion(each) for each in found.rankings],
            notes=[*found.notes, *left_out(found)],
            heads=heads(found),
            rows=list(rows(found)),
            legend=LEGEND,
            pair_heads=PAIR_HEADS,
            pairs=list(pair_rows(found)),
            pairs_legend=PAIRS_LEGEND,
            drawings=drawings,
        )
    )


def ranks_figure(ranking: Ranking) -> Figure:
    """Return the figure of a ranking's rank intervals."""
    lines = tuple(RankLine(place.model, place.rank, place.rank_ci95) for place in ranking.places)
    caption = f"Ranks by {ranking.metric}, with 95 % intervals that hold for all models at once"
    return Figure(f"ranks_{ranking.metric}", caption, caption, RankChart(lines, f"rank by {ranking.metric}"))


_FIELDS = ("metric", "model", "score", "low", "high", "rank", "rank_low", "rank_high", "first_group", "last_group")


def _records(found: Leaderboard) -> Iterator[Sequence[object]]:
    yield _FIELDS
    for ranking in found.rankings:
        for at, place in enumerate(ranking.places, start=1):
            inside = [number for number, (low, high) in enumerate(ranking.groups, start=1) if low <= at <= high]
            of = (ranking.metric, place.model, place.score, *place.ci95)
            yield (*of, place.rank, *place.rank_ci95, inside[0], inside[-1])


def _pair_records(found: Leaderboard) -> Iterator[Sequence[object]]:
    yield ("first", "second", "metric", "n_prompts", "difference", "low", "high", "p_value", "p_holm", "verdict")
    for pair in found.pairs:
        yield _pair_record(pair)


def _pair_record(pair: ComparedPair) -> Sequence[object]:
    low, high = pair.ci95 or (None, None)
    of = (pair.first, pair.second, pair.metric, pair.n_prompts, pair.difference)
    return (*of, low, high, pair.p_value, pair.p_holm, pair.verdict)


def _csv(records: Iterator[Sequence[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(records)
    return out.getvalue().encode()
