"""What a comparison of two methods detects in the embedded world, measured on policies before any preference stage.

    .venv/bin/python benchmarks/world_power.py [--seeds 5] [--models qwen,llama] [--run-dir DIRECTORY] [--json FILE]

Trains the initial policy and θ*, the improver before any preference stage, with seeds that no experiment uses, and
evaluates both as Table 3 does. From the spread between their seeds and the draw of prompts comes the difference that
one test at 5 % finds in 80 % of repeats, with 805 prompts of AlpacaEval 2.0 and 500 of Arena-Hard.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from evals.base import RESAMPLES
from evals.scoring import on_shared_items
from evals.stats.comparison import paired_difference, welch_test
from evals.stats.power import detectable
from harness.regress.compare import results_of
from harness.regress.runs import FinishedRun, read_run

METHODS = ("sft", "improver")
FIRST_SEED = 1000
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Detected:
    """The true difference, in points, that is found in 80 % of repeats, and the standard error of the comparison."""

    model: str
    score: str
    n_prompts: int
    points: float
    standard_error: float

    def __str__(self) -> str:
        return (
            f"{self.model:10} {self.score:45} n = {self.n_prompts}: {self.points:5.2f} points"
            f" (standard error {self.standard_error:.2f})"
        )


def reproduce(run_dir: Path, models: str, seeds: int) -> Path:
    """Makes the run, or goes on with it, and returns its folder; ends this program where that fails."""
    command = ["reproduce", "table3", "--methods", ",".join(METHODS), "--models", models]
    command += ["--seed", str(FIRST_SEED), "--seeds", str(seeds), "--run-dir", str(run_dir)]
    if code := subprocess.run([sys.executable, "-m", "harness", *command], stdout=subprocess.DEVNULL).returncode:
        sys.exit(f"harness {' '.join(command)} ended with {code}")
    return run_dir / "sgpo" / "table3"


def detected(run: FinishedRun) -> Iterator[Detected]:
    """Yields what each score of a finished run detects between the two policies."""
    for model, bench in dict.fromkeys((model, bench) for model, _, bench in run.cells):
        first, second = (run.cells[model, method, bench] for method in METHODS)
        sets = results_of(bench, [first, second])
        for metric, label in first.labels.items():
            shared = on_shared_items(sets, metric)
            half = len(shared.statistics) // 2
            difference = paired_difference(
                shared.statistics[:half], shared.statistics[half:], shared.n_items, resamples=RESAMPLES
            )
            test = welch_test(difference)
            points = detectable(SIGNIFICANCE, test.degrees_of_freedom) * test.standard_error
            yield Detected(model, label, shared.n_items, points, test.standard_error)


def main() -> None:
    """Prints a line for each score, and writes them where `--json` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", default="qwen,llama")
    parser.add_argument("--run-dir", type=Path, default=Path("runs/world-power"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = list(detected(read_run(reproduce(arguments.run_dir, arguments.models, arguments.seeds))))
    print("\n".join(map(str, found)))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in found], indent=2) + "\n")


if __name__ == "__main__":
    main()
