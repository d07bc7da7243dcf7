"""The sets of responses that exhibits name, as the methods themselves make them.

Each is built by the functions that the methods are composed of, so that what a method has made already is found.
"""

from dataclasses import dataclass

from harness.engine.artifacts import Artifact, labels
from harness.errors import UserError, unknown
from harness.recipes.recipe import Recipe, RecipeInputs
from harness.steps.draw import drawn_responses
from methods.base import Method, ResponseSets

DRAW_SEED = 0
"""Of the rows that exhibits draw. Whichever seeds methods are trained with, the prompts are the same, so that runs can
be compared prompt by prompt."""

PROMPTS = "reference"
"""The set whose rows are the prompts of a data role."""


@dataclass(frozen=True, slots=True)
class MethodResponses:
    """The sets of responses of one method, with its settings on one base model and with one training seed."""

    name: str
    method: Method
    inputs: RecipeInputs

    def all(self, data: str, name: str) -> Artifact:
        """Return `Response` rows of a set to all prompts of the data role. Raises UserError for unknown names."""
        return self._made("response_sets", data, name)

    def drawn(self, data: str, name: str, size: int | None) -> Artifact:
        """Return `size` rows of a set, on prompts drawn at random, the same for every set; all where None."""
        responses = self.all(data, name)
        if size is None:
            return responses
        drawn = drawn_responses(responses=responses, prompts=self.all(data, PROMPTS), size=size, seed=DRAW_SEED)
        return drawn.append_label(f"{name}, {size} drawn")

    def filtered(self, data: str, name: str) -> Artifact:
        """Return the artifact that the method's filter keeps of a set.

        Raises UserError for a set that it does not filter.
        """
        with labels(f"{self.inputs.base_model} seed {self.inputs.seed}"):
            return self._made("filtered_sets", data, name)

    def all_filtered(self, data: str) -> tuple[Artifact, ...]:
        """Return what the filter keeps of each set on the role that it filters."""
        return tuple(self.filtered(data, name) for name in self._declared("filtered_sets").get(data, {}))

    def _made(self, kind: str, data: str, name: str) -> Artifact:
        sets = self._declared(kind)
        if data not in sets:
            raise unknown(f"data role of the {_words(kind)} of {self.name}:", data, sets)
        if name not in sets[data]:
            raise unknown(f"one of the {_words(kind)} of {self.name} on {data}:", name, sets[data])
        return sets[data][name](self.method, self.inputs)

    def _declared(self, kind: str) -> ResponseSets:
        declared: ResponseSets = getattr(self.method, kind, {})
        if not declared:
            raise UserError(f"the method {self.name!r} declares no {_words(kind)}; name one that does")
        return declared


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def responses_of(recipe: Recipe, base_model: str, seed: int, method: str = "") -> MethodResponses:
    """Return the sets of responses of a method, by default of the paper's own.

    Raises UserError for an unknown method.
    """
    name = method or recipe.own_method
    return MethodResponses(name, recipe.method(base_model, name), recipe.inputs(base_model, seed))
