"""Learning rates of preference stages: the rule that chooses them, and the table of a scale's choices (docs/rates.md).

The rule looks at no ranking, no judge and no gold quality. ``rates/<scale>.yaml`` holds what it chose, and why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from harness.config.codec import encode
from harness.config.yaml_files import load_yaml
from harness.files import replace_file

SEED = 1000
"""The training seed of the rule, apart from the seeds that experiments use."""
SHARES_OF_SFT = (1 / 80, 1 / 40, 1 / 20, 1 / 10, 1 / 5, 2 / 5)
"""The grid, in SFT's learning rates; 1/40 is the paper's ratio (5e-7 to 2e-5)."""
HELD_OUT = 200
MAX_CUT_OFF = 0.02
MIN_LENGTH_RATIO, MAX_LENGTH_RATIO = 0.8, 1.2
"""The allowed mean length, in mean lengths of the pairs' shorter and longer side."""

RULE = (
    "For each base model and method, the largest rate of the grid (SFT's learning rate times 1/80, 1/40, 1/20, 1/10, "
    "1/5 and 2/5) at which, on the last 200 prompts of the preference data (a quarter of them where there are fewer "
    "than 800), which this training does not see: (a) at most 2 % of the trained policy's sampled answers reach the "
    "token limit; (b) their mean length in tokens is at least 0.8 times the smaller and at most 1.2 times the larger "
    "mean length of the two sides of the method's own pairs on these prompts; (c) the mean log-probability of the "
    "pairs' chosen answers is not below that at any smaller rate of the grid. Where no rate passes, the smallest. "
    "Training seed 1000. No ranking, no judge and no gold quality is looked at."
)


@dataclass(frozen=True, slots=True)
class Trial:
    """The behaviour of a policy trained at `rate` on the held-out prompts."""

    rate: float
    cut_off: float
    """The share of its answers that reach the token limit."""
    tokens: float
    """The mean length of its answers."""
    allowed: tuple[float, float]
    """The shortest and the longest mean length that passes."""
    log_probability: float
    """The mean of log π(chosen | prompt) over the pairs, in nats an answer."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """The rule's criteria that a rate meets."""

    ends: bool
    """(a): its answers end by themselves."""
    length: bool
    """(b): they are of the pairs' length."""
    likelihood: bool
    """(c): no smaller rate makes the chosen answers likelier."""

    @property
    def passes(self) -> bool:
        """Whether it meets all."""
        return self.ends and self.length and self.likelihood


@dataclass(frozen=True, slots=True)
class RatedTrial:
    """One rate of the grid as the table has it: what was measured, and which criteria that meets."""

    trial: Trial
    meets: Criteria


@dataclass(frozen=True, slots=True)
class RateChoice:
    """The rate of one method on one base model; `passed` says whether any rate did, else it is the smallest."""

    rate: float
    passed: bool
    grid: tuple[RatedTrial, ...]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Scores in per cent at a multiple of the chosen rate, by "bench/metric". The choice never reads them."""

    times: float
    rate: float
    scores: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class RateTable:
    """The chosen rates of a scale by base model and method, and how scores move with them."""

    scale: str
    rule: str
    seed: int
    commit: str
    """Of the harness that measured them."""
    held_out: int
    """How many prompts of the preference data the criteria were measured on, its last ones."""
    trained_on: int
    """How many rows before them each policy was trained on."""
    models: dict[str, dict[str, RateChoice]]
    sensitivity: dict[str, dict[str, tuple[Sensitivity, ...]]] = field(default_factory=dict)

    def rates(self, model: str) -> dict[str, float]:
        """Return the chosen rates on a base model by method; none where the table does not have it."""
        return {method: choice.rate for method, choice in self.models.get(model, {}).items()}


def grid(sft_rate: float) -> tuple[float, ...]:
    """Return the learning rates that are tried, smallest first, for a scale whose SFT is trained at `sft_rate`."""
    return tuple(float(f"{share * sft_rate:.6g}") for share in SHARES_OF_SFT)


def held_out(rows: int) -> int:
    """Return how many of `rows` rows of preference data are held out."""
    return min(HELD_OUT, rows // 4)


def allowed_tokens(chosen: float, rejected: float) -> tuple[float, float]:
    """Return the range of (b), from the mean lengths of the two sides of the pairs."""
    return MIN_LENGTH_RATIO * min(chosen, rejected), MAX_LENGTH_RATIO * max(chosen, rejected)


def choose(trials: Sequence[Trial]) -> RateChoice:
    """Apply the rule to `trials` of one base model and method, at least one, at all rates of the grid in any order."""
    ordered = sorted(trials, key=lambda trial: trial.rate)
    likeliest = accumulate((trial.log_probability for trial in ordered), max)
    lines = tuple(RatedTrial(trial, _criteria(trial, best)) for trial, best in zip(ordered, likeliest, strict=True))
    passing = [line.trial.rate for line in lines if line.meets.passes]
    return RateChoice(rate=max(passing, default=ordered[0].rate), passed=bool(passing), grid=lines)


def _criteria(trial: Trial, best: float) -> Criteria:
    """Check a trial; `best` is the largest mean log-probability at this rate and the smaller ones."""
    shortest, longest = trial.allowed
    return Criteria(
        ends=trial.cut_off <= MAX_CUT_OFF,
        length=shortest <= trial.tokens <= longest,
        likelihood=trial.log_probability >= best,
    )


def read_rate_table(path: Path) -> RateTable:
    """Read the table of chosen rates in a file. Raises UserError where it is damaged."""
    return load_yaml(path, RateTable)


def write_rate_table(path: Path, table: RateTable) -> None:
    """Write the table as YAML, in one piece."""
    import yaml

    head = (
        "# Made by `harness rates` (docs/rates.md). Not edited by hand: the rule chooses, and a new run replaces it.\n"
    )
    content = {name: value for name, value in encode(table).items() if value != {}}  # no key for what was not run
    body = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    replace_file(path, (head + body).encode("utf-8"))


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
    trial, met = line.trial, {True: "yes", False: "NO "}
    return " · ".join(
        (
            f"{rate_text(trial.rate):<7}",
            f"(a) {100 * trial.cut_off:5.1f} % cut off {met[line.meets.ends]}",
            f"(b) {trial.tokens:6.2f} tokens of {trial.allowed[0]:.2f}–{trial.allowed[1]:.2f} {met[line.meets.length]}",
            f"(c) log p {trial.log_probability:8.3f} {met[line.meets.likelihood]}",
        )
    )
