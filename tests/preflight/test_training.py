"""The arithmetic of training: right as it is, and found where it is not."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engine.compute import Compute
from harness.mini.roles import read_role
from harness.models.memory import GIB
from harness.models.references import checkpoint_folder
from harness.preflight.machine import LocalMachine
from harness.preflight.training import (
    check_first_loss,
    check_gradients,
    spread_by_length,
    training_checks,
)
from harness.records import PreferencePair, Response
from harness.training import sft
from harness.training.reference import ReferenceScorer
from harness.training.rows import UNSCORED, ReferenceLogProbabilities
from harness.training.settings import Lora, TrainingSettings
from tests.preflight.conftest import MakeContext, by_name, llama_in

LLAMA = checkpoint_folder("mini:llama")
SFT = TrainingSettings(5e-4, 3, 32, 256, 0.1)
ROOMY = LocalMachine(processors=2, memory=64 * GIB, free_memory=60 * GIB)
EMPTY_HANDED = LocalMachine(processors=2, memory=64 * GIB, free_memory=GIB)


def pairs() -> list[PreferencePair]:
    return [row for row in read_role("preference_data", 4) if isinstance(row, PreferencePair)]


def answers() -> list[Response]:
    return spread_by_length([row for row in read_role("demonstrations", 40) if isinstance(row, Response)])


def test_the_packaged_model_starts_at_ln_2_and_does_not_mind_how_a_batch_is_taken(make_context: MakeContext) -> None:
    found = by_name(training_checks(make_context(), ROOMY))
    assert {name: check.state for name, check in found.items()} == {
        "first DPO loss of llama": "ok",
        "gradient of llama": "ok",
    }
    assert "0.693147 with the policy as its reference" in found["first DPO loss of llama"].detail
    assert "0.001 allowed" in found["gradient of llama"].detail


@pytest.mark.parametrize("method", ["sft", "improver"])
def test_a_run_without_pairs_has_its_gradient_looked_at_alone(make_context: MakeContext, method: str) -> None:
    checks = list(training_checks(make_context((method,)), ROOMY))
    assert [(check.what, check.state) for check in checks] == [("gradient of llama", "ok")]


def test_what_was_tried_in_one_process_alone_says_so(make_context: MakeContext) -> None:
    context = make_context(compute=Compute(accelerate="fsdp", processes=8))
    for machine, said in ((replace(ROOMY, gpus=(60 * GIB,) * 8), True), (ROOMY, False)):
        for check in training_checks(context, machine):
            assert ("tried in one process, the run trains in 8" in check.detail) is said


def test_another_reference_than_the_policy_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    right = ReferenceScorer.log_probabilities

    def off(self: ReferenceScorer, rows: Any) -> list[ReferenceLogProbabilities]:
        scored = ((row.prompt_id, *row.sums) for row in right(self, rows))
        return [ReferenceLogProbabilities(name, (chosen + 1, rejected)) for name, chosen, rejected in scored]

    monkeypatch.setattr(ReferenceScorer, "log_probabilities", off)
    found = check_first_loss("llama", LLAMA, pairs(), SFT)
    assert found.state == "failure"
    expected = math.log(1 + math.exp(1.0))  # -log sigmoid(-β), with the check's β of 1
    assert found.detail.startswith(f"{expected:.6f} with the policy as its reference")


def test_a_gradient_that_depends_on_the_micro_batch_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each forward pass weighs the same, however few tokens it has: the mean of means."""
    make = sft.sft_trainer

    def of_means(job: Any, rows: Any) -> Any:
        trainer = make(job, rows)
        right = trainer.compute_loss

        def compute_loss(model: Any, inputs: Any, *_: Any, **__: Any) -> torch.Tensor:
            own = (inputs["labels"] != UNSCORED).sum()
            loss: torch.Tensor = right(model, inputs, num_items_in_batch=own)
            return loss / job.spread.accumulation

        trainer.compute_loss = compute_loss
        return trainer

    monkeypatch.setattr(sft, "sft_trainer", of_means)
    found = check_gradients("llama", LLAMA, answers(), SFT)
    assert found.state == "failure"
    assert "0.001 allowed: leave out --micro-batch-size" in found.detail


def test_the_rows_are_of_unlike_length() -> None:
    lengths = [len(row.text) for row in answers()]
    assert lengths == sorted(lengths) and lengths[-1] > 1.5 * lengths[0]
    assert spread_by_length([]) == []


def test_a_model_too_large_for_a_look_is_not_tried_and_the_reason_said(make_context: MakeContext) -> None:
    [found] = training_checks(make_context(), EMPTY_HANDED)
    assert (found.state, found.what) == ("warning", "training of llama")
    assert "not tried: 1 GiB of 1 GiB that are free is too much for a check" in found.detail


def test_a_model_that_is_not_there_is_not_tried(make_context: MakeContext) -> None:
    [found] = training_checks(make_context(base_models=llama_in("no/such/folder")), ROOMY)
    assert found.state == "warning"
    assert found.detail == "not tried: no/such/folder is not available"


def test_a_model_that_cannot_be_trained_is_a_failure(
    make_context: MakeContext, broken_model: Callable[..., Path]
) -> None:
    context = make_context(base_models=llama_in(broken_model(config={"hidden_size": 48})))
    [found] = training_checks(context, ROOMY)
    assert (found.state, found.what) == ("failure", "training of llama")
    assert "cannot load the model" in found.detail


def test_dropout_of_adapters_and_a_bound_on_prompts_do_not_disturb_the_checks() -> None:
    """The rows are cut below the prompts that a run allows, and chance in adapters is no fault of the gradient."""
    settings = replace(SFT, max_length=500, max_prompt_length=300, lora=Lora(rank=4, dropout=0.5))
    assert check_first_loss("llama", LLAMA, pairs(), settings).state == "ok"
    assert check_gradients("llama", LLAMA, answers(), settings).state == "ok"
