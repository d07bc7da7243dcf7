"""Paired comparison of the methods of a finished run, by the verdicts in its folder."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.scoring import compare, decide
from harness.commands.compare import p_value_text
from harness.engine.staleness import CodeChanges
from harness.errors import UserError, unknown
from harness.regress.compare import results_of
from harness.regress.runs import CellName, FinishedRun, read_run, require_same_prompts
from harness.run.evidence import tell_stale_folders
from harness.terminal import aligned, joined, note_if_slow

if TYPE_CHECKING:
    from pandas import DataFrame

SLOW = "comparing {first} with {other}: what is fitted is fitted anew in each resample ..."
VERDICTS = ("better", "worse", "undecided", "withheld")


def compare_methods(folder: Path, methods: Sequence[str], code_changes: CodeChanges = "warn") -> dict[str, Any]:
    """Compare the first of `methods` with each of the others, on every base model and benchmark of the run in `folder`.

    Each comparison is on the same prompts, over all training seeds, and all of them are one family, decided as
    `evals.scoring.decide` has it. `comparisons` holds one for each base model, other method, benchmark and metric:
    both scores (`value`, `other_value`), the first minus the other with its interval, in points, the test and its
    verdict on the first, `on` "methods", or on these "checkpoints" with too few training seeds.
    Raises UserError for a folder without scores, methods that it does not have, or fewer than two of them.
    """
    run = read_run(folder)
    first, *others = _known(run, methods)
    pairs = list(_pairs(run, first, others))
    tell_stale_folders(run.judged, code_changes)
    measured = [each for pair in pairs for each in _measured(run, *pair)]
    n_tests = decide([result for _, result, _ in measured], [sides for *_, sides in measured])
    return {
        "run": str(folder),
        "method": first,
        "others": others,
        "seeds": list(run.manifest.seeds),
        "n_tests": n_tests,
        "comparisons": [{**place, **result} for place, result, _ in measured],
    }


def _known(run: FinishedRun, methods: Sequence[str]) -> list[str]:
    """Return the methods. Raises UserError for fewer than two, and for one that the run does not have."""
    there = dict.fromkeys(method for _, method, _ in run.cells)
    for name in methods:
        if name not in there:
            raise unknown(f"method of the run in {run.folder}:", name, there)
    if len(methods) < 2:
        raise UserError(f"{methods[0]} is to be compared with another method of the run: name two, comma-separated")
    return list(methods)


def _pairs(run: FinishedRun, first: str, others: Sequence[str]) -> Iterator[tuple[CellName, CellName]]:
    """Yield the cells of the first method beside those of each other, on the same base model and benchmark."""
    for other in others:
        for model, method, bench in run.cells:
            if method == first and (model, other, bench) in run.cells:
                yield (model, first, bench), (model, other, bench)


_Measured = tuple[dict[str, Any], dict[str, Any], tuple[tuple[str, ...], ...]]
"""A comparison by itself: its place with both scores, its result, and the names of its sides."""


def _measured(run: FinishedRun, first: CellName, second: CellName) -> Iterator[_Measured]:
    """Measure the difference of two cells by each metric that both have."""
    ours, theirs = run.cells[first], run.cells[second]
    require_same_prompts(first[2], ours, theirs)
    sets = results_of(first[2], [ours, theirs])
    by_seed = sets[: len(ours.verdicts)], sets[len(ours.verdicts) :]
    allow_missing = bool(run.manifest.options.get("allow_missing")) or None  # nobody can choose it here
    more_is_better = {metric.name: metric.higher_is_better for metric in sets[0].metrics}
    for metric in (name for name in ours.scores if name in theirs.scores):
        with note_if_slow(SLOW.format(first=" ".join(first), other=second[1])):
            result = compare(*by_seed, metric, allow_missing=allow_missing)
        sides = (*first, metric), (*second, metric)
        yield _place(run, first, second, metric), result, sides if more_is_better[metric] else sides[::-1]


def _place(run: FinishedRun, first: CellName, second: CellName, metric: str) -> dict[str, Any]:
    """Return the place of a comparison, and the two scores."""
    from evals.stats.comparison import MIN_SEEDS

    ours, theirs = run.cells[first], run.cells[second]
    n_seeds = min(len(ours.verdicts), len(theirs.verdicts))
    return {
        **dict(zip(("model", "method", "bench"), first, strict=True)),
        "other": second[1],
        "metric": metric,
        "label": ours.labels[metric],
        "on": "methods" if n_seeds >= MIN_SEEDS else "checkpoints",
        "value": ours.scores[metric].value,
        "other_value": theirs.scores[metric].value,
    }


def comparison_frame(found: Mapping[str, Any]) -> "DataFrame":
    """Return the comparisons that `compare_methods` found as a DataFrame, with the ends of intervals as columns."""
    from pandas import DataFrame

    rows = [{**each, **dict(zip(("low", "high"), each.get("ci95", ()), strict=False))} for each in found["comparisons"]]
    return DataFrame(rows, columns=list(_COLUMNS))


_COLUMNS = (
    *("model", "method", "other", "bench", "metric", "label", "value", "other_value", "difference", "low", "high"),
    *("p_value", "p_holm", "verdict", "on", "n_prompts", "minimum_detectable_effect", "prompts_needed"),
    *("seeds_needed", "needed", "withheld"),
)


# As lines for a terminal

_HEAD = ("", "score", "other", "diff.", "95 % interval", "Holm p", "verdict", "MDE")
_WORDS = (_HEAD.index(""), _HEAD.index("verdict"))


def methods_table(found: Mapping[str, Any]) -> str:
    """Format what `compare_methods` returns for a terminal of 80 columns: the answer, then a part for each base model
    and other method."""
    return joined(_lines(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    comparisons = found["comparisons"]
    yield from (_answer(found, other) for other in found["others"])
    count, seeds = found["n_tests"], len(found["seeds"])
    yield f"{seeds} training seed{'s' * (seeds > 1)}, paired by prompt; Holm over {count} test{'s' * (count != 1)}"
    head, *lines = aligned([_HEAD, *map(_cells, comparisons)], _WORDS)
    yield head
    heading = ""
    for each, line in zip(comparisons, lines, strict=True):
        if heading != (heading := f"{each['model']}: {each['method']} against {each['other']}"):
            yield heading
        yield f"  {each['label']} withheld: {each['withheld']}" if "withheld" in each else line
    yield from _legend(comparisons)


def _answer(found: Mapping[str, Any], other: str) -> str:
    """Write in how many comparisons the first method is better than another, and in how many it is worse."""
    verdicts = Counter(each.get("verdict", "withheld") for each in found["comparisons"] if each["other"] == other)
    counts = ", ".join(f"{verdict} in {count}" for verdict in VERDICTS if (count := verdicts[verdict]))
    return f"{found['method']} against {other}: {counts} of {verdicts.total()}"


def _cells(each: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row of the table, in the columns of `_HEAD`; empty cells for a withheld test."""
    if "withheld" in each:
        return ("",) * len(_HEAD)
    low, high = each["ci95"]
    effect = each.get("minimum_detectable_effect")
    return (
        each["label"],
        f"{each['value']:.1f}",
        f"{each['other_value']:.1f}",
        f"{each['difference']:+.1f}",
        f"[{low:.1f}, {high:.1f}]",
        p_value_text(each["p_holm"]),
        each["verdict"],
        f"{effect:.1f}" if effect is not None else "",
    )


_LEGEND = """\
Differences are the first minus the other, in points; verdicts are on the
first, at 5 %, by the Holm-adjusted p; an interval is of its difference by
itself, over prompts and training seeds."""
_LEGEND_OF_UNDECIDED = """\
Undecided does not mean equal. MDE: the true difference, in points, that such
a test decides in 80 % of repeats; what would decide the observed: --json."""
_LEGEND_OF_CHECKPOINTS = "Verdicts are on these checkpoints; on methods: `harness reproduce --seeds {}`."


def _legend(comparisons: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Explain the table, as far as it needs it."""
    from evals.stats.comparison import MIN_SEEDS

    decided = [each for each in comparisons if "withheld" not in each]
    if decided:
        yield from _LEGEND.splitlines()
    if any(each["on"] == "checkpoints" for each in decided):
        yield _LEGEND_OF_CHECKPOINTS.format(MIN_SEEDS)
    if any(each["verdict"] == "undecided" for each in decided):
        yield from _LEGEND_OF_UNDECIDED.splitlines()
