"""The command `harness` with data so small that a whole table is made in seconds: `python -m tests.tiny_harness ...`.

Everything else is as it is: steps, trainers, store, workers, judge, statistics and report.
"""

from dataclasses import replace

from harness.cli import main
from harness.papers import DEFAULT_PAPER
from harness.recipes import scales
from harness.recipes.scales import Fast, Scale, load_scale

SIZES = {
    "demonstrations": 48,
    "improver_data": 24,
    "preference_data": 32,
    "alpaca_eval2": 24,
    "arena_hard": 16,
    "pairwise": 16,
}


def load_tiny_scale(name: str, *, paper: str = DEFAULT_PAPER, fast: bool = False) -> Scale:
    """The scale with `--fast`'s sizes replaced by `SIZES`, whether or not it is asked for."""
    return replace(load_scale(name, paper=paper), fast=Fast(("llama",), SIZES)).faster()


if __name__ == "__main__":
    scales.load_scale = load_tiny_scale
    main()
