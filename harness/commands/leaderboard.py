"""`harness leaderboard`: many models by stored verdicts, with ranks that say what is chance."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.base import RESAMPLES, FileOptions, Metric, StoredVerdicts, VerdictFiles
from evals.formats.rows import read_rows
from evals.ranking import departs, ranking, usual_items
from evals.scoring import compare, decide
from harness.commands.stored_verdicts import verdict_files
from harness.errors import UserError, named
from harness.recipes.registries import load_benchmark
from harness.results.leaderboard import ComparedPair, Leaderboard, LeftOut

ANNOTATIONS = "annotations.json"
"""What alpaca_eval calls a model's verdicts, in the folder of the model and the judge."""
_TABLES = (".csv", ".csv.gz", ".json", ".json.gz")
_JUDGMENTS = (".jsonl", ".jsonl.gz")
_CATEGORY_BENCHES = {"hard_prompt": "arena_hard_v2", "creative_writing": "arena_hard_v2"}
"""The bench of an Arena-Hard question by its category; v0.1 has no other."""

NO_LENGTH_CONTROL = "no length control: pass --lc-calibration df_gamed.csv"

ModelPairs = Sequence[tuple[str, str]]


def leaderboard(folder: Path, *, calibration: Path | None = None, pairs: ModelPairs = ()) -> Leaderboard:
    """Rank the models whose verdicts lie in a folder, and test `pairs` of them.

    Left out, with the reason, are files of another judge, baseline or set of prompts than most files have. Raises
    UserError for a folder without verdicts, a file that is wrong, two files on one model, fewer than two models, and a
    pair of models that are not there.
    """
    files = verdict_paths(folder)
    bench = _bench_of(files[0])
    reader = verdict_files(bench, FileOptions(calibration, allow_missing=True))
    ranked, left_out = _alike([reader.read(path) for path in files])
    _require_distinct(ranked)
    items = usual_items(each.results for each in ranked)
    metrics = _metrics(bench, reader, ranked, items)
    ranked, others = _split(ranked, lambda each: departs(each.results, items) or _withheld(each, metrics, items))
    left_out += others
    if len(ranked) < 2:
        because = f" ({left_out[0].file}: {left_out[0].reason})" if left_out else ""
        raise UserError(f"{folder}: {len(ranked)} of {len(files)} files can be ranked; it takes two models{because}")
    if len(items) < 2:
        raise UserError(f"{folder}: the models have one prompt in common; a ranking needs more")
    models = {each.model: each for each in ranked}
    tested = _tested(pairs, models, metrics)
    results = {name: each.results for name, each in models.items()}
    return Leaderboard(
        folder=str(folder),
        bench=bench,
        judge=_commonest(each.judge for each in ranked),
        baseline=_commonest(each.baseline for each in ranked),
        n_prompts=len(items),
        resamples=RESAMPLES,
        rankings=tuple(ranking(results, items, metric) for metric in metrics),
        left_out=tuple(left_out),
        pairs=tuple(tested),
        notes=() if calibration or not reader.takes else (NO_LENGTH_CONTROL,),
    )


# The files


def verdict_paths(folder: Path) -> list[Path]:
    """Return the files of verdicts in a folder: alpaca_eval's annotations.json at any depth, else tables or JSON files
    of verdicts in the folder itself, else Arena-Hard's judgments, in it or in the folders of judges in it.

    Raises UserError for what is no folder, and where none is there.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give one with a file of verdicts for each model")
    for found in (
        sorted(folder.rglob(ANNOTATIONS)),
        _ending(folder.iterdir(), _TABLES),
        _ending(folder.iterdir(), _JUDGMENTS),
        _ending(folder.glob("*/*"), _JUDGMENTS),
    ):
        if found:
            return found
    raise UserError(
        f"{folder}: no verdicts in it: neither MODEL/JUDGE/{ANNOTATIONS} of alpaca_eval, nor tables (.csv, .csv.gz), "
        "nor Arena-Hard's judgments (.jsonl)"
    )


def _ending(paths: Iterable[Path], endings: tuple[str, ...]) -> list[Path]:
    return sorted(path for path in paths if path.is_file() and path.name.endswith(endings))


def _bench_of(path: Path) -> str:
    """Return the bench that a file's verdicts are of. Raises UserError for a file that cannot be read."""
    if not path.name.endswith(_JUDGMENTS):
        return "alpaca_eval2"
    row = read_rows(path)[0][1]
    return _CATEGORY_BENCHES.get(str(row.get("category")), "arena_hard")


# Who is left out


def _alike(found: Sequence[StoredVerdicts]) -> tuple[list[StoredVerdicts], list[LeftOut]]:
    """Keep the files of the judge, the baseline and the prompts that most files have; those that do not say pass."""
    ranked, left_out = list(found), list[LeftOut]()
    traits: tuple[tuple[str, Callable[[StoredVerdicts], str]], ...] = (
        ("judged by", lambda each: each.judge),
        ("against", lambda each: each.baseline),
        ("on", lambda each: each.prompts),
    )
    for word, trait in traits:
        usual = _commonest(map(trait, ranked))
        ranked, others = _split(ranked, lambda each, t=trait, u=usual, w=word: _other(w, t(each), u))  # type: ignore[misc]
        left_out += others
    return ranked, left_out


def _other(word: str, own: str, usual: str) -> str:
    return f"{word} {own}, not {usual}" if own not in ("", usual) else ""


def _commonest(names: Iterable[str]) -> str:
    """Return the name that most have, the first of these by the letter; "" where none has one."""
    counts = Counter(name for name in names if name)
    return min(counts, key=lambda name: (-counts[name], name), default="")


def _split(
    found: Iterable[StoredVerdicts], why_not: Callable[[StoredVerdicts], str]
) -> tuple[list[StoredVerdicts], list[LeftOut]]:
    ranked, left_out = [], []
    for each in found:
        if reason := why_not(each):
            left_out.append(LeftOut(each.model, str(each.path), reason))
        else:
            ranked.append(each)
    return ranked, left_out


def _withheld(each: StoredVerdicts, metrics: Sequence[Metric], items: Sequence[Any]) -> str:
    """Return why a model has no score by one of the metrics; "" where it has all."""
    reasons = (each.results.withheld(metric.name, items, allow_missing=False) for metric in metrics)
    return next(filter(None, reasons), None) or ""


def _require_distinct(found: Sequence[StoredVerdicts]) -> None:
    """Raise UserError for two files on one model: only the user knows which counts."""
    places: dict[str, Path] = {}
    for each in found:
        if each.model in places:
            raise UserError(f"two files hold verdicts on {each.model}: {places[each.model]} and {each.path}; keep one")
        places[each.model] = each.path


def _metrics(bench: str, reader: VerdictFiles, found: Sequence[StoredVerdicts], items: Sequence[Any]) -> list[Metric]:
    """Return the metrics that reports show of the bench, of those that the reader and most files can give."""
    reported = [metric for metric in load_benchmark(bench).metrics if metric in reader.metrics]
    return [
        metric for metric in reported if 2 * sum(not _withheld(each, [metric], items) for each in found) >= len(found)
    ]


# Pairs


def _tested(pairs: ModelPairs, models: Mapping[str, StoredVerdicts], metrics: Sequence[Metric]) -> list[ComparedPair]:
    """Test pairs by all metrics, as one family: what `harness compare` does of two files."""
    asked = [(named("model", a, models), named("model", b, models), metric) for a, b in pairs for metric in metrics]
    found = [compare([a.results], [b.results], metric.name, allow_missing=None) for a, b, metric in asked]
    cells = [((a.model, metric.name), (b.model, metric.name)) for a, b, metric in asked]
    decide(found, cells)
    return [_pair(a, b, metric, result) for (a, b, metric), result in zip(asked, found, strict=True)]


def _pair(first: StoredVerdicts, second: StoredVerdicts, metric: Metric, result: Mapping[str, Any]) -> ComparedPair:
    of = ComparedPair(first.model, second.model, metric.name, result["n_prompts"], withheld=result.get("withheld", ""))
    if of.withheld:
        return of
    low, high = result["ci95"]
    return ComparedPair(
        first.model,
        second.model,
        metric.name,
        result["n_prompts"],
        result["difference"],
        (low, high),
        result["p_value"],
        result["p_holm"],
        result["verdict"],
    )


def parse_pairs(text: str) -> list[tuple[str, str]]:
    """Read ``a:b,c:d``. Raises UserError for a pair that is none, of a model with itself, or given twice."""
    found = list(_pairs(text))
    if len({frozenset(pair) for pair in found}) < len(found):
        raise UserError(f"--pairs {text}: a pair is given twice; name each once")
    return found


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(","):
        first, _, second = (name.strip() for name in part.partition(":"))
        if not first or not second or ":" in second:
            raise UserError(f"--pairs: {part.strip()!r} is no pair; write MODEL:MODEL, pairs separated by commas")
        if first == second:
            raise UserError(f"--pairs: {first} is paired with itself; name two models")
        yield first, second
