"""What the files that an evaluation saves must hold, whoever wrote it: looked at when they are read.

`docs/evaluations.md` has the contract with a complete example.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from harness.errors import UserError

COUNTS = ("n", "n_missing")
_OF_THE_RUN = ("bench", "model", "baseline", "checkpoint", "tokens_are", "folder", "stale", "metrics", "departure")
_OF_A_JUDGE = ("annotator", "judge", "judge_base_url", "judge_fingerprint", "judge_without", "n_asked", "n_cut_off")
_OF_SCORES = ("ci95", "uncertainty", "withheld", "length_calibration", "length_controlled_withheld")
TAKEN = frozenset((*_OF_THE_RUN, *_OF_A_JUDGE, *_OF_SCORES))
"""What `harness eval` says of every evaluation, so that a measurement cannot call a figure by that name."""

FIGURE = '{"value": NUMBER, "ci95": [LOW, HIGH]}, with "ci95": null where there is no interval'


def checked_summary(name: str, summary: Any) -> Mapping[str, Any]:
    """Return the `summary.json` of the measurement `name` as it is.

    Raises UserError, naming the measurement and the key, where it departs from `evals.bench.Measurement`.
    """
    if not isinstance(summary, Mapping):
        raise _odd(name, "summary.json", f"is {_kind(summary)}", "an object")
    for count in COUNTS:
        if count not in summary:
            raise _odd(name, f"summary.json: {count}", "is missing", "how many rows were and were not measured")
    for key, content in summary.items():
        if key in TAKEN:
            raise _odd(name, f"summary.json: {key}", "is a name that harness eval uses itself", "another name")
        _check_entry(name, key, content)
    return summary


def _check_entry(name: str, key: str, content: Any) -> None:
    where = f"summary.json: {key}"
    if key in COUNTS or key.startswith("n_"):
        if not isinstance(content, int) or isinstance(content, bool) or content < 0:
            raise _odd(name, where, f"is {_kind(content)}", "a whole number of 0 or more")
    elif not isinstance(content, str):
        _check_figure(name, where, content)


def _check_figure(name: str, where: str, content: Any) -> None:
    """A figure, null, or an object of them by name."""
    if content is None:
        return
    if not isinstance(content, Mapping):
        raise _odd(name, where, f"is {_kind(content)}", FIGURE)
    if "value" not in content:
        if "ci95" in content:
            raise _odd(name, where, "has no value", FIGURE)
        for part, figure in content.items():
            _check_figure(name, f"{where}: {part}", figure)
        return
    if not _is_number(content["value"]):
        raise _odd(name, f"{where}: value", f"is {_kind(content['value'])}", "a number, or null for the whole figure")
    if "ci95" not in content:
        raise _odd(name, where, "has no ci95", FIGURE)
    _check_interval(name, f"{where}: ci95", content["ci95"])


def checked_scores(name: str, metrics: tuple[str, ...], scores: Any) -> Mapping[str, Any]:
    """Return the `seed-0/scores.json` of the judged evaluation `name` as it is.

    Raises UserError, naming the evaluation and the key, where it departs from `evals.bench.Evaluation`.
    """
    where = "seed-0/scores.json"
    if not isinstance(scores, Mapping):
        raise _odd(name, where, f"is {_kind(scores)}", "an object")
    for key in (*metrics, "ci95", "n_asked", "n_missing", "withheld"):
        if key not in scores:
            raise _odd(name, f"{where}: {key}", "is missing", "what docs/evaluations.md says of it")
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
    """What a JSON value is, in words; short ones as they are."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the plain number {value}"
    shown = f"{value!r}"
    what = "the text" if isinstance(value, str) else "the list" if isinstance(value, list) else "the object"
    return f"{what} {shown if len(shown) <= 40 else shown[:37] + '...'}"
