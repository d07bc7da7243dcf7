"""Paired comparison of models from stored verdicts, in the official file formats."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

from evals.base import RESAMPLES, FileOptions, StoredVerdicts, VerdictFiles
from evals.scoring import compare, decide
from harness.commands.stored_verdicts import verdict_files
from harness.engine.staleness import CodeChanges
from harness.errors import UserError
from harness.run.evidence import look_at_files
from harness.terminal import aligned, joined, progress_stream

Files = tuple[Path, ...]
"""Of one model: its verdicts, a file a training seed."""


@dataclass(frozen=True, slots=True)
class _Model:
    """One model's verdicts, by training seed."""

    name: str
    seeds: tuple[StoredVerdicts, ...]


def compare_files(
    bench: str,
    first: Files,
    others: Sequence[Files],
    *,
    calibration: Path | None = None,
    reference_outputs: Path | None = None,
    allow_missing: bool = False,
    code_changes: CodeChanges = "warn",
) -> dict[str, Any]:
    """Compare the first model with each of the others on the same prompts, by every metric of the bench.

    All tests are one family: `p_value` is that of the test in it (`evals.stats.comparison.family_tests`), `p_holm` is
    adjusted over the `n_tests` of them, and `verdict` ("better", "worse" or "undecided", of the first) goes by that, at
    5 %. It is on "methods" where both models have enough training seeds, else on these "checkpoints", as `on` says.
    `difference` and `ci95`, which is of this comparison alone, are in points. An undecided test has its
    `minimum_detectable_effect` (points), `prompts_needed` and `seeds_needed` (None where no number would do), at the
    level that Holm's method leaves to it. One that is `withheld` says why, and is none of the family.

    Of each model there is a file a training seed. `calibration` is needed for
    the length-controlled win rate; it and `reference_outputs` are AlpacaEval's.
    Files of artifacts are looked at with all that these were made from: what is stale is said, and in `stale`.
    Raises UserError for files that are wrong, damaged or given twice, verdicts of several judges, and models with one
    prompt in common.
    """
    options = FileOptions(calibration, reference_outputs, allow_missing)
    reader = verdict_files(bench, options)
    _require_distinct(first, others)
    stale = look_at_files([path for files in (first, *others) for path in files], code_changes)
    models = [tuple(reader.read(path) for path in files) for files in (first, *others)]
    read = [each for seeds in models for each in seeds]
    _require_one_judge(read)
    for each in read:
        if each.note:
            print(f"{each.path}: {each.note}", file=sys.stderr)
    model, *against = _named(models)
    compared = [_compared(reader, model, other, allow_missing=allow_missing) for other in against]
    cells = [((model.name, metric.name), (other.name, metric.name)) for other in against for metric in reader.metrics]
    n_tests = decide([comparison for each in compared for comparison in each["metrics"].values()], cells)
    return {
        "bench": bench,
        "model": model.name,
        "files": [str(each.path) for each in model.seeds],
        "lc_calibration": str(calibration) if calibration else None,
        "resamples": RESAMPLES,
        "n_tests": n_tests,
        "stale": stale.lines,
        "against": compared,
    }


def _require_distinct(first: Files, others: Sequence[Files]) -> None:
    """Raise UserError for a file given twice: it would pass for a further training seed, or for a further test."""
    for files in (first, *others):
        if len(set(files)) < len(files):
            raise UserError(f"{','.join(map(str, files))}: a file is named twice; a training seed has one of its own")
    if len(set(others)) < len(others):
        raise UserError("a model to compare with is given twice; name each once")


def _require_one_judge(verdicts: Sequence[StoredVerdicts]) -> None:
    named = [each for each in verdicts if each.judge]
    for each in named:
        if each.judge != named[0].judge:
            raise UserError(
                f"{named[0].path} holds verdicts of {named[0].judge}, {each.path} of {each.judge}; "
                "models can be compared by the verdicts of one judge alone"
            )


def _named(models: Sequence[tuple[StoredVerdicts, ...]]) -> list[_Model]:
    """Return the models under their names, or under their files where names alone do not tell them apart."""
    names = [", ".join(dict.fromkeys(each.model for each in seeds)) for seeds in models]
    if len(set(names)) < len(names):
        names = [", ".join(str(each.path) for each in seeds) for seeds in models]
    return [_Model(name, seeds) for name, seeds in zip(names, models, strict=True)]


def _compared(reader: VerdictFiles, first: _Model, second: _Model, *, allow_missing: bool) -> dict[str, Any]:
    """Return the comparisons of one pair of models by metric, each by itself, and what they rest on."""
    from evals.stats.comparison import MIN_SEEDS

    results: dict[str, Any] = {}
    ours, theirs = ([each.results for each in model.seeds] for model in (first, second))
    for metric in [each.name for each in reader.metrics]:
        if metric == reader.slow:
            message = f"comparing {first.name} with {second.name} by {metric}, which is fitted anew in each resample"
            print(message, file=progress_stream(), flush=True)
        results[metric] = compare(ours, theirs, metric, allow_missing=allow_missing)
    n_prompts = next(iter(results.values()))["n_prompts"]
    if n_prompts == 1:
        raise UserError(f"{first.name} and {second.name} have one prompt in common; a paired test needs more")
    is_on_methods = min(len(first.seeds), len(second.seeds)) >= MIN_SEEDS
    return {
        "model": second.name,
        "files": [str(each.path) for each in second.seeds],
        "n_prompts": n_prompts,
        "on": "methods" if is_on_methods else "checkpoints",
        "metrics": results,
    }


# As lines for a terminal

_HEAD = ("", "points", "95 % interval", "p", "Holm p", "verdict", "MDE", "needed")
_WORDS = (_HEAD.index(""), _HEAD.index("verdict"))
"""The columns that begin alike; those of figures end alike."""
_LEGEND = """\
Points: the first model minus the other. Verdicts are on the first, at 5 %, by the Holm-adjusted p;
the 95 % intervals are of each difference by itself, over prompts and training seeds."""
_LEGEND_OF_UNDECIDED = """\
Undecided does not mean equal. MDE: the true difference, in points, that such a test decides in 80 %
of repeats. Needed: what would decide one of the size observed. Both at the level that Holm's method
leaves to the first of the undecided tests."""
_LEGEND_OF_CHECKPOINTS = (
    "{verdicts} are on these checkpoints, not on how they were trained: a verdict on methods takes the verdicts of "
    "{seeds} training seeds a model, a file each."
)
_WIDTH = 100


def comparison_table(found: Mapping[str, Any]) -> str:
    """Format what `compare_files` returns as a table with a part for each of the other models."""
    return joined(_lines(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    count = found["n_tests"]
    yield f"{found['bench']}: {found['model']}{_seeds(found)}, paired; Holm over {count} test{'s' * (count != 1)}"
    head, *lines = aligned([_HEAD, *(_cells(metric, each) for _, metric, each in _results(found))], _WORDS)
    yield head
    for (other, metric, result), line in zip(_results(found), lines, strict=True):
        if metric == next(iter(other["metrics"])):
            yield f"against {other['model']}{_seeds(other)}, {other['n_prompts']} prompts"
        yield f"  {metric} withheld: {result['withheld']}" if "withheld" in result else line
    yield from _legend(found)


def _results(found: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    """Return (other model, metric, result) of every test, withheld ones too."""
    return ((other, metric, each) for other in found["against"] for metric, each in other["metrics"].items())


def _seeds(model: Mapping[str, Any]) -> str:
    return f" ({len(model['files'])} training seeds)" if len(model["files"]) > 1 else ""


def _cells(metric: str, result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row of the table, in the columns of `_HEAD`; empty cells for a withheld test."""
    if "withheld" in result:
        return ("",) * len(_HEAD)
    lower, upper = result["ci95"]
    return (
        metric,
        f"{result['difference']:+.2f}",
        f"[{lower:.2f}, {upper:.2f}]",
        p_value_text(result["p_value"]),
        p_value_text(result["p_holm"]),
        result["verdict"],
        *_power(result),
    )


def p_value_text(value: float) -> str:
    """Format a p-value, none as 0: one that is too small for the column is told as that, as wide as others."""
    return f"{value:.4f}" if value >= 0.0001 else "<.0001"


def _power(result: Mapping[str, Any]) -> tuple[str, str]:
    """Format what an undecided test could have found, and what would decide it."""
    if result["verdict"] != "undecided":
        return "", ""
    effect = result["minimum_detectable_effect"]
    return "–" if effect is None else f"{effect:.2f}", result["needed"] or "–"


def _legend(found: Mapping[str, Any]) -> Iterator[str]:
    verdicts = {result.get("verdict") for *_, result in _results(found)}
    if found["n_tests"]:
        yield from _LEGEND.splitlines()
    if of_checkpoints := _legend_of_checkpoints(found):
        yield from of_checkpoints.splitlines()
    if "undecided" in verdicts:
        yield from _LEGEND_OF_UNDECIDED.splitlines()


def _legend_of_checkpoints(found: Mapping[str, Any]) -> str:
    """Explain verdicts on checkpoints, and on which models; empty where all are on methods."""
    from evals.stats.comparison import MIN_SEEDS

    on = {other["model"]: other["on"] for other, _, result in _results(found) if "withheld" not in result}
    models = [model for model, tested in on.items() if tested == "checkpoints"]
    if not models:
        return ""
    verdicts = "These verdicts" if len(models) == len(on) else f"Verdicts against {', '.join(models)}"
    return fill(_LEGEND_OF_CHECKPOINTS.format(verdicts=verdicts, seeds=MIN_SEEDS), _WIDTH)
