"""The sets of responses as graphs: the very artifacts that the methods are made from."""

import pytest

from harness.engine.artifacts import Artifact, ancestry
from harness.errors import UserError
from harness.experiments.response_sets import DRAW_SEED, drawn_set, response_set, variant_of
from harness.recipes.registries import load_method
from harness.recipes.scales import load_scale
from methods.sgpo import SGPO, Variant

SCALE = load_scale("mini")
GIVEN = SCALE.ingredients("llama", 1)
ON_IMPROVER_DATA = ("reference", "draft", "teacher_improvement", "teacher_answer")
ON_PREFERENCE_DATA = (
    "reference",
    "draft",
    "teacher_improvement",
    "policy_answer",
    "self_improvement",
    "initial_improvement",
)
SETS = {"improver_data": ON_IMPROVER_DATA, "preference_data": ON_PREFERENCE_DATA}


def built(method: str) -> Artifact:
    return load_method(method).build(GIVEN)


def inputs_of(method: str, step: str) -> list[Artifact]:
    """All inputs of the method's steps of this name."""
    return [parent for each in ancestry([built(method)]) if each.step == step for parent in each.parents()]


def on_preference_data(name: str, method: str = "sgpo") -> Artifact:
    return response_set(GIVEN, "preference_data", name, variant_of(method))


def test_what_sgpo_prefers_is_what_is_shown() -> None:
    [pairs] = [each for each in ancestry([built("sgpo")]) if each.step == "preference_pairs"]
    assert pairs.inputs["chosen"] == on_preference_data("self_improvement")
    assert pairs.inputs["rejected"] == on_preference_data("policy_answer")


@pytest.mark.parametrize("method", ["sgpo-all-ref", "sgpo-no-ref"])
def test_a_variant_shows_its_own(method: str) -> None:
    """Figure 10."""
    [pairs] = [each for each in ancestry([built(method)]) if each.step == "preference_pairs"]
    assert pairs.inputs["chosen"] == on_preference_data("self_improvement", method)
    assert pairs.inputs["chosen"] != on_preference_data("self_improvement")
    assert pairs.inputs["rejected"] == on_preference_data("policy_answer", method)


def test_both_improvements_are_of_the_same_answers_by_the_same_prompt() -> None:
    """Section 4.4.2: only who refines differs."""
    for method in ("sgpo", "sgpo-all-ref", "sgpo-no-ref"):
        own, initial = (on_preference_data(name, method) for name in ("self_improvement", "initial_improvement"))
        assert initial.inputs["model"] == built("sft")
        assert own.inputs["model"] == on_preference_data("policy_answer", method).inputs["model"]
        assert {**own.inputs, "model": None} == {**initial.inputs, "model": None}
        assert own.params == initial.params


def test_without_the_reference_neither_improver_sees_it() -> None:
    for name in ("self_improvement", "initial_improvement"):
        assert "{reference}" in on_preference_data(name).arguments["template"]  # type: ignore[arg-type]
        assert "{reference}" not in on_preference_data(name, "sgpo-no-ref").arguments["template"]  # type: ignore[arg-type]


def test_what_the_improver_learns_from_is_what_is_shown() -> None:
    """Figures 3, 4 and 5: drafts, the teacher's improvements and its own answers."""
    filtered, examples = inputs_of("improver", "iqr_filter"), inputs_of("improver", "improver_examples")
    assert response_set(GIVEN, "improver_data", "teacher_improvement") in filtered
    assert response_set(GIVEN, "improver_data", "teacher_answer") in filtered
    assert response_set(GIVEN, "improver_data", "draft") in examples
    assert response_set(GIVEN, "improver_data", "reference") == GIVEN.improver_data


def test_drafts_and_references_of_the_preference_data_are_those_of_spin() -> None:
    [pairs] = [each for each in ancestry([built("spin")]) if each.step == "preference_pairs"]
    assert pairs.inputs["rejected"] == on_preference_data("draft")
    assert pairs.inputs["chosen"] == on_preference_data("reference")
    improved = on_preference_data("teacher_improvement")
    assert (improved.inputs["drafts"], improved.inputs["model"]) == (on_preference_data("draft"), GIVEN.teacher)


@pytest.mark.parametrize("data", SETS)
@pytest.mark.parametrize("name", sorted({*ON_IMPROVER_DATA, *ON_PREFERENCE_DATA}))
def test_each_set_is_there_on_its_roles_and_refused_on_others(data: str, name: str) -> None:
    if name in SETS[data]:
        assert response_set(GIVEN, data, name).step in ("respond", "refine", "load_data", "chosen_responses")
    else:
        with pytest.raises(UserError, match=f"unknown set of responses on the role '{data}': '{name}'"):
            response_set(GIVEN, data, name)


def test_only_variants_of_sgpo_have_a_self_improver() -> None:
    assert variant_of("sgpo") == SGPO
    assert variant_of("sgpo:rounds=3") == Variant(rounds=3)
    for method in ("dpo", "sft"):
        with pytest.raises(UserError, match="no variant of SGPO"):
            variant_of(method)
    with pytest.raises(UserError, match="did you mean"):
        variant_of("sgpoo")


@pytest.mark.parametrize("data", SETS)
def test_the_prompts_of_all_sets_are_drawn_alike_whatever_the_training_seed(data: str) -> None:
    all_drawn = [drawn_set(SCALE.ingredients("llama", seed), data, name, 300) for seed in (0, 1) for name in SETS[data]]
    assert len({each.inputs["prompts"] for each in all_drawn}) == 1
    assert {(each.arguments["size"], each.arguments["seed"]) for each in all_drawn} == {(300, DRAW_SEED)}
    assert drawn_set(GIVEN, data, "draft", None) == response_set(GIVEN, data, "draft")
