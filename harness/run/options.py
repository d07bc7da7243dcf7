"""The options of a run, and the request that they come to."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from harness.endpoints.reference import EndpointReference
from harness.engine.compute import Compute
from harness.errors import UserError
from harness.experiments import Request
from harness.papers.folders import DEFAULT_PAPER
from harness.recipes.loading import load_recipe
from harness.recipes.recipe import JudgeRole, Recipe
from harness.recipes.sweeps import swept_setting
from harness.training.launch import accelerate_config
from harness.training.tracking import require_tracker


@dataclass(frozen=True, slots=True)
class Choice:
    """A paper's recipe, training seeds, a selection of models and methods (empty for all), and what replaces its own.

    `scale` is the name of one of the `paper`'s recipes, or a file; `settings` are changes of it, written as
    ``methods.dpo.beta=0.1``. `limit` bounds the rows of each data set, evaluation sets included. With `allow_missing`,
    or by a recipe that has it, scores are shown that rest on part of the verdicts. `compute` holds the fields of
    `Compute` that this machine has otherwise. With `are_seeds_usual` nobody asked for a number of training seeds: an
    exhibit that has more of its own has these. Every other row is tested `against` these methods, which are run too;
    with a `sweep` over a setting, the rows that have it are tested against each other.
    """

    scale: str
    fast: bool = False
    limit: int | None = None
    seeds: tuple[int, ...] = (0,)
    models: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    judge: JudgeRole | None = None
    teacher: str | None = None
    allow_missing: bool = False
    settings: tuple[str, ...] = ()
    paper: str = DEFAULT_PAPER
    compute: Mapping[str, Any] = field(default_factory=dict)
    are_seeds_usual: bool = False
    against: tuple[str, ...] = ()
    sweep: str = ""

    def swept(self, rows: Iterable[str] = ()) -> "Choice":
        """Return the choice of a sweep over the setting that its methods and these further `rows` differ in.

        Raises UserError where they do not differ in one setting.
        """
        methods = tuple(dict.fromkeys((*self.methods, *rows)))
        return replace(self, methods=methods, sweep=swept_setting(methods))

    def judged_by(self, judge: EndpointReference | None, *, allow_missing: bool = False) -> "Choice":
        """Return the same choice with another judge, or with the recipe's for None."""
        return replace(self, judge=JudgeRole.of(judge) if judge else None, allow_missing=allow_missing)

    def request(self) -> Request:
        """Return the request of the run.

        Raises UserError for an unknown scale, and for compute settings that there are not.
        """
        return Request(
            self._recipe(),
            self.seeds,
            self.models,
            self.methods,
            asdict(self),
            are_seeds_usual=self.are_seeds_usual,
            against=self.against,
            sweep=self.sweep,
        )

    def _recipe(self) -> Recipe:
        recipe = load_recipe(self.scale, fast=self.fast, paper=self.paper, changes=self.settings)
        recipe = recipe.at_most(self.limit) if self.limit else recipe
        return replace(
            recipe,
            judge=self.judge or recipe.judge,
            models={**recipe.models, **self._teacher(recipe)},
            allow_missing=self.allow_missing or recipe.allow_missing,
            compute=self._compute(recipe.compute),
        )

    def _teacher(self, recipe: Recipe) -> dict[str, str]:
        if self.teacher and "teacher" not in recipe.models:
            raise UserError(f"{recipe.where} has no teacher that --teacher could replace")
        return {"teacher": self.teacher} if self.teacher else {}

    def _compute(self, usual: Compute) -> Compute:
        """Return the recipe's compute settings, with what is chosen instead. Each chosen training process has one
        GPU."""
        chosen = replace(usual, **self.compute)
        accelerate_config(chosen.accelerate)
        require_tracker(chosen.track)
        if chosen.ray_address and chosen.executor != "ray":
            raise UserError("--ray-address goes with --executor ray: steps run on this machine alone")
        training = chosen.resources.get("training")
        if "processes" not in self.compute or training is None or not training.gpus:
            return chosen
        own = {"training": replace(training, gpus=chosen.processes)}
        return replace(chosen, resources={**chosen.resources, **own})
