"""The comparison of two runs: `regress.json`, a table for a terminal, a page with the pairs whose verdict flipped."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal, get_args

from harness.errors import UserError
from harness.files import replace_file
from harness.terminal import aligned, one_line
from reports.templating import templates
from reports.viewer import Pair, viewer_page

PAGE, FIGURES = "regress.html", "regress.json"

ScoreVerdict = Literal["worse", "better", "cannot tell", "rescored", "same"]
"""On a score, in the order in which they are counted up."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One of the two runs; `folder` as it was given."""

    folder: str
    name: str
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ComparedScore:
    """One score in both runs, in per cent; `difference` and what follows are candidate minus baseline, in points.

    `verdict` is on the candidate. A score whose outputs are the same in both runs is "same" and not tested, or
    "rescored" where its value still differs: the verdicts or their scoring changed, not the method. The figures are
    those of `evals.stats.regression.Change`; they are None where nothing was tested, and `note` says why.
    """

    model: str
    method: str
    bench: str
    metric: str
    label: str
    verdict: ScoreVerdict
    baseline: float | None
    candidate: float | None
    difference: float | None = None
    ci95: tuple[float, float] | None = None
    p_value: float | None = None
    p_holm: float | None = None
    minimum_detectable_effect: float | None = None
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    n_prompts: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs compared. `only_baseline` and `only_candidate` name the cells that one run alone has."""

    baseline: ComparedRun
    candidate: ComparedRun
    scale: str
    fast: bool
    judges: dict[str, str]
    """The judge's fingerprint by bench."""
    resamples: int
    n_tests: int
    scores: tuple[ComparedScore, ...]
    only_baseline: tuple[str, ...] = ()
    only_candidate: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What must not be overlooked, such as too few training seeds."""

    def of(self, verdict: str) -> list[ComparedScore]:
        """Return the scores with this verdict."""
        return [score for score in self.scores if score.verdict == verdict]

    @property
    def is_worse(self) -> bool:
        """Whether anything got worse."""
        return bool(self.of("worse"))

    def conclusion(self) -> str:
        """Say what came of it, in one line."""
        counts = [(len(self.of(verdict)), verdict) for verdict in get_args(ScoreVerdict)]
        tally = ", ".join(f"{count} {verdict}" for count, verdict in counts if count) + "."
        if any(score.verdict not in ("same", "rescored") for score in self.scores):
            return tally
        return f"{tally} Nothing was tested: all that both runs have is of the same answers."


def write_comparison(comparison: RunComparison, pairs: Sequence[Pair], folder: Path) -> Path:
    """Write the page and the same numbers as JSON; return where the page is.

    Both are made before either is written, and each is replaced as a whole. Raises UserError for a folder that cannot
    be written.
    """
    files = {
        FIGURES: json.dumps(asdict(comparison), indent=1, ensure_ascii=False) + "\n",
        PAGE: comparison_page(comparison, pairs),
    }
    try:
        for name, content in files.items():
            replace_file(folder / name, content.encode("utf-8"))
    except OSError as error:
        raise UserError(f"cannot write the comparison in {folder}: {error.strerror}") from None
    return folder / PAGE


HEADS = ("", "verdict", "baseline", "candidate", "difference", "95 % interval", "Holm p", "catches")
_WORDS = (HEADS.index(""), HEADS.index("verdict"))
"""The columns that begin alike; those of figures end alike."""

LEGEND = """\
Difference: candidate minus baseline, in points; its 95 % interval is that of the score by itself.
The verdict goes by Holm's p over all tests, at 5 %. Catches: the true difference that such a
comparison decides in 80 % of repeats. Cannot tell does not mean equal."""


def cells(score: ComparedScore) -> tuple[str, ...]:
    """Return the score under `HEADS`, as text."""
    return (
        score.label,
        score.verdict,
        _number(score.baseline),
        _number(score.candidate),
        "" if score.difference is None else _signed(score.difference),
        f"[{_signed(score.ci95[0])}, {_signed(score.ci95[1])}]" if score.ci95 else "",
        _p_value(score.p_holm),
        _number(score.minimum_detectable_effect),
    )


def _p_value(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def _signed(value: float) -> str:
    """Format a number with its sign, and nothing with that of less than nothing."""
    return f"{round(value, 1) + 0.0:+.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def heading(comparison: RunComparison) -> str:
    """Say what is compared, in one line."""
    fast = ", --fast" if comparison.fast else ""
    return f"{comparison.candidate.folder} against {comparison.baseline.folder} (scale {comparison.scale}{fast})"


def seeds_line(comparison: RunComparison) -> str:
    """Say how many training seeds the runs have, and how many tests were made of them."""
    runs = (("baseline", comparison.baseline), ("candidate", comparison.candidate))
    seeds = "; ".join(f"{what}: seed{'s' * (len(run.seeds) > 1)} {_ranges(run.seeds)}" for what, run in runs)
    count = comparison.n_tests
    return f"{seeds}; {count} test{'s' * (count != 1)}, one family"


def _ranges(seeds: Sequence[int]) -> str:
    """Format numbers as ``0–2, 7``."""
    runs = groupby(enumerate(sorted(seeds)), key=lambda each: each[1] - each[0])
    ends = [[seed for _, seed in run] for _, run in runs]
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in ends)


def same_line(comparison: RunComparison) -> str:
    """Return the cells whose outputs are the same in both runs, by method where all of its are; "" for none."""
    others = {(score.model, score.method) for score in comparison.scores if score.verdict != "same"}
    names = dict.fromkeys(
        " ".join((score.model, score.method, score.bench)[: 3 if (score.model, score.method) in others else 2])
        for score in comparison.of("same")
    )
    return f"same outputs in both runs, not tested: {', '.join(names)}" if names else ""


def comparison_table(comparison: RunComparison) -> str:
    """Format the comparison for a terminal, in lines of less than 100 characters."""
    from textwrap import wrap

    lines = [heading(comparison), seeds_line(comparison), *map(one_line, _rows(comparison))]
    for what, names in (("baseline", comparison.only_baseline), ("candidate", comparison.only_candidate)):
        if names:
            lines.append(f"only in the {what}: {', '.join(names)}")
    lines += [line for line in (same_line(comparison), *comparison.notes) if line]
    wrapped = [part for line in lines for part in ([line] if line.startswith("  ") else wrap(line, 98))]
    return "\n".join([*wrapped, *[LEGEND] * bool(comparison.n_tests), comparison.conclusion()])


def changed(comparison: RunComparison) -> Iterator[tuple[str, list[ComparedScore]]]:
    """Return the scores that are not the same in both runs, by base model and method."""
    tested = [score for score in comparison.scores if score.verdict != "same"]
    for (model, method), scores in groupby(tested, key=lambda score: (score.model, score.method)):
        yield f"{model} {method}", list(scores)


def _rows(comparison: RunComparison) -> Iterator[str]:
    rows = [cells(score) for _, scores in changed(comparison) for score in scores]
    if not rows:
        return
    head, *lines = aligned([HEADS, *rows], _WORDS)
    yield head
    line = iter(lines)
    for name, scores in changed(comparison):
        yield name
        for score in scores:
            yield next(line)
            if score.note:
                yield f"    {score.note}"


def comparison_page(comparison: RunComparison, pairs: Sequence[Pair]) -> str:
    """Render `regress.html`: the table, then the pairs whose verdict flipped; one file that loads nothing."""
    template = templates().get_template("regress.html.j2")
    table = template.render(
        comparison=comparison,
        heading=heading(comparison),
        seeds=seeds_line(comparison),
        same=same_line(comparison),
        heads=HEADS,
        groups=[(name, [(score, cells(score)) for score in scores]) for name, scores in changed(comparison)],
        legend=LEGEND,
    )
    return viewer_page(
        pairs,
        title="Did the change make it worse?",
        heading="Flipped pairs",
        note=(
            "Prompts won against the bench's baseline in one run and not in the other: the baseline run's answer left, "
            "the candidate's right, each with the judge's verdict on it against the bench's baseline."
        ),
        before=table,
    )
