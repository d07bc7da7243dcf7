"""The result of a judge's calibration (`evals.alpaca_eval2.judge_calibration`) as text to read."""

import textwrap
from collections.abc import Mapping
from typing import Any

from evals.alpaca_eval2.judge_calibration import SCORES
from harness.terminal import one_line


def format_calibration(result: Mapping[str, Any]) -> str:
    """Format what `calibrate` found, as text to read, with the result of `bridge` where it is added as `bridged`.

    So are `unjudged`, by model how many instructions have no verdict, and `other_models`, how many replies they gave.
    """
    overall = result["overall"]
    text = (
        f"{result['n_models']} models. Same winner as the reference judge: {_estimated(overall['agreement'])} %; kappa "
        f"{_estimated(overall['kappa'], 2)}; rank correlation of the preferences within either order of outputs: "
        f"Spearman {_number(overall['spearman'], 2)}, Kendall {_number(overall['kendall'], 2)}."
    )
    interval = overall["kappa"]["ci95"]
    if interval is None or interval[0] <= 0:
        text += " Its verdicts agree with the reference judge's no more than by chance."
    lines = [
        one_line(f"Calibration of the judge {result['judge']}: {result['note']}"),
        *_gap_lines(result),
        "",
        _wrapped(text),
    ]
    for metric, name in SCORES.items():
        if metric in overall:
            lines += ["", *_metric_lines(name, metric, result)]
    if "bridged" in result:
        lines += ["", format_bridge(result["bridged"]).rstrip()]
    return "\n".join(lines) + "\n"


def _gap_lines(result: Mapping[str, Any]) -> list[str]:
    lines = []
    if unjudged := result.get("unjudged"):
        counts = ", ".join(f"{count} for {model}" for model, count in unjudged.items())
        lines.append(f"instructions without a verdict: {counts}; all that follows is of the others alone")
    if others := result.get("other_models"):
        counts = ", ".join(f"{name} ({count} replies)" for name, count in others.items())
        lines.append(f"answered by another model than was asked, as the endpoint says: {counts}")
    return [one_line(line) for line in lines]


def format_bridge(result: Mapping[str, Any]) -> str:
    """Format what `bridge` found, as text to read."""
    lines = [one_line(f"Bridged estimate for {result['model']} by the judge {result['judge']}: {result['note']}")]
    if result["withheld"]:
        lines.append(f"Withheld: {result['withheld']}.")
    for metric, name in SCORES.items():
        if metric in result:
            found = result[metric]
            text = (
                f"{name.capitalize()}: {_number(found['judge'])} by this judge; by the reference judge, on the same "
                f"{result['n']} instructions, put at {_estimated(found['estimate'])}. {_bridge_text(found['bridge'])}"
            )
            lines += ["", _wrapped(text)]
    return "\n".join(lines) + "\n"


def _metric_lines(name: str, metric: str, result: Mapping[str, Any]) -> list[str]:
    overall = result["overall"][metric]
    width = max(len("model"), *map(len, result["models"]))
    summary = (
        f"{name.capitalize()} (%): mean shift {_number(overall['mean_shift'], sign='+')} points; rank correlation over "
        f"models: Spearman {_number(overall['spearman'], 2)}, Kendall {_number(overall['kendall'], 2)}."
    )
    lines = [f"{'model':<{width}}  {'n':>4}  {'reference':>9}  {'judge':>5}  {'shift':<20}  from the other models"]
    for model, each in result["models"].items():
        found = each[metric]
        left_out = _estimated(found["left_out"]) if found["left_out"] else "—"
        lines.append(
            f"{model:<{width}}  {each['n']:>4}  {_number(found['reference']):>9}  {_number(found['judge']):>5}  "
            f"{_estimated(found['shift'], sign='+'):<20}  {left_out}"
        )
    return [_wrapped(summary), *map(one_line, lines), _wrapped(_bridge_text(overall["bridge"]))]


def _bridge_text(quality: Mapping[str, Any] | None) -> str:
    if quality is None:
        return "Too few models to say how good bridged estimates are: it takes four that both judges scored."
    text = (
        f"Bridged from the other models, a model's score by the reference judge is missed by "
        f"{_number(quality['error'])} points (root mean square), and by {_number(quality['error_without_judge'])} from "
        f"their mean alone; 95 % intervals are {_number(quality['width'])} points wide (without the judge "
        f"{_number(quality['width_without_judge'])}) and hold it for {quality['n_covered']} of {quality['n_models']} "
        "models."
    )
    if not quality["says_something"]:
        text += " This judge's scores cannot be shown to say anything about the reference judge's."
    return text


def _estimated(estimate: Mapping[str, Any], digits: int = 1, sign: str = "") -> str:
    value, interval = _number(estimate["value"], digits, sign), estimate["ci95"]
    return f"{value} [{_number(interval[0], digits)}, {_number(interval[1], digits)}]" if interval else value


def _number(value: float | None, digits: int = 1, sign: str = "") -> str:
    return "—" if value is None else f"{round(value, digits) + 0.0:{sign}.{digits}f}"  # never "-0.0"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 110)
