"""`harness rates`: chooses the learning rates of preference stages, and looks how scores move with them."""

import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from harness.commands.rate_sweep import Tried, sensitivity, sweep, swept
from harness.config.learning_rates import (
    RULE,
    SEED,
    RateChoice,
    RateTable,
    choose,
    held_out,
    rate_table_text,
    rate_text,
    read_rate_table,
    write_rate_table,
)
from harness.engine.artifacts import Artifact
from harness.engine.pipeline import checked_plan, print_plan
from harness.engine.store import Store, open_store, require_writable
from harness.errors import UserError
from harness.provenance import provenance
from harness.recipes.loading import rates_path
from harness.recipes.recipe import Recipe
from harness.run.evidence import tell_stale
from harness.run.options import Choice
from harness.run.spending import run_and_report_spending

Say = Callable[[str], None]


def choose_rates(choice: Choice, run_dir: Path, say: Say) -> None:
    """Run the sweep and write the table of chosen rates: of a part, or with another seed, into `run_dir` alone.

    Raises UserError for names that have no rate to choose, and where nothing can be written.
    """
    recipe, (seed,), commit = choice.request().recipe, choice.seeds, _commit()
    methods = swept(recipe, choice.models, choice.methods)
    tried = sweep(recipe, methods, seed)
    store, path = _places(choice, run_dir)
    say(
        f"learning rates of {sum(map(len, methods.values()))} preference stages on the scale {recipe.name}, seed {seed}"
    )
    targets = [each.figures for each in tried]
    _run(targets, store, recipe)
    size = recipe.n_pairs
    table = RateTable(
        scale=recipe.name,
        rule=RULE,
        seed=seed,
        commit=commit,
        held_out=held_out(size),
        trained_on=size - held_out(size),
        models=_choices(tried, store),
    )
    before = read_rate_table(path) if path.is_file() else None
    if before and before.models == table.models:  # what was scored at these rates still holds
        table = replace(table, sensitivity=before.sensitivity)
    write_rate_table(path, table)
    say("\n".join(rate_table_text(table)))
    say(f"written to {path}")


def _choices(tried: list[Tried], store: Store) -> dict[str, dict[str, RateChoice]]:
    chosen: dict[str, dict[str, RateChoice]] = {}
    for (model, method), trials in groupby(tried, key=lambda each: (each.model, each.method)):
        chosen.setdefault(model, {})[method] = choose([each.trial(store) for each in trials])
    return chosen


def measure_sensitivity(choice: Choice, run_dir: Path, say: Say) -> None:
    """Score the methods at half, the same and twice the chosen rate, and add that to the table of chosen rates.

    Raises UserError where no rates were chosen yet.
    """
    recipe, (seed,) = choice.request().recipe, choice.seeds
    store, path = _places(choice, run_dir)
    if not path.is_file():
        raise UserError(f"{path} is not there: choose rates first, by the same command without --sensitivity")
    table = read_rate_table(path)
    scored = sensitivity(recipe, {model: table.rates(model) for model in table.models}, seed)
    say(
        f"scores at half, the same and twice the rate of {len(scored) // 3} preference stages on the scale"
        f" {recipe.name}"
    )
    targets = [artifact for each in scored for artifact in each.scores.values()]
    _run(targets, store, recipe)
    found = {
        model: {
            method: tuple(each.sensitivity(store) for each in of)
            for method, of in groupby(of_model, key=lambda each: each.method)
        }
        for model, of_model in groupby(scored, key=lambda each: each.model)
    }
    write_rate_table(path, replace(table, sensitivity=found))
    for model, methods in found.items():
        for method, lines in methods.items():
            for line in lines:
                say(f"{model} {method} {rate_text(line.rate)} ({line.times:g} times): {line.scores}")
    say(f"written to {path}")


def _run(targets: list[Artifact], store: Store, recipe: Recipe) -> None:
    tell_stale(targets, store, "rerun")
    print_plan(checked_plan(targets, store))
    run_and_report_spending(targets, store, compute=recipe.compute)


def _places(choice: Choice, run_dir: Path) -> tuple[Store, Path]:
    """Return the store, which makes again what other code has made, and the table's file.

    The table says which commit it is of. Raises UserError where that cannot be written.
    """
    path = table_path(choice, run_dir)
    require_writable(path.parent)
    return open_store(run_dir / "store", choice.request().recipe.compute, remakes_stale=True), path


def table_path(choice: Choice, run_dir: Path) -> Path:
    """Choose where the table goes: a part of the rule's sweep sets no scale and stays in the run directory, which is
    said."""
    if not (choice.models or choice.methods or choice.limit) and choice.seeds == (SEED,):
        return rates_path(choice.scale, choice.paper)
    path = run_dir / "rates.yaml"
    print(f"a part, which sets no scale: the table goes to {path}", file=sys.stderr)
    return path


def _commit() -> str:
    git = provenance()["git"]
    return f"{git['commit']}{' with changes' if git['dirty'] else ''}"
