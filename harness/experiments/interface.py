"""What every experiment is asked for, and what every experiment gives."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.engine.artifacts import Artifact, labels
from harness.engine.store import Store
from harness.errors import UserError
from harness.papers import AnyExhibit, Comparison
from harness.recipes.registries import load_method
from harness.recipes.scales import Scale

Checkpoints = Mapping[tuple[str, str, int], Artifact]
"""What each (model, method, training seed) ends with."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is run: a scale, training seeds, and a selection of base models and methods, empty for all.

    `asked` is the user's choice that it came of, if it did of one: it is written down, so that it can be made again.
    """

    scale: Scale
    seeds: tuple[int, ...]
    models: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    asked: Mapping[str, Any] | None = None

    def models_of(self, exhibit: AnyExhibit) -> tuple[str, ...]:
        """The exhibit's base models that are selected. Of a reduced scale those it is reduced to, if it has any.

        Raises UserError where the scale has none of the exhibit's.
        """
        known = tuple(model for model in exhibit.models if model in self.scale.models)
        if not known:
            models = ", ".join(exhibit.models)
            raise UserError(f"scale {self.scale.name} has no model for {exhibit.name}, which is on {models}")
        wanted = self.models or (self.scale.fast.models if self.scale.is_reduced else ())
        selected = tuple(model for model in known if model in wanted)
        return selected if selected or self.models else known

    def checkpoint(self, model: str, method: str, seed: int) -> Artifact:
        """What `method` ends with on a base model. Raises UserError for an unknown one of either."""
        with labels(f"{model} {method} seed {seed}"):
            return load_method(method).build(self.scale.ingredients(model, seed, method))


def stated(exhibit: AnyExhibit, models: Iterable[str]) -> Iterator[tuple[str, Comparison]]:
    """Each ordering of the exhibit's claims, with each of `models` that it is stated for."""
    known = set(models)
    for comparison in (comparison for claim in exhibit.claims for comparison in claim.comparisons):
        for model in comparison.models:
            if model in known:
                yield model, comparison


def figures(scores: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """One metric of `scores.json`, as cells of a manifest hold it. A withheld one has no figures but a note that says
    why."""
    shown = scores["mean"][metric] is not None
    reason = scores["withheld"] or scores.get("length_controlled_withheld") or "no verdicts"
    return {
        "value": scores["mean"][metric],
        "ci95": scores["ci95"][metric],
        "per_seed": scores["per_seed"][metric],
        "uncertainty": scores["uncertainty"].get(metric) if shown else None,
        "note": "" if shown else f"withheld: {reason}",
        "n_asked": scores["n_asked"],
        "n_missing": scores["n_missing"],
    }


class Experiment(Protocol):
    """An exhibit on a scale. `part` and the tests read the store once all `targets` are in it."""

    @property
    def exhibit(self) -> AnyExhibit:
        """What the paper shows, with a row for each method that was asked for beside its own."""

    @property
    def models(self) -> tuple[str, ...]:
        """The base models that are run."""

    @property
    def checkpoints(self) -> Checkpoints:
        """The checkpoints that its rows are named after."""

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """What identifies the judge of each bench."""

    def targets(self) -> Sequence[Artifact]:
        """Everything the report reads or points to."""

    def test(self, model: str, comparison: Comparison) -> Artifact | None:
        """``comparison.json`` by metric, of an ordering of a claim; None where one of the two is not run."""

    def part(self, store: Store) -> dict[str, Any]:
        """The experiment's part of the manifest (JSON values): its `kind` and `name`, and the fields of that kind in
        `reports.manifest`."""
