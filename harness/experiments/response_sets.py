"""The sets of responses that exhibits name, as the methods themselves make them.

Each is built by the functions that the methods are composed of, so that what a method has made already is found.
"""

from collections.abc import Callable, Mapping

from harness.engine.artifacts import Artifact
from harness.errors import UserError, unknown
from harness.recipes.registries import load_method
from harness.steps.data import chosen_responses
from harness.steps.draw import drawn_responses
from methods.ingredients import Ingredients
from methods.sft import sft
from methods.sgpo import (
    SGPO,
    Variant,
    improvements,
    improver_responses,
    policy_answers,
    teacher_improvements,
    train_improver,
)

DRAW_SEED = 0
"""Of the rows that exhibits draw. Whichever seeds methods are trained with, the prompts are the same, so that runs can
be compared prompt by prompt."""

Maker = Callable[[Ingredients, Variant], Artifact]


def variant_of(method: str) -> Variant:
    """The variant of SGPO that `method` names. Raises UserError for an unknown method and for one that is not SGPO."""
    variant = load_method(method).variant
    if not isinstance(variant, Variant):
        raise UserError(f"{method!r} is no variant of SGPO: it has no self-improver; name one such as 'sgpo'")
    return variant


def response_set(given: Ingredients, data: str, name: str, variant: Variant = SGPO) -> Artifact:
    """`Response` rows of the set `name` to all prompts of the data role.

    Only the references y, the drafts ŷ_θ0 and the teacher's improvements ỹ_φ are made on both roles. The teacher's
    answers ŷ_φ are on the improver data alone, the sets of π_θ* on the preference data. Raises UserError for others.
    """
    if data not in _MAKERS:
        raise unknown("data role of responses", data, _MAKERS)
    if name not in _MAKERS[data]:
        raise unknown(f"set of responses on the role {data!r}:", name, _MAKERS[data])
    return _MAKERS[data][name](given, variant)


def drawn_set(given: Ingredients, data: str, name: str, size: int | None, variant: Variant = SGPO) -> Artifact:
    """`response_set` on `size` prompts of the data role, the same for every set, drawn at random; on all where None."""
    responses = response_set(given, data, name, variant)
    if size is None:
        return responses
    prompts = response_set(given, data, "reference")
    drawn = drawn_responses(responses=responses, prompts=prompts, size=size, seed=DRAW_SEED)
    return drawn.append_label(f"{name}, {size} drawn")


def _references(given: Ingredients, data: str) -> Artifact:
    """y: the references of the improver's prompts, or the chosen answers of the preference data (section 4.1)."""
    if data == "improver_data":
        return given.improver_data
    return chosen_responses(preference_data=given.preference_data)


def _preference_drafts(given: Ingredients) -> Artifact:
    """ŷ_θ0 on the preference data."""
    return policy_answers(given, sft(given))


def _policy_answers(given: Ingredients, variant: Variant) -> Artifact:
    """ŷ_θ*: the self-improver's own answers."""
    return policy_answers(given, train_improver(given, variant))


def _self_improvements(given: Ingredients, variant: Variant) -> Artifact:
    """ỹ_θ*: the self-improver's versions of its own answers (Eq. 5)."""
    improver, answers = train_improver(given, variant), _policy_answers(given, variant)
    return improvements(given, variant, improver, answers).append_label("self-improvements")


def _initial_improvements(given: Ingredients, variant: Variant) -> Artifact:
    """ỹ_θ0: the initial policy's versions of the self-improver's answers, by the same prompt (section 4.4.2)."""
    refined = improvements(given, variant, sft(given), _policy_answers(given, variant))
    return refined.append_label("initial policy's improvements")


def _teacher_improvements(given: Ingredients, variant: Variant) -> Artifact:
    """ỹ_φ on the preference data, of which no method learns (Table 1)."""
    references = _references(given, "preference_data")
    return teacher_improvements(given, references=references, drafts=_preference_drafts(given))


_MAKERS: Mapping[str, Mapping[str, Maker]] = {
    "improver_data": {
        "reference": lambda given, variant: _references(given, "improver_data"),
        "draft": lambda given, variant: improver_responses(given).drafts,
        "teacher_improvement": lambda given, variant: improver_responses(given).improved,
        "teacher_answer": lambda given, variant: improver_responses(given).answers,
    },
    "preference_data": {
        "reference": lambda given, variant: _references(given, "preference_data"),
        "draft": lambda given, variant: _preference_drafts(given),
        "teacher_improvement": _teacher_improvements,
        "policy_answer": _policy_answers,
        "self_improvement": _self_improvements,
        "initial_improvement": _initial_improvements,
    },
}
