"""The tables of docs/rates.md, of the chosen learning rates of a scale: tests/commands/test_rates.py keeps them equal.

.venv/bin/python docs/rate_tables.py configs/papers/sgpo/rates/mini.yaml
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from harness.config.learning_rates import RateChoice, RatedTrial, RateTable, Sensitivity, rate_text, read_rate_table


def rate_table_markdown(table: RateTable) -> str:
    """Format the table as GitHub Markdown, for the documentation: what fails a criterion is in bold."""
    rows = [
        "| base model | method | rate | cut off | mean tokens | allowed | mean log p of chosen |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, methods in table.models.items():
        for method, choice in methods.items():
            rows += [_markdown_row(model, method, choice, line) for line in choice.grid]
    return "\n".join(rows) + "\n"


def _markdown_row(model: str, method: str, choice: RateChoice, line: RatedTrial) -> str:
    trial, meets = line.trial, line.meets
    chosen = " ← chosen" if trial.rate == choice.rate else ""
    if chosen and not choice.passed:
        chosen = " ← smallest, none passes"
    return (
        f"| {model} | {method} | {rate_text(trial.rate)}{chosen} | {_bold(f'{100 * trial.cut_off:.1f} %', meets.ends)} "
        f"| {_bold(f'{trial.tokens:.1f}', meets.length)} | {trial.allowed[0]:.1f}–{trial.allowed[1]:.1f} "
        f"| {_bold(f'{trial.log_probability:.2f}', meets.likelihood)} |"
    )


def _bold(text: str, meets: bool) -> str:
    return text if meets else f"**{text}**"


def sensitivity_markdown(table: RateTable) -> str:
    """Format the scores at multiples of the chosen rates as GitHub Markdown; empty where none were measured."""
    scored = [(model, method, each) for model, of in table.sensitivity.items() for method, each in of.items()]
    if not scored:
        return ""
    names = list(scored[0][2][0].scores)
    lines = ["| base model | method | rate | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|"]
    for model, method, measured in scored:
        lines += _sensitivity_rows(model, method, measured, names)
    return "\n".join(lines) + "\n"


def _sensitivity_rows(model: str, method: str, measured: tuple[Sensitivity, ...], names: list[str]) -> Iterator[str]:
    for each in measured:
        cells = ("—" if each.scores[name] is None else f"{each.scores[name]:.1f}" for name in names)
        chosen = " (chosen)" if each.times == 1 else ""
        yield f"| {model} | {method} | {rate_text(each.rate)}{chosen} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    read = read_rate_table(Path(sys.argv[1]))
    print(rate_table_markdown(read), sensitivity_markdown(read), sep="\n")
