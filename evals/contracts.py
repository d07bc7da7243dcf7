"""The contracts of the files that an evaluation saves, whoever wrote it, checked when they are read.

`docs/add-a-benchmark.md` has the contract with a complete example.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from harness.errors import UserError


def checked_scores(name: str, metrics: tuple[str, ...], scores: Any) -> Mapping[str, Any]:
    """Return the `seed-0/scores.json` of the benchmark `name` as it is.

    Raises UserError, naming the evaluation and the key, where it departs from `evals.base.Benchmark`.
    """
    where = "seed-0/scores.json"
    if not isinstance(scores, Mapping):
        raise _odd(name, where, f"is {_kind(scores)}", "an object")
    for key in (*metrics, "ci95", "n_asked", "n_missing", "withheld"):
        if key not in scores:
            raise _odd(name, f"{where}: {key}", "is missing", "what docs/add-a-benchmark.md says of it")
    for metric in metrics:
        if scores[metric] is not None and not _is_number(scores[metric]):
            raise _odd(name, f"{where}: {metric}", f"is {_kind(scores[metric])}", "a number, or null")
    intervals = scores["ci95"] if isinstance(scores["ci95"], Mapping) else dict.fromkeys(metrics, scores["ci95"])
    for metric in metrics:
        _check_interval(name, f"{where}: ci95: {metric}", intervals.get(metric))
    return scores


def _check_interval(name: str, where: str, interval: Any) -> None:
    if interval is None:
        return
    if not isinstance(interval, list) or len(interval) != 2 or not all(map(_is_number, interval)):
        raise _odd(name, where, f"is {_kind(interval)}", "[LOW, HIGH], or null where there is no interval")


def _odd(name: str, where: str, found: str, wanted: str) -> UserError:
    return UserError(f"the evaluation {name} does not keep to its contract: {where} {found}; write {wanted}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _kind(value: Any) -> str:
    """Describe a JSON value in words; short ones as they are."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the plain number {value}"
    text = f"{value!r}"
    what = "the text" if isinstance(value, str) else "the list" if isinstance(value, list) else "the object"
    return f"{what} {text if len(text) <= 40 else text[:37] + '...'}"
