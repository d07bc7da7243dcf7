import math
from dataclasses import replace
from typing import Any

import pytest
from safetensors.torch import load_file

from harness.engine.artifacts import Artifact, ancestry
from harness.engine.compute import Compute
from harness.engine.store import Store
from harness.errors import UserError
from harness.mini.language import read_fields
from harness.mini.roles import read_role
from harness.recipes.loading import load_recipe
from harness.records import Message, PreferencePair, Prompt, Response, read_rows
from harness.steps import train
from harness.steps.data import data, model
from harness.steps.train import (
    improver_examples,
    optimize_preferences,
    reference_log_probabilities,
    train_sft,
)
from harness.training.job import CURVES, TrainingStep
from harness.training.losses import Dpo, Ipo, PreferenceLoss, SimPo
from harness.training.rows import ReferenceLogProbabilities
from harness.training.settings import TrainingSettings
from tests.steps.given import answers, given_responses, made

PROMPTS = load_recipe("mini").prompt_set().methods
BRIEF = TrainingSettings(learning_rate=1e-3, epochs=1, global_batch_size=4, max_length=256, warmup_share=0.1)
DPO = Dpo(beta=0.5)


def test_the_improver_learns_each_kept_target_from_request_and_draft(store: Store) -> None:
    drafts = answers({"a": "draft a", "b": "draft b", "c": "draft c"}, "policy")
    improved = answers({"c": "better c", "a": "better a"}, "teacher")
    direct = answers({"b": "direct b", "a": "direct a"}, "teacher")
    template = "{request} | {draft} | improve"
    examples = made(store, improver_examples(template=template, drafts=drafts, targets=[improved, direct]))
    rows = examples.rows(Response)
    assert [(row.prompt.text, row.text) for row in rows] == [
        ("prompt c | draft c | improve", "better c"),
        ("prompt a | draft a | improve", "better a"),
        ("prompt b | draft b | improve", "direct b"),
        ("prompt a | draft a | improve", "direct a"),
    ]
    assert len({row.prompt.id for row in rows}) == 4
    assert store.record(examples)["counts"]["improver_examples"] == 4


def test_the_improver_is_told_which_targets_were_cut_off(store: Store) -> None:
    targets = given_responses(
        rows=tuple(
            Response(Prompt(id, f"prompt {id}"), "better", "teacher", finish_reason=reason)
            for id, reason in (("a", "length"), ("b", "stop"))
        )
    )
    drafts = answers({"a": "draft a", "b": "draft b"}, "policy")
    examples = made(store, improver_examples(template="{request} | {draft}", drafts=drafts, targets=[targets]))
    assert [row.finish_reason for row in examples.rows(Response)] == ["length", "stop"]
    assert store.record(examples)["counts"]["cut_off"] == 1


def test_the_improver_learns_after_the_turns_that_draft_and_target_were_made_after(store: Store) -> None:
    before = (Message("user", "hello"), Message("assistant", "yes?"))
    drafts, targets = (
        given_responses(
            rows=(
                Response(Prompt("a", "and now?", before), f"{kind} a", kind),
                Response(Prompt("b", "and then?"), f"{kind} b", kind),
            )
        )
        for kind in ("draft", "target")
    )
    rows = made(
        store, improver_examples(template="{request} | {draft}", drafts=drafts, targets=[targets, targets])
    ).rows(Response)
    assert [(row.prompt.history, row.prompt.text) for row in rows] == [
        (before, "and now? | draft a"),
        ((), "and then? | draft b"),
    ] * 2


def test_the_improver_is_never_shown_the_reference(store: Store) -> None:
    """Eq. 4, with the prompts of the mini world over real rows; Eq. 5's prompt does show it."""
    references = [row for row in read_role("improver_data", 40) if isinstance(row, Response)]
    drafts = tuple(Response(row.prompt, "its color is red .", "policy") for row in references)
    targets = tuple(Response(row.prompt, "its color is blue .", "teacher") for row in references)
    examples = improver_examples(
        template=PROMPTS["training"], drafts=given_responses(rows=drafts), targets=[given_responses(rows=targets)]
    )
    rows = made(store, examples).rows(Response)
    assert len(rows) == 40
    for row, reference in zip(rows, references, strict=True):
        assert reference.text not in row.prompt.text
        assert read_fields(row.prompt.text) == {
            "request": reference.prompt.text,
            "draft": "its color is red .",
            "task": "improve the draft .",
        }
    assert "{reference}" not in PROMPTS["training"]
    assert "{reference}" in PROMPTS["refining"] and "{reference}" in PROMPTS["target"]


def test_training_steps_leave_a_checkpoint_that_the_next_one_starts_from(store: Store) -> None:
    base = model("mini:qwen2")
    policy = train_sft(model=base, examples=data("mini:demonstrations", 8), settings=BRIEF, seed=0)
    pairs = data("mini:preference_data", 8)
    trained = optimize_preferences(policy=policy, reference=policy, pairs=pairs, loss=DPO, settings=BRIEF, seed=0)
    folders = [made(store, policy).folder, made(store, trained).folder]
    first, second = (load_file(folder / "model.safetensors") for folder in folders)
    assert first.keys() == second.keys()
    assert any(bool((first[name] != second[name]).any()) for name in first)


def test_the_last_metrics_are_kept_beside_the_checkpoint(store: Store) -> None:
    settings = TrainingSettings(learning_rate=1e-3, epochs=5, global_batch_size=4, max_length=256, warmup_share=0.1)
    examples = data("mini:demonstrations", 8)
    trained = made(store, train_sft(model=model("mini:llama"), examples=examples, settings=settings, seed=0))
    counts = store.record(trained)["counts"]
    assert counts["step"] == 10
    assert 0 < counts["loss"] < 5


@pytest.mark.parametrize("change", ["seed", "settings"])
def test_seed_and_settings_are_part_of_a_checkpoints_identity(change: str) -> None:
    arguments = {"model": model("mini:llama"), "examples": data("mini:demonstrations", 8), "settings": BRIEF, "seed": 0}
    other = {**arguments, change: {"seed": 1, "settings": TrainingSettings(1e-4, 1, 4, 256, 0.1)}[change]}
    assert train_sft(**arguments).key != train_sft(**other).key  # type: ignore[arg-type]


def test_losses_and_what_was_cut_are_kept_and_nothing_of_the_way(store: Store) -> None:
    examples = data("mini:demonstrations", 8)
    settings = TrainingSettings(learning_rate=1e-3, epochs=1, global_batch_size=4, max_length=30, warmup_share=0.1)
    training = train_sft(model=model("mini:llama"), examples=examples, settings=settings, seed=0)
    for artifact in ancestry([training]):
        store.build(artifact, compute=Compute(micro_batch_size=2, save_every=1))
    trained = store.bind(training)
    counts = store.record(trained)["counts"]
    assert counts["truncated_rows"] + counts["closed_rows"] == 8
    assert counts["truncated_rows"] > 0
    assert counts["dropped_rows"] == 0
    assert [row.step for row in read_rows(trained.folder / CURVES, TrainingStep)] == [1, 2]
    assert not any(path.is_dir() for path in trained.folder.iterdir())


def test_what_a_machine_gives_is_no_part_of_a_key_and_is_checked(store: Store) -> None:
    policy = model("mini:llama")
    training = train_sft(model=policy, examples=data("mini:demonstrations", 8), settings=BRIEF, seed=0)
    for artifact in training.parents():
        store.build(artifact)
    for compute in (Compute(micro_batch_size=3), Compute(processes=3), Compute(accelerate="fdsp")):
        with pytest.raises(UserError, match=r"1, 2 or 4|did you mean 'fsdp'|one process, not 3"):
            store.build(training, compute=compute)
    assert store.build(training, compute=Compute(micro_batch_size=2))


def test_methods_with_the_same_reference_and_pairs_share_its_log_probabilities() -> None:
    policy, pairs = model("mini:llama"), data("mini:preference_data", 8)

    def references(loss: PreferenceLoss = DPO, seed: int = 0, **changes: Any) -> Any:
        settings = replace(BRIEF, **changes)
        return optimize_preferences(
            policy=policy, reference=policy, pairs=pairs, loss=loss, settings=settings, seed=seed
        ).inputs.get("references")

    assert (
        references()
        == references(Dpo(beta=0.01))
        == references(Ipo(beta=0.1))
        == references(seed=1)
        == references(learning_rate=1e-5, epochs=3)
    )
    assert references() != references(max_length=30)
    assert references(SimPo(beta=2.0, gamma=1.0)) is None


def test_a_policy_that_is_its_own_reference_scores_the_pairs_itself_in_half_precision(store: Store) -> None:
    pairs, half = data("mini:preference_data", 8), replace(BRIEF, precision="bfloat16")
    policy, other = model("mini:llama"), model("mini:qwen2")
    own = optimize_preferences(policy=policy, reference=policy, pairs=pairs, loss=DPO, settings=half, seed=0)
    assert own.inputs["references"] == policy
    trained = made(store, own)
    assert read_rows(trained.folder / CURVES, TrainingStep)[0].loss == pytest.approx(math.log(2), abs=1e-6)
    apart = optimize_preferences(policy=policy, reference=other, pairs=pairs, loss=DPO, settings=half, seed=0)
    scored = apart.inputs["references"]
    assert isinstance(scored, Artifact)
    assert (scored.step, scored.inputs["model"]) == ("reference_log_probabilities", other)


def test_a_killed_reference_goes_on_and_asks_no_pair_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.training.reference import ReferenceScorer

    step = reference_log_probabilities(
        model=model("mini:llama"), pairs=data("mini:preference_data", 10), max_length=256, precision="float32"
    )
    for artifact in step.parents():
        store.build(artifact)
    monkeypatch.setattr(train, "PAIRS", 4)
    asked: list[int] = []
    genuine = ReferenceScorer.log_probabilities

    def until_killed(references: ReferenceScorer, pairs: Any) -> Any:
        asked.append(len(pairs))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return genuine(references, pairs)

    monkeypatch.setattr(ReferenceScorer, "log_probabilities", until_killed)
    with pytest.raises(KeyboardInterrupt):
        store.build(step)
    assert store.build(step)
    assert asked == [4, 4, 4, 2]
    made, [pairs] = store.bind(step), [store.bind(each) for each in step.parents() if each.step == "load_data"]
    of_pairs = {row.prompt.id for row in pairs.rows(PreferencePair)}
    assert {row.prompt_id for row in made.rows(ReferenceLogProbabilities)} == of_pairs
