"""The cost of making pairs while a policy trains: of sampling, and of what SAPO adds beside sampling and loss.

    .venv/bin/python benchmarks/online_training.py [--rows 640] [--json FILE]

SAPO's training on the embedded world, with the settings of its recipe, timed within one run: drawing the segments; the
moving average, the buffer, and the cutting and joining of answers; and all the rest, which is what a training on given
pairs does too, with its reference.
"""

import argparse
import json
import tempfile
import time
from functools import wraps
from pathlib import Path
from typing import Any

from harness.engine.artifacts import Tracker
from harness.engine.progress import silent
from harness.mini.roles import read_role
from harness.models.references import checkpoint_folder
from harness.recipes.loading import load_recipe
from harness.records import Response
from harness.training import online, online_trainer
from harness.training.replay import ReplayBuffer
from methods.sapo import SAPO

ADDED = ((online.EmaModel, "average"), (ReplayBuffer, "add"), (ReplayBuffer, "draw"), (online, "cut_answer"))
METHODS = ("sapo-dpo", "sapo-orpo")


class Stopwatch:
    """The time spent in functions, by what they are for, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Count the time in a function of `owner` as that of `part`."""
        function = getattr(owner, name)

        @wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - started

        setattr(owner, name, timed)


def measure(method: str, rows: int, watch: Stopwatch) -> dict[str, float]:
    """Shares of the time of one training: `sampling`, and `added` of what is beside sampling."""
    settings = load_recipe("mini", paper="sapo").method("llama", method)
    assert isinstance(settings, SAPO)
    demonstrations = [row for row in read_role("conversations", rows) if isinstance(row, Response)]
    watch.seconds.clear()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        counts = online_trainer.run_online(
            checkpoint_folder("mini:llama"),
            demonstrations,
            settings.loss,
            settings.training,
            settings.online,
            seed=0,
            out=Path(folder),
            track=lambda work, unit, done=0: Tracker(work, unit, done, silent),
        )
    whole = time.perf_counter() - started
    sampling, added = watch.seconds["sampling"], watch.seconds["added"]
    rest = whole - sampling - added
    return {
        "seconds_per_step": whole / counts["step"],
        "sampling": sampling / whole,
        "added": added / (sampling + rest),
    }


def main() -> None:
    """Measure both losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=640, help="demonstrations")
    parser.add_argument("--json", type=Path, help="where the numbers go")
    options = parser.parse_args()
    watch = Stopwatch()
    watch.watch(online.EmaModel, "draw", "sampling")
    for owner, name in ADDED:
        watch.watch(owner, name, "added")
    found = {method: measure(method, options.rows, watch) for method in METHODS}
    for method, of in found.items():
        print(
            f"{method}: {of['seconds_per_step']:.2f} s a step, {of['sampling']:.0%} of it sampling;"
            f" average, buffer and segments add {of['added']:.1%} to sampling and loss"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
