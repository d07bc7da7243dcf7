"""Training on pairs that are made while it runs: what it learns, from what, and that it goes on when stopped."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from harness.engine.compute import Compute
from harness.errors import UserError
from harness.records import read_rows
from harness.training.losses import Dpo, Orpo, PreferenceLoss, Srpo
from harness.training.online import OnlineStep
from harness.training.online_trainer import ONLINE, run_online
from harness.training.settings import OnlineSettings, TrainingSettings
from tests.training.helpers import curves, digest, examples, untracked, weights_of
from tests.training.killer import Stopped, stopped_at

LOSSES: dict[str, PreferenceLoss] = {"dpo": Dpo(beta=0.5), "orpo": Orpo(weight=0.5)}
SAPO = OnlineSettings(segment=6, buffer=12, ema=0.5, ema_every=2)
MOVED = replace(SAPO, reference="ema", reference_every=3)
BRIEF = TrainingSettings(learning_rate=5e-4, epochs=4, global_batch_size=4, max_length=256)
"""Twelve steps over ten demonstrations: the last of each epoch has two."""
SAVING = Compute(micro_batch_size=2, save_every=4)


def train(
    loss: PreferenceLoss,
    base: Path,
    out: Path,
    online: OnlineSettings = SAPO,
    settings: TrainingSettings = BRIEF,
    **more: Any,
) -> dict[str, float]:
    given: dict[str, Any] = {"seed": 0, "track": untracked, **more}
    return run_online(base, examples(), loss, settings, online, out=out, **given)


def steps_of(folder: Path) -> list[OnlineStep]:
    return read_rows(folder / ONLINE, OnlineStep)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_demonstrations_become_likelier(loss: PreferenceLoss, base: Path, tmp_path: Path) -> None:
    """Margins need not grow: the rejected answers are what the policy has come to like."""
    train(loss, base, tmp_path)
    course = curves(tmp_path)
    assert [row.step for row in course] == list(range(1, 13))
    likelihoods = [row.chosen_log_probability or 0.0 for row in course]
    assert fmean(likelihoods[6:]) > fmean(likelihoods[:3]) + 5


def test_at_its_first_step_the_policy_is_level_with_its_reference(base: Path, tmp_path: Path) -> None:
    train(LOSSES["dpo"], base, tmp_path)
    first = curves(tmp_path)[0]
    assert first.loss == pytest.approx(0.6931472, abs=1e-6) and first.reward_margin == 0.0
    assert steps_of(tmp_path)[0].fresh_margin == 0.0


def test_the_steps_say_what_pairs_were_made_and_how_old_those_are_that_were_drawn(base: Path, tmp_path: Path) -> None:
    train(LOSSES["dpo"], base, tmp_path, replace(SAPO, sample_every=2, responses=2))
    steps = steps_of(tmp_path)
    assert [row.made for row in steps] == [8, 0, 4, 0, 8, 0, 8, 0, 4, 0, 8, 0]
    assert steps[0].age == 0.0 and steps[1].age == 1.0 and max(row.age for row in steps) > 1.0
    assert all(0 <= (row.edit_distance or 0) <= 1 for row in steps)
    assert [row.step for row in steps if row.fresh_margin is not None] == [1, 9]


def test_without_a_buffer_a_step_trains_on_what_it_has_made(base: Path, tmp_path: Path) -> None:
    train(LOSSES["orpo"], base, tmp_path, OnlineSettings(segment=None, buffer=None, ema=0.0))
    assert {row.age for row in steps_of(tmp_path)} == {0.0}


@pytest.mark.parametrize("online", [SAPO, MOVED], ids=["fixed", "moved"])
def test_however_a_batch_is_cut_into_passes_the_weights_are_the_same(
    online: OnlineSettings, base: Path, tmp_path: Path
) -> None:
    for name, rows in (("whole", 4), ("halves", 2)):
        train(LOSSES["dpo"], base, tmp_path / name, online, compute=Compute(micro_batch_size=rows))
    whole, halves = weights_of(tmp_path / "whole"), weights_of(tmp_path / "halves")
    assert all(torch.allclose(whole[name], halves[name], atol=2e-4) for name in whole)
    of_whole, of_halves = (
        [replace(row, fresh_margin=None) for row in steps_of(tmp_path / name)] for name in ("whole", "halves")
    )
    assert of_whole == of_halves


@pytest.mark.parametrize(
    ("loss", "online", "precision"),
    [("dpo", SAPO, "float32"), ("dpo", MOVED, "bfloat16"), ("orpo", SAPO, "float32")],
    ids=["fixed reference", "moved reference, half precision", "no reference"],
)
def test_a_killed_training_goes_on_to_the_same_weights(
    loss: str, online: OnlineSettings, precision: Any, base: Path, tmp_path: Path
) -> None:
    settings = replace(BRIEF, precision=precision)
    run: Callable[..., dict[str, float]] = lambda out, **more: train(  # noqa: E731
        LOSSES[loss], base, out, online, settings, compute=SAVING, **more
    )
    run(tmp_path / "whole")
    with pytest.raises(Stopped):
        run(tmp_path / "killed", track=stopped_at(7))
    assert any((tmp_path / "killed" / "trainer").glob("checkpoint-4"))
    run(tmp_path / "killed")
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")
    assert curves(tmp_path / "killed") == curves(tmp_path / "whole")
    assert steps_of(tmp_path / "killed") == steps_of(tmp_path / "whole")
    assert not (tmp_path / "killed" / "trainer").exists()


def test_a_reference_renewed_from_the_policy_is_level_with_it_again(base: Path, tmp_path: Path) -> None:
    online = replace(SAPO, reference="policy", reference_every=1)
    train(LOSSES["dpo"], base, tmp_path, online)
    assert all(row.loss == pytest.approx(0.6931472, abs=1e-5) for row in curves(tmp_path))


@pytest.mark.parametrize(
    ("loss", "online", "changes", "message"),
    [
        (LOSSES["dpo"], replace(SAPO, buffer=3), {}, "buffer must be at least the global batch size, 4, not 3"),
        (LOSSES["dpo"], replace(SAPO, segment=500), {}, "a segment of 500 tokens is no part of an answer"),
        (Srpo(beta=0.1, alpha=0.5), SAPO, {}, "shows an answer as a draft"),
        (LOSSES["dpo"], SAPO, {"compute": Compute(accelerate="fsdp", processes=2)}, "runs in one process"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    loss: PreferenceLoss, online: OnlineSettings, changes: dict[str, Any], message: str, base: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        train(loss, base, tmp_path, online, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segment": 0}, "segment must be 1 or more"),
        ({"ema": 1.5}, "ema is a coefficient from 0"),
        ({"reference": "ema"}, "give both or neither"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"buffer": None, "responses": 2}, "without a buffer"),
    ],
)
def test_settings_that_nothing_can_be_made_with(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SAPO, **changes)
