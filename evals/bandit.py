"""The comparison of two learned action probabilities of a bandit, over data sets."""

from dataclasses import asdict

from harness.engine.artifacts import Artifact, Output, step
from harness.steps.bandit import BanditPolicy

METRIC = "probability"


@step(version=1)
def compare_actions(
    out: Output,
    *,
    better: Artifact,
    worse: Artifact,
    better_action: int,
    worse_action: int,
    behavior: int,
    pairs: int,
) -> None:
    """Write `comparison.json`: the difference of two probabilities in percentage points, by a t test over data sets.

    Both are policies of one behavior and the same training seeds, and the difference is taken within each: a seed is
    one draw of `pairs`, and all that varies. Withheld with fewer seeds than a verdict takes.
    """
    first, second = _percent(better, behavior, better_action), _percent(worse, behavior, worse_action)
    found = _comparison([first[seed] - second[seed] for seed in first], pairs)
    out.write_json("comparison.json", {METRIC: {"metric": METRIC, "n_prompts": pairs, **found}})


def _percent(policies: Artifact, behavior: int, action: int) -> dict[int, float]:
    """Return the probability of an action in per cent, by training seed."""
    rows = (row for row in policies.rows(BanditPolicy) if row.behavior == behavior)
    return {row.seed: 100 * row.probabilities[action] for row in rows}


def _comparison(differences: list[float], pairs: int) -> dict[str, object]:
    import numpy as np

    from evals.stats.comparison import MIN_SEEDS, PairedDifference, SeedSpread, interval, welch_test

    n_seeds = len(differences)
    if n_seeds < MIN_SEEDS:
        return {"withheld": f"a test over data sets takes {MIN_SEEDS} training seeds, not {n_seeds}"}
    between = float(np.var(differences, ddof=1))
    measured = PairedDifference(
        difference=float(np.mean(differences)),
        n_prompts=pairs,
        first=SeedSpread(n_seeds, between, 0.0, n_seeds - 1),
        second=None,
        by_prompts=0.0,
    )
    return {
        "difference": measured.difference,
        "ci95": list(interval(measured)),
        "p_value": welch_test(measured).p_value,
        "measured": asdict(measured),
    }
