"""How often `harness regress` calls a run worse that differs in nothing but its training seeds, and what it catches.

    .venv/bin/python benchmarks/regress_alarms.py 20 [--folder FOLDER]

Runs Table 3 with `--fast` on three rows and three training seeds, one time more than there are comparisons and each
time with other seeds, and compares each run with the next by the command. A run takes a minute or two; in a FOLDER that
is kept, what is done already is found. At a 5 % family-wise level more than 3 alarms of 20 are a defect.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

SEEDS = 3
RUN = ("reproduce", "table3", "--fast", "--methods", "sft,dpo,sgpo", "--seeds", str(SEEDS))


def reproduce(folder: Path, place: int) -> Path:
    """The run with the `place`-th seeds; the runs share the store in `folder`."""
    run = folder / f"run-{place}"
    if not (run / "manifest.json").exists():
        harness(*RUN, "--seed", place * SEEDS, "--run-dir", folder)
        shutil.rmtree(run, ignore_errors=True)
        (folder / "table3").rename(run)
    return run


def compare(baseline: Path, candidate: Path) -> list[dict[str, Any]]:
    """The scores that are not the same in both runs."""
    harness("regress", "--baseline", baseline, "--candidate", candidate, fine=(0, 1))
    found = json.loads((candidate / "regress.json").read_text(encoding="utf-8"))["scores"]
    return [score for score in found if score["verdict"] != "same"]


def harness(*arguments: object, fine: tuple[int, ...] = (0,)) -> None:
    """Runs the command; ends this one where it fails."""
    done = subprocess.run([sys.executable, "-m", "harness", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode not in fine:
        sys.exit(f"harness {' '.join(map(str, arguments))} ended with {done.returncode}\n{done.stderr[-2000:]}")


def main() -> None:
    """Prints a line for each comparison, then the counts and the median of what each score's test would catch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparisons", type=int, nargs="?", default=20)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="regress-alarms-"))
    folder.mkdir(parents=True, exist_ok=True)
    called = {"worse": 0, "better": 0}
    caught = defaultdict(list)
    baseline = reproduce(folder, 0)
    for place in range(1, options.comparisons + 1):
        candidate = reproduce(folder, place)
        scores = compare(baseline, candidate)
        verdicts = [score["verdict"] for score in scores]
        for verdict in called:
            called[verdict] += verdict in verdicts
        for score in scores:
            caught[f"{score['method']} {score['label']}"].append(score["minimum_detectable_effect"])
        smallest = min(score["p_holm"] for score in scores)
        print(f"{place:3}: {', '.join(sorted(set(verdicts)))}; smallest Holm p {smallest:.3f}", flush=True)
        baseline = candidate
    print(f"\nof {options.comparisons} comparisons: {called['worse']} with a score worse, {called['better']} better")
    print("what a test catches in 80 % of repeats, points, median over the comparisons:")
    for name, effects in caught.items():
        print(f"  {name:28} {median(effects):.1f}")
    if not options.folder:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
