"""The interface of an experiment: its request, and what it returns."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.engine.artifacts import Artifact, labels
from harness.engine.store import Store
from harness.errors import UserError
from harness.papers.claims import NO_MODEL, Comparison
from harness.papers.kinds import AnyExhibit
from harness.recipes.recipe import Recipe
from harness.results.exhibits import Result, Uncertainty

Checkpoints = Mapping[tuple[str, str, int], Artifact]
"""What each (model, method, training seed) ends with."""


TestPlace = tuple[str, str, str, str]
"""Base model, better, worse, bench: one test, whichever of the bench's metrics an ordering is about."""
Tests = Mapping[TestPlace, Artifact]


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a run: a scale, training seeds, and a selection of base models and methods, empty for all.

    `asked` is the user's choice that it came of, if it did of one: it is written down, so that it can be made again.
    """

    recipe: Recipe
    seeds: tuple[int, ...]
    models: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    asked: Mapping[str, Any] | None = None
    are_seeds_usual: bool = False
    """Whether nobody asked for a number of training seeds."""
    against: tuple[str, ...] = ()
    """The methods that every other row of a table of scores is tested against."""
    sweep: str = ""
    """The setting that rows are swept over, which are then tested against each other."""
    added: tuple[str, ...] = ()
    """The selected methods that none of the paper's tables has a row for."""

    def for_exhibit(self, exhibit: AnyExhibit, *, by_itself: bool = True) -> "Request":
        """Return the request with the exhibit's own number of training seeds, unless somebody asked for one.

        In a run of several, where it is not `by_itself`, seeds of checkpoints are asked for: an exhibit without base
        models, whose seeds are data sets, keeps its own number if that is larger.
        """
        asked = 0 if self.are_seeds_usual else len(self.seeds)
        if asked and (by_itself or exhibit.models or exhibit.seeds <= asked):
            return self
        return replace(self, seeds=tuple(range(self.seeds[0], self.seeds[0] + exhibit.seeds)))

    def models_of(self, exhibit: AnyExhibit) -> tuple[str, ...]:
        """Return the exhibit's base models that are selected. Of a reduced scale those it is reduced to, if it has any.

        Raises UserError where the scale has none of the exhibit's, unless others are selected.
        """
        known = tuple(model for model in exhibit.models if model in self.recipe.base_models)
        is_asked_for = not self.models or any(model in exhibit.models for model in self.models)
        if not known and is_asked_for:
            models = ", ".join(exhibit.models)
            where = f"the scale {self.recipe.name} of {self.recipe.paper}"
            raise UserError(f"{where} has no model for {exhibit.name}, which is on {models}; choose another scale")
        wanted = self.models or (self.recipe.fast.base_models if self.recipe.is_reduced else ())
        selected = tuple(model for model in known if model in wanted)
        return selected if selected or self.models else known

    def checkpoint(self, model: str, method: str, seed: int) -> Artifact:
        """Return the last artifact of `method` on a base model. Raises UserError for an unknown one of either."""
        with labels(f"{model} {method} seed {seed}"):
            return self.recipe.inputs(model, seed).checkpoint(method)


def stated(exhibit: AnyExhibit, models: Iterable[str]) -> Iterator[tuple[str, Comparison]]:
    """Yield each ordering of the exhibit's claims, with each of `models` that it is stated for, or with `NO_MODEL`."""
    known = {*models, NO_MODEL}
    for claim in exhibit.claims:
        for model, comparison in claim.orderings():
            if model in known:
                yield model, comparison


def test_place(model: str, comparison: Comparison) -> TestPlace:
    """Return the place of the test of an ordering on a base model."""
    return model, comparison.better, comparison.worse, comparison.bench


def metric_fields(scores: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """Return one metric of `scores.json` as the fields of an `Estimate`: a withheld one has a note that says why."""
    is_withheld = scores["mean"][metric] is None
    reason = scores["withheld"] or scores.get("length_controlled_withheld") or "no verdicts"
    parts = None if is_withheld else scores["uncertainty"].get(metric)
    ci95, per_seed = scores["ci95"][metric], scores["per_seed"][metric]
    return {
        "value": scores["mean"][metric],
        "ci95": ci95 and tuple(ci95),
        "per_seed": per_seed and tuple(per_seed),
        "uncertainty": parts and Uncertainty(**parts),
        "note": f"withheld: {reason}" if is_withheld else "",
        "n_asked": scores["n_asked"],
        "n_missing": scores["n_missing"],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment(ABC):
    """An exhibit on a scale, as promises. `result` and the tests read the store once all `targets` are in it."""

    exhibit: AnyExhibit
    """What the paper shows, with a row for each method that was asked for beside its own."""
    models: tuple[str, ...] = ()
    """The base models that are run."""
    seeds: tuple[int, ...] = ()
    """The training seeds, where they are not the run's."""
    checkpoints: Checkpoints = field(default_factory=dict)
    """The checkpoints that its rows are named after."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """What identifies the judge of each bench."""
    tests: Tests = field(default_factory=dict)
    """The paired tests of its claims, of which both sides are run."""
    row_tests: Tests = field(default_factory=dict)
    """The paired tests of rows that no claim is about."""

    @abstractmethod
    def targets(self) -> list[Artifact]:
        """List everything the report reads or points to."""

    @abstractmethod
    def result(self, store: Store) -> Result:
        """Read what the run's manifest holds of the exhibit."""

    def scores(self) -> Mapping[str, Artifact]:
        """Return the scores by names that people can type; none where nothing is judged."""
        return {}

    def test(self, model: str, comparison: Comparison) -> Artifact | None:
        """Return ``comparison.json`` by metric, of an ordering of a claim; None where one of the two is not run."""
        return self.tests.get(test_place(model, comparison))
