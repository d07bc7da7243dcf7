"""What a recipe makes of its file, of the paper's variants, and of what a user sets otherwise."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.config.yaml_files import CONFIGS, read_yaml
from harness.errors import UserError
from harness.recipes.changes import leaves, merged, nested, split_row, without
from harness.recipes.loading import load_recipe
from harness.recipes.recipe import Recipe
from harness.training.losses import Dpo, Ipo, Orpo, SimPo
from tests.command import Harness

MINI = load_recipe("mini")
BARE = replace(MINI, rates=None)

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a recipe of one's own, the mini one with parts replaced or, by None, left out; returns its reference."""
    import yaml

    monkeypatch.chdir(tmp_path)
    content = read_yaml(CONFIGS / "papers/sgpo/recipes/mini.yaml")

    def write(**parts: Any) -> str:
        whole = {name: value for name, value in {**content, **parts}.items() if value is not None}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(whole))
        return "./mine.yaml"

    return write


def settings(recipe: Recipe, row: str, model: str = "llama") -> Any:
    return recipe.method(model, row)


def test_an_override_is_of_one_base_model_and_reaches_the_variants_of_a_method() -> None:
    paper = load_recipe("paper")
    rates = {model: settings(paper, "spin", model).training.learning_rate for model in paper.base_models}
    assert rates == {"qwen": 3e-7, "llama": 5e-7, "qwen-small": 5e-7}
    assert settings(paper, "spin-own-recipe", "qwen").training.learning_rate == 3e-7
    assert [settings(paper, "sft", model).training.epochs for model in paper.base_models] == [1, 1, 3]


def test_later_settings_replace_earlier_ones_one_by_one() -> None:
    """Class, recipe, override, variant, its own entry and override, chosen rate, --set, the row's name."""
    recipe = replace(
        BARE,
        methods={**BARE.methods, "sgpo-no-ref": {"beta": 0.3}},
        overrides={"llama": {"sgpo": {"rounds": 2}, "sgpo-no-ref": {"training": {"epochs": 2}}}},
    )
    found = settings(recipe, "sgpo-no-ref")
    assert (found.rounds, found.reference_in_refining, found.loss.beta, found.training.epochs) == (2, False, 0.3, 2)
    assert settings(recipe, "sgpo-no-ref", "qwen").rounds == 1
    changes = {"sgpo": {"beta": 0.7, "rounds": 3, "reference_in_refining": True}, "sgpo-no-ref": {"rounds": 4}}
    asked = replace(recipe, changes={"methods": changes})
    found = settings(asked, "sgpo-no-ref")
    assert (found.loss.beta, found.rounds) == (0.7, 4)
    assert not found.reference_in_refining  # what makes the variant is not undone
    assert settings(asked, "sgpo-no-ref:rounds=5:beta=1").rounds == 5
    assert settings(asked, "sgpo-no-ref:reference_in_refining=true").reference_in_refining


def test_a_setting_can_go_by_its_last_part_alone() -> None:
    own = settings(MINI, "dpo:beta=0.3:epochs=2")
    assert own == settings(MINI, "dpo:loss.beta=0.3:training.epochs=2")
    assert (own.loss, own.training.epochs) == (Dpo(beta=0.3), 2)


def test_a_last_part_that_two_groups_have_is_none() -> None:
    """Of SGPO's two trainings."""
    with pytest.raises(UserError, match=r"unknown key 'epochs' .known: .*improver.*training"):
        settings(MINI, "sgpo:epochs=2")


def test_another_kind_of_loss_has_nothing_of_the_one_before() -> None:
    for changes in (
        ["methods.dpo.loss={kind: simpo, beta: 2.0, gamma: 1.0}"],
        ["methods.dpo.loss={kind: ipo, beta: 0.2}"],
    ):
        changed = settings(load_recipe("mini", changes=changes), "dpo")
        assert changed.loss in (SimPo(beta=2.0, gamma=1.0), Ipo(beta=0.2))
        assert changed.training == settings(MINI, "dpo").training
    with pytest.raises(UserError, match="loss: missing key 'gamma'"):
        settings(load_recipe("mini", changes=["methods.dpo.loss={kind: simpo, beta: 2.0}"]), "dpo")
    with pytest.raises(UserError, match="did you mean 'simpo'"):
        settings(load_recipe("mini", changes=["methods.dpo.loss.kind=simp"]), "dpo")


def test_a_chosen_rate_gives_way_to_what_the_user_sets() -> None:
    chosen = settings(MINI, "sgpo").training.learning_rate
    assert chosen != settings(BARE, "sgpo").training.learning_rate
    asked = load_recipe("mini", changes=["methods.sgpo.training.learning_rate=1e-4"])
    for row, rate in {"sgpo": 1e-4, "sgpo-unshared": 1e-4, "sgpo:training.learning_rate=2e-4": 2e-4}.items():
        assert settings(asked, row).training.learning_rate == rate
    assert settings(asked, "dpo") == settings(MINI, "dpo")


def test_what_is_set_takes_effect_and_is_on_record() -> None:
    texts = ["methods.sft.training.epochs=1", "sampling.temperature=0.5", "data.preference_data.size=7"]
    recipe = load_recipe("mini", changes=texts)
    assert [f"{path}={value}" for path, value in leaves(recipe.changes)] == texts
    assert (recipe.sampling.temperature, recipe.data["preference_data"].size) == (0.5, 7)
    assert settings(recipe, "sft").training.epochs == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("methods.dpo.bta=1", "--set methods.dpo: unknown key 'bta' .known: loss, start, training"),
        ("methods.dpo.loss.bta=1", "--set methods.dpo: loss: unknown key 'bta'; did you mean 'beta'"),
        ("methods.dop.beta=1", "unknown method to --set in .*: 'dop'; did you mean 'dpo'"),
        ("methods.dpo.beta=-1", "--set methods.dpo: loss: beta must be above 0"),
        ("methods.sgpo.training.learning_rate=0", "training.learning_rate must be above 0"),
        ("method.dpo.beta=1", "unknown part of a recipe to --set: 'method'; did you mean 'methods'"),
        ("methods.dpo=3", "write a setting as in methods.dpo.beta=0.1"),
        ("methods.dpo.beta", "write a setting as in methods.dpo.beta=0.1, not 'methods.dpo.beta'"),
        ("methods..beta=1", "write a setting as in"),
        ("methods.dpo.beta=[", "--set: cannot read '\\['"),
        ("data.demonstrations.size=0", "--set: data.demonstrations: size must be 1 or more, not 0"),
        ("data.demonstrations.size=-5", "--set: data.demonstrations: size must be 1 or more, not -5"),
        ("sampling.temprature=1", "--set: sampling: unknown key 'temprature'; did you mean 'temperature'"),
    ],
)
def test_a_setting_that_there_is_not_is_one_line(harness: Harness, text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as raised:
        load_recipe("mini", changes=[text])
    assert "\n" not in str(raised.value)


def test_a_recipe_need_not_fill_what_its_methods_do_not_need(write: Write, harness: Harness) -> None:
    """Neither a teacher nor improver data: a paper without them; the doctor looks at what the run uses."""
    methods = {name: MINI.methods[name] for name in ("sft", "dpo")}
    data = {name: {"reference": f"mini:{name}", "size": 20} for name in ("demonstrations", "preference_data")}
    data["preference_data"]["kind"] = "pairs"
    sizes = {name: size for name, size in MINI.fast.sizes.items() if name != "improver_data"}
    fast = {"base_models": ["llama"], "sizes": sizes}
    own = write(methods=methods, models=None, data=data, fast=fast)
    recipe = load_recipe(own)
    assert (recipe.paper, recipe.name, recipe.models, list(recipe.data)) == ("sgpo", "mine", {}, list(data))
    assert harness("plan", "table3", "--recipe", own, "--methods", "sft,dpo").exit_code == 0
    outcome = harness("doctor", "table3", "--recipe", own, "--methods", "sft,dpo", "--models", "llama", "--limit", "16")
    assert outcome.exit_code == 0, outcome
    refused = harness("plan", "table3", "--recipe", own, "--methods", "sgpo")
    assert refused.err == "error: mine.yaml: methods.sgpo: missing key 'loss'\n"


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"models": None}, "unknown model role in mine.yaml, which sgpo needs: 'teacher' .known: none"),
        ({"models": {"teachr": "mini:teacher"}}, "which sgpo needs: 'teacher'; did you mean 'teachr'"),
        ({"methods": {"sfft": {}}}, "unknown method 'sfft'; did you mean 'sft'"),
        ({"methods": {"mine": {"method": "dop"}}}, "unknown method 'dop'; did you mean 'dpo'"),
        ({"methods": {"dpo": {"loss": {"kind": "dpo", "beta": 1}}}}, "mine.yaml: methods.dpo: missing key 'training'"),
        ({"methods": {"sft": {"method": "dpo"}}}, "methods.sft is a registered method; give"),
        ({"overrides": {"lama": {}}}, "unknown model with overrides in mine.yaml: 'lama'; did you mean 'llama'"),
        ({"overrides": {"llama": {"dop": {}}}}, "unknown method with overrides in mine.yaml: 'dop'"),
        ({"overrides": {"llama": {"dpo": {"bta": 1}}}}, "mine.yaml: methods.dpo: unknown key 'bta'"),
        ({"prompts": None}, "which sgpo needs: 'target' .known: none"),
        ({"machine": "two-core"}, "unknown machine 'two-core'; did you mean 'two-cores'. .known: node-8x80gb, two-c"),
        ({"where": "here"}, "unknown key 'where'"),
        (
            {"benches": {"arena_hard": {"baselines": {"reference": "mini:arena_hard", "size": -3}}}},
            "mine.yaml: benches.arena_hard: baselines: size must be 1 or more, not -3",
        ),
        (
            {"fast": {"base_models": ["llama"], "sizes": {"arena_hard": 0}}},
            "mine.yaml: fast: the size of arena_hard must be 1 or more, not 0",
        ),
    ],
)
def test_a_recipe_that_lacks_something_says_so_when_it_is_read(write: Write, parts: Any, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        load_recipe(write(**parts))


def test_a_recipe_without_base_models_has_none_for_a_table(write: Write, harness: Harness) -> None:
    own = write(base_models={}, overrides={}, fast={"base_models": [], "sizes": dict(MINI.fast.sizes)})
    refused = harness("plan", "table3", "--recipe", own)
    assert (refused.exit_code, refused.err) == (
        2,
        "error: the scale mine of sgpo has no model for table3, which is on qwen, llama; choose another scale\n",
    )


def test_a_recipe_can_make_a_baseline_of_a_method(write: Write) -> None:
    gentle = {"method": "dpo", "beta": 0.5, "summary": "DPO with a larger β"}
    recipe = load_recipe(write(methods={**MINI.methods, "dpo-gentle": gentle}))
    assert settings(recipe, "dpo-gentle") == replace(settings(recipe, "dpo"), loss=Dpo(beta=0.5))
    assert settings(recipe, "dpo-gentle:beta=0.6").loss == Dpo(beta=0.6)
    assert recipe.card("dpo-gentle").summary == "DPO with a larger β"
    assert recipe.card("dpo-gentle").section == recipe.card("dpo").section
    assert recipe.inputs("llama", 0).checkpoint("dpo-gentle").step == "train_preferences"
    asked = load_recipe("./mine.yaml", changes=["methods.dpo.beta=0.9", "methods.dpo.training.epochs=2"])
    assert (settings(asked, "dpo-gentle").loss.beta, settings(asked, "dpo-gentle").training.epochs) == (0.5, 2)


def test_a_setting_can_be_named_by_its_last_part_where_one_group_alone_has_it() -> None:
    recipe = load_recipe("mini")
    assert settings(recipe, "dpo:max_prompt_length=100").training.max_prompt_length == 100
    assert settings(recipe, "dpo:label_smoothing=0.1").loss == Dpo(beta=0.01, label_smoothing=0.1)
    assert settings(recipe, "dpo:loss.kind=orpo:weight=0.1").loss == Orpo(weight=0.1)
    with pytest.raises(UserError, match="unknown key 'epochs'"):  # of the improver, or of the last stage
        settings(recipe, "sgpo:epochs=2")


def test_a_base_model_can_have_other_data_in_a_role(write: Write) -> None:
    others = {"second": {"reference": "mini:summary_pairs", "size": 9, "kind": "pairs"}}
    fast = {**read_yaml(CONFIGS / "papers/sgpo/recipes/mini.yaml")["fast"]}
    fast["sizes"] = {**fast["sizes"], "second": 4}
    own = {"data": {**_encoded_data(), **others}, "fast": fast}
    recipe = load_recipe(write(**own, roles={"qwen": {"preference_data": "second"}}))
    pairs = {model: recipe.inputs(model, 0).data("preference_data").params for model in ("qwen", "llama")}
    assert (pairs["qwen"]["reference"], pairs["qwen"]["size"]) == ("mini:summary_pairs", 9)
    assert pairs["llama"]["reference"] == "mini:preference_data"
    for roles, said in (
        ({"qwan": {"preference_data": "second"}}, "unknown model with roles in mine.yaml: 'qwan'"),
        ({"qwen": {"preference_data": "secnd"}}, "unknown role in mine.yaml: 'secnd'; did you mean 'second'"),
    ):
        with pytest.raises(UserError, match=said):
            load_recipe(write(**own, roles=roles))


def _encoded_data() -> dict[str, Any]:
    data: dict[str, Any] = read_yaml(CONFIGS / "papers/sgpo/recipes/mini.yaml")["data"]
    return data


def test_a_machine_can_be_a_file(write: Write) -> None:
    Path("node.yaml").write_text("processes: 2\n")
    assert load_recipe(write(machine="./node.yaml")).compute.processes == 2


def test_prompts_can_be_a_file(write: Write) -> None:
    Path("prompts.yaml").write_text('methods: {revision: "improve {example} for {request}"}\n')
    only_dpo = {name: MINI.methods[name] for name in ("sft", "dpo")}
    recipe = load_recipe(write(prompts="./prompts.yaml", methods=only_dpo))
    assert recipe.inputs("llama", 0).prompt("revision") == "improve {example} for {request}"


def test_what_another_teacher_would_replace_must_be_there(harness: Harness, write: Write) -> None:
    methods = {name: MINI.methods[name] for name in ("sft", "dpo")}
    own = write(methods=methods, models=None)
    refused = harness("plan", "table3", "--recipe", own, "--methods", "sft", "--teacher", "openai:gpt-4o")
    assert refused.err == "error: mine.yaml has no teacher that --teacher could replace\n"


def test_a_row_is_a_method_and_its_settings() -> None:
    assert split_row("sgpo") == ("sgpo", {})
    row = "sgpo:training.learning_rate=1e-4:training.epochs=2:chosen=reference:share_parameters=false"
    training = {"learning_rate": 1e-4, "epochs": 2}
    assert split_row(row) == ("sgpo", {"training": training, "chosen": "reference", "share_parameters": False})


def test_nested_settings_are_merged_and_taken_apart() -> None:
    inner = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(inner, {"a": {"b": 4}, "e": 5}) == {"a": {"b": 4, "c": 2}, "d": 3, "e": 5}
    assert inner == {"a": {"b": 1, "c": 2}, "d": 3}
    assert without(inner, {"a": {"b": 0}, "d": 0}) == {"a": {"c": 2}}
    assert nested(["a.b=1", "a.c=2", "d=3"], "", "") == inner
