"""Scores of one model on one bench, as lines for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.terminal import aligned, joined

HEADLINES = (
    "length_controlled_winrate",
    "win_rate",
    "discrete_win_rate",
    "score",
    "consistency",
    "first_shown_win_rate",
    "position_bias",
)

_VERDICT_SCORES = {"score", "first_turn", "hard_prompt"}
"""Of benches whose verdicts are counted, and not their instructions: several of these are asked on each."""

_QUARTILES = {"mean": 1, "first_quartile": 2, "median": 3, "third_quartile": 4}
"""The order of what describes a distribution; files have it by the letter."""


def scorecard(scores: Mapping[str, Any]) -> str:
    """Return the headlines, each with its 95 % interval, what they rest on and what they are not.

    Scores of several revisions are one table.
    """
    return joined(_table(scores["revisions"]) if "revisions" in scores else _lines(scores))


def _table(revisions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what all revisions have alike, and a row of each: its headlines, and what they rest on."""
    yield from _head(revisions[0])
    figures = [{name: f"{value:.2f}{tail}" for name, value, tail in _figures(each)} for each in revisions]
    counts = [{name: f"{count}{of}" for name, count, of in _counts(each)} for each in revisions]
    names = dict.fromkeys(name for each in (*figures, *counts) for name in each)
    columns = [name for name in names if name.rpartition(" ")[2] not in _QUARTILES.keys() - {"mean"}]
    cells = (figure | count for figure, count in zip(figures, counts, strict=True))
    rows = [
        [str(each["revision"]), *(found.get(name, "-") for name in columns)]
        for each, found in zip(revisions, cells, strict=True)
    ]
    yield from aligned([["revision", *columns], *rows], words=())
    for each in revisions:
        for name, key in (("scores", "withheld"), ("length_controlled_winrate", "length_controlled_withheld")):
            if reason := each.get(key):
                yield f"  revision {each['revision']}: {name} withheld: {reason}"


def _lines(scores: Mapping[str, Any]) -> Iterator[str]:
    yield from _head(scores)
    if scores.get("withheld"):
        yield f"  scores withheld: {scores['withheld']}"
    figures, counts = list(_figures(scores)), list(_counts(scores))
    width = max((len(name) for name, *_ in (*figures, *counts)), default=0)
    yield from (_row(name, f"{value:.2f}", tail, width) for name, value, tail in figures)
    if (reason := scores.get("length_controlled_withheld")) and not scores.get("withheld"):
        yield f"  length_controlled_winrate withheld: {reason}"
    if (reason := scores.get("style_control_withheld")) and not scores.get("withheld"):
        yield f"  {reason}"
    yield from (_row(name, str(count), tail, width) for name, count, tail in counts)


def _head(scores: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was scored, against what, by whom, and what the scores are not."""
    against = f" against {scores['baseline']}" if scores.get("baseline") else ""
    yield f"{scores['bench']}: {scores['model']}{against}"
    if judge := scores.get("judge"):
        served = f" at {scores['judge_base_url']}" if scores.get("judge_base_url") else ""
        served += "".join(f" without {name}" for name in scores.get("judge_without") or ())
        identity = f", fingerprint {scores['judge_fingerprint']}" if "judge_fingerprint" in scores else ""
        yield f"  judged by {judge}{served}{identity}"
    if others := scores.get("other_models"):
        answered = ", ".join(f"{name} ({count} replies)" for name, count in others.items())
        yield f"  answered by another model than was asked, as the endpoint says: {answered}"
    for name in ("checkpoint", "chat_template", "length_calibration", "tokens_are"):
        if scores.get(name):
            yield f"  {name.replace('_', ' ')} {scores[name]}"
    for name in ("departure", "contradictions"):
        if scores.get(name):
            yield f"  {scores[name]}"


def _row(name: str, number: str, tail: str, width: int) -> str:
    return f"  {name:{width}} {number:>8}{tail}"


def _figures(scores: Mapping[str, Any]) -> Iterator[tuple[str, float, str]]:
    """Yield (name, value, interval and what it is made of) of each headline, and of each estimate of a measurement."""
    intervals, uncertainty = scores.get("ci95"), scores.get("uncertainty") or {}
    for name in dict.fromkeys((*HEADLINES, *scores.get("metrics", ()))):
        if isinstance(value := scores.get(name), int | float):
            interval = intervals.get(name) if isinstance(intervals, Mapping) else intervals
            yield name, value, _interval(interval) + _parts(uncertainty.get(name, {}))
    for name, estimate in _estimates(scores):
        yield name, estimate["value"], _interval(estimate.get("ci95"))


def _estimates(scores: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the estimates of a measurement: objects with a `value`, at whatever depth, under the names that lead
    there."""
    for name, content in sorted(scores.items(), key=lambda item: _QUARTILES.get(item[0], 0)):  # others as they are
        if isinstance(content, Mapping) and "value" in content:
            yield f"{prefix}{name}", content
        elif isinstance(content, Mapping):
            yield from _estimates(content, f"{prefix}{name} ")


def _interval(interval: Any) -> str:
    return f"  [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""


def _parts(uncertainty: Mapping[str, float | None]) -> str:
    """Describe what the standard error is made of, where that is known."""
    parts = {"prompts": "prompts", "judge": "judge's noise", "training_seeds": "training seeds"}
    known = [f"{text} {uncertainty[name]:.2f}" for name, text in parts.items() if uncertainty.get(name) is not None]
    return f"  standard error: {', '.join(known)}" if known else ""


def _answers(count: int) -> str:
    return " answer" if count == 1 else " answers"


def _counts(scores: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    if scores.get("n_cut_off"):
        yield "cut off at the token limit", scores["n_cut_off"], _answers(scores["n_cut_off"])
    if scores.get("n_beyond_context"):
        count = scores["n_beyond_context"]
        yield "beyond the model's context", count, f"{_answers(count)}, without a perplexity"
    if (asked := scores.get("n_asked")) is not None:
        of_a_judge = "verdicts" if _VERDICT_SCORES & scores.keys() else "instructions judged"
        judged = of_a_judge if "judge" in scores else "items"
        yield judged, asked - scores["n_missing"], f" of {asked}"
    elif (measured := scores.get("n")) is not None:
        yield "rows", measured, f" of {measured + scores['n_missing']}"
