"""The length-controlled win rate with its interval, beside the same by alpaca-eval's function: the ratio of times.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/length_control.py [--data FOLDER] [--model claude-2]

Ours is the point estimate and 1,000 resamples of the instructions, the fit repeated in each. Theirs is one call of
`get_length_controlled_winrate` a resample. The fastest of 5 runs of ours, and 1,000 times the fastest of 20 calls of
theirs: a busy machine slows both. It needs alpaca-eval (test extra) and a folder with `annotations/<model>.csv.gz` and
the calibration `df_gamed_standin.csv`, which stands in for the file that alpaca-eval downloads.
"""

import argparse
from pathlib import Path
from timeit import repeat

import numpy as np

from evals.alpaca_eval2.annotations import read_annotations
from evals.alpaca_eval2.length_calibration import read_calibration
from evals.alpaca_eval2.scores import score_annotations
from tests.evals.peers import alpaca_eval_length_controlled, alpaca_eval_table

RESAMPLES = 1000
MEASURED = 20
OUR_RUNS = 5


def main() -> None:
    """Prints both times, their ratio and both point estimates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/alpaca_eval2"))
    parser.add_argument("--model", default="claude-2")
    arguments = parser.parse_args()
    gamed = arguments.data / "df_gamed_standin.csv"
    annotations = read_annotations(arguments.data / "annotations" / f"{arguments.model}.csv.gz")
    calibration, table = read_calibration(gamed), alpaca_eval_table(annotations)

    # The first calls pay for imports and are not timed.
    ours = score_annotations(annotations, calibration, resamples=RESAMPLES)
    theirs = alpaca_eval_length_controlled(table, gamed)["length_controlled_winrate"]
    draws = iter(np.random.default_rng(0).integers(0, len(table), size=(MEASURED, len(table))))
    ours_seconds = min(
        repeat(lambda: score_annotations(annotations, calibration, resamples=RESAMPLES), number=1, repeat=OUR_RUNS)
    )
    fits = repeat(lambda: alpaca_eval_length_controlled(table.iloc[next(draws)], gamed), number=1, repeat=MEASURED)
    theirs_seconds = min(fits) * RESAMPLES

    score, interval = ours["length_controlled_winrate"], ours["ci95"]["length_controlled_winrate"]
    print(f"ours:        {ours_seconds:8.2f} s, {score:.3f} [{interval[0]:.1f}, {interval[1]:.1f}]")
    print(f"alpaca-eval: {theirs_seconds:8.2f} s ({RESAMPLES} fits, the fastest of {MEASURED}, scaled), {theirs:.3f}")
    print(f"ratio: {theirs_seconds / ours_seconds:.0f}; the scores differ by {abs(score - theirs):.4f} points")


if __name__ == "__main__":
    main()
