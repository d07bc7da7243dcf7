"""The Arena-Hard score with its interval, beside a logistic regression of scikit-learn a resample: the ratio of times.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/arena_hard.py

500 simulated questions, two verdicts each, 1,000 resamples of the questions. The regression is fitted to the battles as
the v0.1 scorer does it. The fastest of 20 runs of ours, and 1,000 times the fastest of 20 fits: a busy machine slows
both. It needs scikit-learn (test extra).
"""

from timeit import repeat

import numpy as np

from evals.arena_hard.scores import score_judgments
from tests.evals import simulated
from tests.evals.peers import logistic_bradley_terry

RESAMPLES = 1000
MEASURED = 20


def main() -> None:
    """Prints both times, their ratio and both scores."""
    judgments = simulated.judgments(500, ability=-0.3)
    # The first calls pay for imports and are not timed.
    ours, theirs = score_judgments(judgments, resamples=RESAMPLES), logistic_bradley_terry(judgments)
    draws = iter(np.random.default_rng(0).integers(0, len(judgments), size=(MEASURED, len(judgments))))
    ours_seconds = min(repeat(lambda: score_judgments(judgments, resamples=RESAMPLES), number=1, repeat=MEASURED))
    fits = repeat(
        lambda: logistic_bradley_terry([judgments[place] for place in next(draws)]), number=1, repeat=MEASURED
    )
    theirs_seconds = min(fits) * RESAMPLES

    lower, upper = ours["ci95"]
    print(f"ours:         {ours_seconds:7.3f} s, {ours['score']:.4f} [{lower:.1f}, {upper:.1f}]")
    print(f"scikit-learn: {theirs_seconds:7.3f} s ({RESAMPLES} fits, the fastest of {MEASURED}, scaled), {theirs:.4f}")
    print(f"ratio: {theirs_seconds / ours_seconds:.0f}; the scores differ by {abs(ours['score'] - theirs):.6f} points")


if __name__ == "__main__":
    main()
