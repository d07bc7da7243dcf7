"""Learning rates and weight decay, by the formulas that settings name."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import UserError
from harness.training.losses import SimPo
from harness.training.preferences import run_preferences
from harness.training.settings import LearningRateSchedule, Lora, TrainingSettings
from harness.training.sft import run_sft
from tests.training.helpers import curves, examples, preferences, untracked, weights_of

STEPS = 8
PEAK = 1e-5
SETTINGS = TrainingSettings(PEAK, epochs=STEPS, global_batch_size=1, max_length=256)
"""One pair, `STEPS` times."""


def share_of_peak(settings: TrainingSettings, step: int, warmup: int) -> float:
    """Of the learning rate in the optimizer step after `step` others."""
    if step < warmup:
        return step / warmup
    done = (step - warmup) / (STEPS - warmup)
    floor = settings.final_rate_share
    return {
        "cosine": floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2,
        "linear": 1 - done,
        "constant": 1.0,
        "inverse_sqrt": math.sqrt(warmup / step) if step else 1.0,
    }[settings.schedule]


@pytest.mark.parametrize(
    ("schedule", "given", "warmup"),
    [
        ("cosine", {"warmup_share": 0.25}, 2),
        ("cosine", {"warmup_share": 0.25, "final_rate_share": 0.1}, 2),
        ("cosine", {}, 0),
        ("linear", {"warmup_share": 0.25}, 2),
        ("constant", {"warmup_steps": 3}, 3),
        ("constant", {}, 0),
        ("inverse_sqrt", {"warmup_steps": 3}, 3),
    ],
)
def test_the_learning_rate_of_each_step(
    schedule: LearningRateSchedule, given: dict[str, Any], warmup: int, base: Path, tmp_path: Path
) -> None:
    """Without a warm-up, the first step has the whole rate."""
    settings = replace(SETTINGS, schedule=schedule, **given)
    rates = rates_of(settings, base, tmp_path)
    assert rates == pytest.approx([PEAK * share_of_peak(settings, step, warmup) for step in range(STEPS)])


def rates_of(settings: TrainingSettings, base: Path, out: Path) -> list[float | None]:
    loss, pairs = SimPo(beta=2.0, gamma=1.0), preferences()[:1]
    run_preferences(base, pairs, None, loss, settings, seed=0, out=out, track=untracked)
    return [step.learning_rate for step in curves(out)]


def test_weight_decay_takes_its_share_of_matrices_alone(base: Path, tmp_path: Path) -> None:
    """Decoupled (Loshchilov and Hutter 2019): one step takes rate x decay of each weight, whatever its gradient."""
    one_step = replace(SETTINGS, learning_rate=1e-2, epochs=1, global_batch_size=10)
    for name, decay in {"without": 0.0, "with": 0.5}.items():
        run_sft(base, examples(), replace(one_step, weight_decay=decay), seed=0, out=tmp_path / name, track=untracked)
    before, without, decayed = weights_of(base), weights_of(tmp_path / "without"), weights_of(tmp_path / "with")
    for name, weights in before.items():
        lost = 0.0 if weights.dim() == 1 else 1e-2 * 0.5  # norms have one dimension
        assert torch.allclose(decayed[name], without[name] - lost * weights, atol=1e-6), name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weight_decay": -0.1}, "weight_decay must not be negative, but is -0.1"),
        ({"warmup_steps": -1}, "warmup_steps must not be negative, but is -1"),
        ({"warmup_steps": 3, "warmup_share": 0.1}, "give warmup_share or warmup_steps, not both"),
        ({"final_rate_share": 1.5}, "final_rate_share is a share of the learning rate, not 1.5"),
        ({"final_rate_share": 0.1, "schedule": "linear"}, "final_rate_share is where a cosine ends; .* is linear"),
        ({"max_prompt_length": 256}, "max_prompt_length must be from 1 to below max_length, 256: not 256"),
        ({"max_prompt_length": 0}, "max_prompt_length must be from 1 to below max_length, 256: not 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(SETTINGS, **change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rank": 0}, "rank of lora must be 1 or more, not 0"),
        ({"alpha": 0}, "alpha of lora must be 1 or more, not 0"),
        ({"dropout": 1.0}, "dropout of lora must be from 0 to below 1, not 1"),
        ({"target_modules": ()}, "target_modules of lora must name a module"),
    ],
)
def test_adapters_that_cannot_be_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Lora(**change)


def test_prompts_that_are_too_long_are_one_line_before_anything_is_trained(base: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, max_prompt_length=5)
    for run in (
        lambda: rates_of(settings, base, tmp_path),
        lambda: run_sft(base, examples(), settings, seed=0, out=tmp_path, track=untracked),
    ):
        with pytest.raises(UserError, match="longer than max_prompt_length, 5 tokens; the longest, ") as raised:
            run()
        assert "\n" not in str(raised.value)
    assert not any(tmp_path.iterdir())
