"""The command `harness` with data so small that a whole table is made in seconds: `python -m tests.tiny_harness ...`.

Everything else is as it is: steps, trainers, store, workers, judge, statistics and report.
"""

from dataclasses import replace
from typing import Any

from harness.cli import main
from harness.recipes import loading
from harness.recipes.loading import load_recipe
from harness.recipes.recipe import Fast, Recipe
from tests.command import use_one_worker

SIZES = {
    "demonstrations": 48,
    "improver_data": 24,
    "preference_data": 32,
    "alpaca_eval2": 24,
    "arena_hard": 16,
    "pairwise": 16,
}


def load_tiny_recipe(name: str, *, fast: bool = False, **options: Any) -> Recipe:
    """The scale with `--fast`'s sizes replaced by `SIZES`, whether or not it is asked for."""
    return replace(load_recipe(name, **options), fast=Fast(("llama",), SIZES)).faster()


if __name__ == "__main__":
    use_one_worker()
    loading.load_recipe = load_tiny_recipe  # type: ignore[assignment]
    main()
