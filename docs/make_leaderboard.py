"""Writes docs/leaderboard.md and docs/leaderboard.png, from the published AlpacaEval verdicts of a folder.

    .venv/bin/python docs/make_leaderboard.py ../shared/data/alpaca_eval2

The folder holds `annotations/`, one table a model, and `df_gamed_standin.csv`, the data of a length calibration. All
figures of the page come from `harness.commands.leaderboard`, as `harness leaderboard` has them.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.commands.leaderboard import leaderboard
from harness.results.leaderboard import ComparedPair, Leaderboard
from reports.figures import draw
from reports.leaderboard import LEGEND, PAIR_HEADS, conclusion, heading, heads, pair_rows, ranks_figure, rows

HERE = Path(__file__).parent

TUNED = (("phi-2-sft", "phi-2"), ("alpaca-farm-ppo-human", "alpaca-7b"), ("alpaca-farm-ppo-sim-gpt4-20k", "alpaca-7b"))
"""Tuned models, and what of the published models is nearest to what they were tuned from."""
LATER = (("claude-2", "claude"), ("claude-2.1", "claude-2"), ("text_davinci_003", "text_davinci_001"))
"""Later versions, and the ones before."""
PROMPTED = (("alpaca-7b_verbose", "alpaca-7b"), ("claude-2.1_concise", "claude-2.1"))
"""One model, asked for longer or shorter answers."""

INTRODUCTION = """\
# A leaderboard with intervals of its ranks

`harness leaderboard FOLDER` ranks models by stored verdicts, and says which places are more than chance: an interval
of each rank that holds for all models at once, groups in which nobody can be told apart, and paired tests of `--pairs
a:b,c:d`. A folder is laid out as AlpacaEval's `results/`, MODEL/JUDGE/annotations.json, or holds a table a model
(`index`, `preference`, `len_1`, `len_2`), or Arena-Hard's judgments. Files of another judge, baseline or set of
prompts than most are left out, with a count; two files on one model are an error. `--out` names the folder of its
page, CSV, JSON and figures. How ranks are made and how often they cover:
[statistics.md](statistics.md#ranks-of-a-leaderboard).

This page is made by `.venv/bin/python docs/make_leaderboard.py ../shared/data/alpaca_eval2`, from the verdicts of
GPT-4 Turbo that AlpacaEval 2.0 published of some of its models. Win rates are those of its leaderboard. The length
control is fitted with a stand-in of `df_gamed.csv`, so that it differs from the published one by up to some 2.5
points.
"""


def page(found: Leaderboard) -> str:
    """Return the page as Markdown."""
    return "\n".join(_parts(found)) + "\n"


def _parts(found: Leaderboard) -> Iterator[str]:
    yield INTRODUCTION
    yield "## Which gains survive\n"
    yield from _gains("Tuned, against the nearest published model that they could be tuned from", found, TUNED)
    yield from _gains("A later version, against the one before", found, LATER)
    yield from _gains("One model asked for longer or shorter answers, against itself", found, PROMPTED)
    yield "All of these tests are one family of Holm's method, at 5 %. Undecided does not mean equal.\n"
    yield "| pair | metric | prompts | points | 95 % interval | p | Holm p | verdict |"
    yield _rule(PAIR_HEADS)
    yield from map(_row, pair_rows(found))
    yield f"\n## The leaderboard\n\n{heading(found)}.\n"
    yield from (f"- {conclusion(ranking)}" for ranking in found.rankings)
    yield f"\n{LEGEND}\n\n![Ranks by {found.rankings[0].metric}](leaderboard.png)\n"
    yield _row(heads(found))
    yield _rule(heads(found))
    yield from map(_row, rows(found))


def _gains(title: str, found: Leaderboard, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield a line on a kind of pairs: how many are told apart by each metric, and in favour of which."""
    for ranking in found.rankings:
        tests = [each for each in found.pairs if each.metric == ranking.metric and (each.first, each.second) in pairs]
        counted = ", ".join(f"{_count(tests, verdict)} {verdict}" for verdict in ("better", "worse", "undecided"))
        yield f"- {title}, by {ranking.metric}: {counted} of {len(tests)}"
    yield ""


def _count(tests: Sequence[ComparedPair], verdict: str) -> int:
    return sum(each.verdict == verdict for each in tests)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('_', chr(92) + '_') for cell in cells)} |"


def _rule(columns: Sequence[str]) -> str:
    return "| --- " * len(columns) + "|"


def main() -> None:
    """Write the page and its figure."""
    folder = Path(sys.argv[1])
    calibration = folder / "df_gamed_standin.csv"
    found = leaderboard(folder / "annotations", calibration=calibration, pairs=(*TUNED, *LATER, *PROMPTED))
    (HERE / "leaderboard.md").write_text(page(found), encoding="utf-8")
    (HERE / "leaderboard.png").write_bytes(draw(ranks_figure(found.rankings[0])).png)


if __name__ == "__main__":
    main()
