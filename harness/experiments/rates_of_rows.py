"""The learning rate behind each row of a table of scores: how it was chosen, and how scores move with it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from harness.config.learning_rates import RateTable, Sensitivity
from harness.engine.artifacts import Artifact
from harness.experiments.interface import Checkpoints
from harness.recipes.changes import split_row
from harness.recipes.recipe import Recipe
from harness.results.exhibits import RateMove, RowRate
from methods.base import training_settings


def rates_of_rows(recipe: Recipe, checkpoints: Checkpoints) -> tuple[RowRate, ...]:
    """Return the rate of each base model and method whose checkpoint ends with a preference stage."""
    first: dict[tuple[str, str], Artifact] = {}
    for (model, method, _), checkpoint in checkpoints.items():
        first.setdefault((model, method), checkpoint)
    return tuple(
        _rate(recipe, model, method, checkpoint.arguments["settings"].learning_rate)
        for (model, method), checkpoint in first.items()
        if "pairs" in checkpoint.inputs
    )


def _rate(recipe: Recipe, model: str, method: str, rate: float) -> RowRate:
    table, (own, chosen_rate) = recipe.rates, recipe.chosen_rate(model, method) or ("", 0.0)
    if table is None or chosen_rate != rate:
        in_file = training_settings(replace(recipe, changes={}).method(model, split_row(method)[0])).values()
        is_changed = rate not in [each.learning_rate for each in in_file]
        return RowRate(model, method, rate, "the command line" if is_changed else recipe.where)
    passed = table.models[model][own].passed
    chosen = "the rule" if passed else "no rate passes the rule: the smallest"
    chosen += "" if own == method else f"; that of {own}"
    here, there = recipe.n_pairs, table.trained_on + table.held_out
    if here < there:  # as with --fast and --limit
        chosen += f"; chosen on {there:,} pairs, here for {here:,}"
    return RowRate(model, method, rate, chosen, tuple(_moves(table, model, own)) if own == method else ())


def _moves(table: RateTable, model: str, method: str) -> Iterator[RateMove]:
    """Yield how far each score is, in points, at half and at twice the rate from where it is at the rate itself."""
    measured = {each.times: each for each in table.sensitivity.get(model, {}).get(method, ())}
    if 1.0 in measured:
        for name in measured[1.0].scores:
            bench, _, metric = name.partition("/")
            yield RateMove(bench, metric, _difference(measured, name, 0.5), _difference(measured, name, 2.0))


def _difference(measured: Mapping[float, Sensitivity], name: str, times: float) -> float | None:
    """Return the difference of two scores, None where one of the two was not scored, or was withheld."""
    if times not in measured:
        return None
    there, here = measured[times].scores.get(name), measured[1.0].scores[name]
    return None if there is None or here is None else round(there - here, 2)
