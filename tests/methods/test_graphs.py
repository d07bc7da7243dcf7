"""The methods as graphs of steps: nothing is run."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from harness.engine.artifacts import Artifact, ancestry
from harness.errors import UserError
from harness.recipes.loading import load_recipe
from harness.recipes.recipe import RecipeInputs
from harness.training.losses import Dpo, Srpo

OF_TABLE_3 = ("sgpo", "sgpo-unshared", "sgpo-teacher-only")
OF_TABLES_4_TO_7 = (
    "sgpo-reference-chosen",
    "sgpo-teacher-only-shared",
    "sgpo-two-rounds",
    "sgpo-all-ref",
    "sgpo-no-ref",
)
SGPO_VARIANTS = (*OF_TABLE_3, *OF_TABLES_4_TO_7)
REFINING_VARIANTS = tuple(name for name in SGPO_VARIANTS if name not in ("sgpo-reference-chosen", "sgpo-no-ref"))
PREFERENCE_METHODS = ("dpo", "spin", "spin-own-recipe", *SGPO_VARIANTS)
NAMES = ("sft", *PREFERENCE_METHODS, "improver", "ipo", "rpo", "simpo")
SCALE = replace(load_recipe("mini"), rates=None)
"""The mini scale with the learning rates of its own file, the same for all variants."""
STOCHASTIC = ("train_sft", "train_preferences", "respond", "refine")


def given(seed: int = 0, model: str = "llama") -> RecipeInputs:
    return SCALE.inputs(model, seed)


def settings(name: str, model: str = "llama") -> Any:
    return SCALE.method(model, name)


def built(name: str, seed: int = 0, model: str = "llama") -> Artifact:
    return given(seed, model).checkpoint(name)


def one(artifact: Artifact, name: str) -> Artifact:
    """The single artifact that is the input `name`."""
    value = artifact.inputs[name]
    assert isinstance(value, Artifact)
    return value


def many(artifact: Artifact, name: str) -> tuple[Artifact, ...]:
    value = artifact.inputs[name]
    assert isinstance(value, tuple)
    return value


def reference(trained: Artifact) -> Artifact:
    """The model that a preference stage is held to."""
    return one(one(trained, "references"), "model")


def stage(trained: Artifact) -> tuple[Any, Any]:
    """The loss of a preference stage, and how it is minimised."""
    return trained.arguments["loss"], trained.arguments["settings"]


def nodes(artifact: Artifact, step: str) -> Iterator[Artifact]:
    return (each for each in ancestry([artifact]) if each.step == step)


def test_these_are_all_methods() -> None:
    assert set(SCALE.method_names()) == {
        *NAMES,
        "srpo",
        "sapo",
        "base",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_method_starts_from_the_same_initial_policy(name: str) -> None:
    policy = built("sft")
    assert policy in ancestry([built(name)])
    assert (policy.step, one(policy, "model"), one(policy, "examples")) == (
        "train_sft",
        given().base,
        given().data("demonstrations"),
    )
    assert policy.arguments["settings"] == settings("sft").training


def test_the_methods_end_in_different_checkpoints() -> None:
    assert len({built(name).key for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_differs_with_base_model_and_seed(name: str) -> None:
    assert len({built(name, seed, model).key for seed in (0, 1) for model in ("llama", "qwen")}) == 4


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_reaches_every_step_that_draws(name: str) -> None:
    for seed in (0, 7):
        drawing = [each for each in ancestry([built(name, seed)]) if each.step in STOCHASTIC]
        assert drawing
        assert {each.arguments["seed"] for each in drawing} == {seed}
    others = [each for each in ancestry([built(name)]) if each.step not in STOCHASTIC]
    assert not any("seed" in each.arguments for each in others)
    unseeded = {each.step for each in others}
    assert unseeded <= {
        "load_model",
        "load_data",
        "perplexity",
        "iqr_filter",
        "improver_examples",
        "chosen_responses",
        "preference_pairs",
        "reference_log_probabilities",
    }


def test_dpo_learns_from_the_chosen_and_rejected_of_the_data_against_the_initial_policy() -> None:
    last = built("dpo")
    assert last.step == "train_preferences"
    assert one(last, "policy") == reference(last) == built("sft")
    assert one(last, "pairs") == one(one(last, "references"), "pairs") == given().data("preference_data")
    assert stage(last) == (Dpo(beta=0.01), settings("dpo").training)  # section 4.2.1


def test_spin_prefers_the_reference_to_its_own_answer() -> None:
    last = built("spin")
    pairs = one(last, "pairs")
    chosen, rejected = one(pairs, "chosen"), one(pairs, "rejected")
    assert one(last, "policy") == reference(last) == built("sft")
    assert (chosen.step, one(chosen, "preference_data")) == ("chosen_responses", given().data("preference_data"))
    assert (rejected.step, one(rejected, "model"), one(rejected, "prompts")) == ("respond", built("sft"), chosen)
    assert rejected.arguments["sampling"] == SCALE.sampling
    assert stage(last) == (Dpo(beta=0.5), settings("spin").training)  # section 4.2.1


def test_spins_own_recipe_trains_on_the_same_pairs() -> None:
    """github.com/uclaml/SPIN, configs/config.yaml."""
    last, plain = built("spin-own-recipe"), built("spin")
    assert last.inputs == plain.inputs
    usual = plain.arguments["settings"]
    assert stage(last) == (Dpo(beta=0.1), replace(usual, epochs=3, optimizer="rmsprop", schedule="linear"))


@pytest.mark.parametrize("name", ["sgpo", "sgpo-unshared"])
def test_step_1_of_algorithm_1(name: str) -> None:
    """Drafts, improved answers (Eq. 2) and direct answers, each filtered on its own (Eq. 3), then united (Eq. 4)."""
    improver, policy, data = built("improver"), built("sft"), given().data("improver_data")
    assert improver in ancestry([built(name)])
    assert (improver.step, one(improver, "model")) == ("train_sft", policy)
    assert improver.arguments["settings"] == settings("sgpo").improver
    examples = one(improver, "examples")
    drafts = one(examples, "drafts")
    assert (drafts.step, one(drafts, "model"), one(drafts, "prompts")) == ("respond", policy, data)
    assert drafts.arguments["sampling"] == SCALE.sampling

    filtered = many(examples, "targets")
    assert [each.step for each in filtered] == ["iqr_filter", "iqr_filter"]
    improved, answers = (one(each, "responses") for each in filtered)
    assert (improved.step, one(improved, "model")) == ("refine", given().model("teacher"))
    assert (one(improved, "references"), one(improved, "drafts")) == (data, drafts)
    assert (answers.step, one(answers, "model"), one(answers, "prompts")) == ("respond", given().model("teacher"), data)
    for each, responses in zip(filtered, (improved, answers), strict=True):
        measured = one(each, "perplexities")
        assert (measured.step, one(measured, "model"), one(measured, "responses")) == ("perplexity", policy, responses)


def test_the_improver_is_trained_without_the_reference_and_refines_with_it() -> None:
    last = built("sgpo")
    [examples] = nodes(last, "improver_examples")
    by_teacher, by_improver = nodes(last, "refine")
    assert examples.arguments["template"] == SCALE.prompt_set().methods["training"]
    assert by_teacher.arguments["template"] == SCALE.prompt_set().methods["target"]
    assert by_improver.arguments["template"] == SCALE.prompt_set().methods["refining"]
    assert "{reference}" not in examples.arguments["template"]
    assert "{draft}" in examples.arguments["template"]
    for refined in (by_teacher, by_improver):
        assert "{reference}" in refined.arguments["template"]
        assert "{draft}" in refined.arguments["template"]


@pytest.mark.parametrize("name", [name for name in REFINING_VARIANTS if name != "sgpo-two-rounds"])
def test_step_2_of_algorithm_1(name: str) -> None:
    """Own answers rejected, self-improved answers chosen (Eq. 5), DPO against where the policy starts (Eq. 6)."""
    last = built(name)
    policy = one(last, "policy")
    assert last.step == "train_preferences"
    assert reference(last) == policy
    pairs = one(last, "pairs")
    chosen, rejected = one(pairs, "chosen"), one(pairs, "rejected")
    references = one(chosen, "references")
    assert (references.step, one(references, "preference_data")) == (
        "chosen_responses",
        given().data("preference_data"),
    )
    assert (rejected.step, one(rejected, "model"), one(rejected, "prompts")) == ("respond", policy, references)
    assert (chosen.step, one(chosen, "drafts")) == ("refine", rejected)
    assert one(chosen, "model").step == "train_sft"
    assert stage(last) == (Dpo(beta=0.5), settings("sgpo").training)  # section 4.2.2


def improver_of(name: str) -> Artifact:
    return one(one(one(built(name), "pairs"), "chosen"), "model")


def test_shared_policy_and_reference_are_the_improver() -> None:
    assert one(built("sgpo"), "policy") == improver_of("sgpo") == built("improver")


@pytest.mark.parametrize("name", ["sgpo-unshared", "sgpo-teacher-only"])
def test_an_unshared_policy_starts_from_the_initial_one(name: str) -> None:
    assert one(built(name), "policy") == built("sft") != improver_of(name)


def test_the_variants_share_what_they_can() -> None:
    assert improver_of("sgpo") == improver_of("sgpo-unshared") != improver_of("sgpo-teacher-only")
    trained = [next(nodes(built(name), "improver_examples")) for name in SGPO_VARIANTS]
    assert len({examples.inputs["drafts"] for examples in trained}) == 1
    assert len({many(examples, "targets")[-1] for examples in trained}) == 1  # the teacher's answers, filtered
    unshared, teacher_only, spin = (
        one(one(built(name), "pairs"), "rejected") for name in ("sgpo-unshared", "sgpo-teacher-only", "spin")
    )
    assert unshared == teacher_only == spin  # the initial policy's answers


def test_the_teacher_only_improver_learns_from_direct_answers_alone() -> None:
    [targets] = many(one(improver_of("sgpo-teacher-only"), "examples"), "targets")
    answers = one(targets, "responses")
    assert (answers.step, one(answers, "model")) == ("respond", given().model("teacher"))
    assert answers == one(many(one(improver_of("sgpo"), "examples"), "targets")[1], "responses")
    assert not list(nodes(improver_of("sgpo-teacher-only"), "refine"))


def test_sgpo_with_the_reference_chosen_refines_nothing() -> None:
    """SGPO◦, Table 4: as SPIN, but the rejected answers are the improver-policy's own."""
    last, improver = built("sgpo-reference-chosen"), built("improver")
    pairs = one(last, "pairs")
    assert one(last, "policy") == reference(last) == improver
    assert one(pairs, "chosen") == one(one(built("spin"), "pairs"), "chosen")
    assert one(pairs, "rejected") == one(one(built("sgpo"), "pairs"), "rejected")
    assert stage(last) == (settings("sgpo").loss, settings("sgpo").training)


def test_sgpo_v2_shares_the_improver_that_learns_from_direct_answers() -> None:
    """Table 5: v1 and v3 are the methods † and ‡ of Table 3, on the smaller base."""
    assert improver_of("sgpo-teacher-only-shared") == improver_of("sgpo-teacher-only")
    assert one(built("sgpo-teacher-only-shared"), "policy") == improver_of("sgpo-teacher-only")


def test_another_round_starts_from_the_policy_of_the_one_before_which_refines_its_own_answers() -> None:
    """SGPO + Step 2, Table 6: both sides of the pairs come from π_θ**, and the improver is not trained again."""
    first, second = built("sgpo"), built("sgpo-two-rounds")
    pairs = one(second, "pairs")
    chosen, rejected = one(pairs, "chosen"), one(pairs, "rejected")
    assert one(second, "policy") == reference(second) == first
    assert one(chosen, "model") == one(rejected, "model") == first
    assert one(chosen, "drafts") == rejected
    assert len(list(nodes(second, "improver_examples"))) == 1
    third = built("sgpo:rounds=3")
    assert one(third, "policy") == second


def test_all_ref_differs_in_what_the_improver_is_trained_on() -> None:
    """Table 7."""
    [examples], [plain] = (nodes(built(name), "improver_examples") for name in ("sgpo-all-ref", "sgpo"))
    assert examples.arguments["template"] == SCALE.prompt_set().methods["refining"]
    assert examples.inputs["references"] == given().data("improver_data")
    assert "references" not in plain.inputs
    for name in ("drafts", "targets"):
        assert examples.inputs[name] == plain.inputs[name]
    [refined] = [
        each for each in nodes(built("sgpo-all-ref"), "refine") if each.inputs["model"] != given().model("teacher")
    ]
    assert refined.arguments["template"] == SCALE.prompt_set().methods["refining"]


def test_no_ref_differs_in_what_the_improver_refines_with() -> None:
    """Table 7."""
    last, plain = built("sgpo-no-ref"), built("sgpo")
    assert one(last, "policy") == one(plain, "policy") == built("improver")
    refined = one(one(last, "pairs"), "chosen")
    assert refined.arguments["template"] == SCALE.prompt_set().methods["training"]
    assert refined.inputs["drafts"] == one(one(plain, "pairs"), "chosen").inputs["drafts"]


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("sgpo:rounds=2", "sgpo-two-rounds"),
        ("sgpo:share_parameters=false", "sgpo-unshared"),
        ("sgpo-unshared:improved_targets=false", "sgpo-teacher-only"),
        ("sgpo-unshared:share_parameters=true", "sgpo"),
        ("sgpo:chosen=reference", "sgpo-reference-chosen"),
    ],
)
def test_settings_in_a_name_make_the_same_method(spelled: str, name: str) -> None:
    assert built(spelled) == built(name)
    assert spelled.partition(":")[2].partition("=")[0] in SCALE.card(spelled).summary


@pytest.mark.parametrize(
    ("spelled", "says"),
    [
        ("sgpo:round=2", "did you mean 'rounds'"),
        ("sgpo:rounds", "write a setting as in sgpo:rounds=3"),
        ("sgpo:rounds=2:rounds=3", "'rounds' is given twice"),
        ("sgpo:rounds=many", "rounds"),
        ("sgpo:rounds=0", "sgpo:rounds=0: rounds must be 1 to 100, not 0"),
        ("sgpo-unshared:rounds=-1", "rounds must be 1 to 100, not -1"),
        ("sgpo:rounds=1500", "rounds must be 1 to 100, not 1500"),
        ("sgpo:chosen=draft", "chosen"),
        ("dpo:rounds=2", "dpo:rounds=2: unknown key 'rounds' .known: loss, start, training"),
        ("dpo:bta=2", "dpo:bta=2: unknown key 'bta' .known: loss, start, training"),
        ("dpo:loss.bta=2", "dpo:loss.bta=2: loss: unknown key 'bta'; did you mean 'beta'"),
        ("dpo:beta=-1", "dpo:beta=-1: loss: beta must be above 0, not -1"),
        ("sft:training.learning_rate=0", "training.learning_rate must be above 0"),
        ("sft:training.epoch=1", "training: unknown key 'epoch'; did you mean 'epochs'"),
        ("sgpoo:rounds=2", "did you mean 'sgpo'"),
    ],
)
def test_a_wrong_setting_is_refused(spelled: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        built(spelled)


@pytest.mark.parametrize("name", PREFERENCE_METHODS)
def test_no_preference_method_sees_the_evaluation_sets(name: str) -> None:
    roles = {each.arguments["reference"] for each in nodes(built(name), "load_data")}
    expected = {"mini:demonstrations", "mini:preference_data"}
    assert roles == expected | ({"mini:improver_data"} if name in SGPO_VARIANTS else set())


@pytest.mark.parametrize("name", NAMES)
def test_only_sgpo_asks_the_teacher_and_none_asks_the_judge(name: str) -> None:
    models = {each.arguments["reference"] for each in nodes(built(name), "load_model")}
    assert models == {"mini:llama"} | ({"mini:teacher"} if name in (*SGPO_VARIANTS, "improver") else set())


@pytest.mark.parametrize("name", NAMES)
def test_cards_say_where_everything_comes_from(name: str) -> None:
    card = SCALE.card(name)
    assert len(card.summary) > 15
    assert "2507.20181" in card.paper
    assert card.section[0].isdigit()
    assert card.equations or name == "sft"
    assert {"learning_rate", "epochs"} <= set(card.hyperparameters)
    for value, source in card.hyperparameters.items():
        named = (
            "(section",
            "not stated",
            "(config.yaml",
            "(SRPO, appendix",
            "(github.com",
            "the recipe's for DPO",
            "γ/β",
        )
        assert any(words in source for words in named), value
    assert ("beta" in card.hyperparameters) == (name != "sft")


def test_the_settings_are_named_in_the_cards_as_in_the_paper() -> None:
    """β and the numbers of epochs hold at every scale; sections 4.2.1 and 4.2.2."""
    for name in ("dpo", "spin", "sgpo"):
        assert SCALE.card(name).hyperparameters["beta"].startswith(f"{settings(name).loss.beta:g} ")
        assert settings(name).training.epochs == 1
    assert settings("sgpo").improver.epochs == 3
    assert (SCALE.sampling.temperature, SCALE.sampling.top_p) == (0.7, 0.9)


def test_a_loss_that_shows_drafts_says_which_prompt_the_recipe_lacks() -> None:
    dpo = replace(settings("dpo"), loss=Srpo(beta=0.1, alpha=0.5))
    with pytest.raises(
        UserError, match=r"'revision' .*: the loss srpo .* needs a prompt called revision .* \{example\}$"
    ):
        dpo.build(replace(SCALE, prompts="natural").inputs("llama", 0))
