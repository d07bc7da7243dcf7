"""The table of chosen learning rates as text for the terminal."""

from harness.config.learning_rates import RatedTrial, RateTable


def rate_text(rate: float) -> str:
    """Format a learning rate as it is written: 5e-7, 6.25e-6."""
    digits, _, exponent = f"{rate:.3e}".partition("e")
    return f"{float(digits):g}e{int(exponent)}"


def rate_table_text(table: RateTable) -> list[str]:
    """Format the table as text, one line a rate; a star marks the chosen one."""
    lines = []
    for model, methods in table.models.items():
        for method, choice in methods.items():
            lines.append(
                f"{model} {method}: {rate_text(choice.rate)}"
                + ("" if choice.passed else " (the smallest: none passes)")
            )
            lines += [f"  {'*' if line.trial.rate == choice.rate else ' '} {_line(line)}" for line in choice.grid]
    return lines


def _line(line: RatedTrial) -> str:
    trial, meets = line.trial, line.meets
    return " · ".join(
        (
            f"{rate_text(trial.rate):<7}",
            f"(a) {100 * trial.cut_off:5.1f} % cut off {_mark(meets.ends)}",
            f"(b) {trial.tokens:6.2f} tokens of {trial.allowed[0]:.2f}–{trial.allowed[1]:.2f} {_mark(meets.length)}",
            f"(c) log p {trial.log_probability:8.3f} {_mark(meets.likelihood)}",
        )
    )


def _mark(meets: bool) -> str:
    return "yes" if meets else "NO "
