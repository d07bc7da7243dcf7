"""What trainings ask for by their settings is looked for before the first of them."""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from harness.preflight.check import Check
from harness.preflight.context import PreflightContext
from harness.preflight.settings import settings_checks
from harness.recipes.recipe import Recipe
from harness.run import options
from harness.steps.data import first_responses
from harness.steps.train import optimize_preferences, train_sft
from harness.training import trainer
from harness.training.losses import Dpo, PreferenceLoss, Srpo
from harness.training.settings import TrainingSettings
from tests.command import Harness
from tests.preflight.conftest import MakeContext, by_name, llama_in
from tests.tiny_harness import load_tiny_recipe

SETTINGS = TrainingSettings(1e-5, epochs=1, global_batch_size=8, max_length=256)
METHODS = ("table3", "--methods", "sft,dpo")


@pytest.fixture
def tiny_command(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """The command with small counts."""
    monkeypatch.setattr(options, "load_recipe", load_tiny_recipe)
    return harness


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            "methods.dpo.training.optimizer=adamw_8bit",
            "settings for llama: optimizer: adamw_8bit needs the package bitsandbytes: pip install",
            marks=pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="it is installed"),
        ),
        (
            "methods.dpo.training.lora={target_modules: [q_proj, c_attn]}",
            "settings for llama: lora: LlamaForCausalLM has no modules that adapters can be put on called c_attn; name",
        ),
        (
            "methods.dpo.training.max_prompt_length=20",
            "prompts of preference_data for llama: 7 of 32 are longer than max_prompt_length of DPO, 20 tokens; the",
        ),
    ],
    ids=["package", "modules", "prompt length"],
)
def test_a_run_that_would_fail_later_is_stopped_before_anything_is_made(
    tiny_command: Harness, change: str, says: str
) -> None:
    outcome = tiny_command("reproduce", *METHODS, "--set", change)
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert says in outcome.err.splitlines()[-1]
    assert not list(Path("runs").glob("*/store/*/*/artifact.json"))


def test_doctor_shows_the_same(tiny_command: Harness) -> None:
    change = "methods.dpo.training.max_prompt_length=20"
    outcome = tiny_command("doctor", *METHODS, "--set", change)
    assert outcome.exit_code == 2
    [failure] = [line for line in outcome.out.splitlines() if line.startswith("failure")]
    assert failure.startswith("failure  prompts of preference_data for llama: 7 of 32 are longer than")
    assert "ok       settings for llama: packages, modules for adapters and prompts are there" in outcome.out


def test_a_missing_peft_is_said_where_the_run_trains(
    make_context: MakeContext, tiny: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "find_spec", lambda name: None if name == "peft" else object())
    context = make_context(changes={"methods": {"dpo": {"training": {"lora": {"rank": 4}}}}})
    assert "lora needs the package peft: pip install peft" in checked(context)["settings for llama"].detail
    elsewhere = make_context(
        changes={"methods": {"dpo": {"training": {"lora": {"rank": 4}}}}}, compute=replace(tiny.compute, executor="ray")
    )
    assert checked(elsewhere)["settings for llama"].state == "ok"  # of nodes it is not known


def checked(context: PreflightContext) -> dict[str, Check]:
    return by_name(settings_checks(context))


def of_loss(context: PreflightContext, loss: PreferenceLoss, prompt: str, **settings: Any) -> PreflightContext:
    """A run of one preference stage alone."""
    policy = context.base("llama")
    stage = optimize_preferences(
        policy=policy,
        reference=policy,
        pairs=context.recipe.data["preference_data"].artifact(),
        loss=loss,
        settings=replace(SETTINGS, **settings),
        seed=0,
        revision_prompt=prompt,
    )
    return replace(context, targets=(stage,))


@pytest.mark.parametrize("prompt", ["", "improve {example}", "{request} {example} {reference}", "{request} {example"])
def test_a_loss_that_shows_drafts_needs_a_prompt_that_does(make_context: MakeContext, prompt: str) -> None:
    found = checked(of_loss(make_context(), Srpo(beta=0.1, alpha=0.5), prompt))["settings for llama"]
    assert found.state == "failure"
    assert "it needs the fields {request} and {example} and no other (revision in the recipe's prompts)" in found.detail
    assert checked(of_loss(make_context(), Dpo(beta=0.1), prompt))["settings for llama"].state == "ok"


def test_prompts_with_drafts_are_the_longest(make_context: MakeContext) -> None:
    loss, prompt = Srpo(beta=0.1, alpha=0.5), "request : {request} draft : {example}"
    plain, drafts = (
        checked(of_loss(make_context(), each, prompt, max_prompt_length=25)) for each in (Dpo(beta=0.1), loss)
    )
    assert plain["prompts of preference_data for llama"].state == "ok"
    assert drafts["prompts of preference_data for llama"].state == "failure"


def test_prompts_that_a_stage_may_not_see_are_warned_of(make_context: MakeContext) -> None:
    context = make_context()
    first = first_responses(responses=context.recipe.data["demonstrations"].artifact(), size=2)
    settings = replace(SETTINGS, max_prompt_length=5)
    stage = train_sft(model=context.base("llama"), examples=first, settings=settings, seed=0)
    found = checked(replace(context, targets=(stage,)))["prompts of demonstrations for llama"]
    assert found.state == "warning" and "of 48 are longer than" in found.detail


def test_prompts_that_the_model_answers_itself_are_the_datas(make_context: MakeContext) -> None:
    changes = {"methods": {"spin": {"training": {"max_prompt_length": 20}}}}
    assert checked(make_context(("spin",), changes=changes))["prompts of preference_data for llama"].state == "failure"


def test_prompts_of_a_template_are_not_the_datas(make_context: MakeContext) -> None:
    changes = {"methods": {"sgpo": {"improver": {"max_prompt_length": 5}}}}
    assert set(checked(make_context(("sgpo",), changes=changes))) == {"settings for llama"}


def test_a_model_that_pairs_cannot_be_scored_with_is_found(
    make_context: MakeContext, broken_model: Callable[..., Path]
) -> None:
    folder = broken_model(config={"model_type": "gemma2", "head_dim": 16, "final_logit_softcapping": 30.0})
    found = checked(make_context(base_models=llama_in(folder)))["settings for llama"]
    assert found.state == "failure"
    assert "cannot train Gemma2ForCausalLM on pairs: it changes logits after its output layer" in found.detail
