"""How global batches are spread, and which checkpoints a killed training goes on from."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.yaml_files import from_mapping
from harness.engine.compute import Compute
from harness.errors import UserError
from harness.records import from_json, to_json
from harness.training.batches import ROWS_AT_ONCE, EpochBatches, Spread, forward_passes, spread
from harness.training.checkpoints import commit_checkpoint, latest_checkpoint, prune_checkpoints
from harness.training.job import Job
from harness.training.losses import Orpo, PreferenceLoss, SimPo, Srpo
from harness.training.settings import Lora, TrainingSettings
from methods.spin import SPIN

PAPER = 128


@pytest.mark.parametrize("processes", [1, 2, 8])
@pytest.mark.parametrize("micro", [None, 1, 4, 16])
def test_any_split_makes_the_same_global_batch(processes: int, micro: int | None) -> None:
    how = spread(PAPER, Compute(processes=processes, micro_batch_size=micro))
    assert how.global_batch_size == PAPER
    assert how.processes == processes
    whole_share = PAPER // processes if processes > 1 else ROWS_AT_ONCE
    assert how.micro_batch_size == (micro or whole_share)


@pytest.mark.parametrize(("batch", "rows"), [(1, 1), (8, 8), (32, 32), (37, 1), (48, 24), (128, 32)])
def test_one_process_takes_few_rows_at_once_unless_told(batch: int, rows: int) -> None:
    assert spread(batch, Compute()) == Spread(1, rows, batch // rows)


@pytest.mark.parametrize(
    ("compute", "says"),
    [
        (Compute(processes=3), "over 3 processes; .* set processes to 1, 2, 4, 8, 16, 32, 64 or 128"),
        (Compute(processes=0), "set processes to"),
        (Compute(processes=8, micro_batch_size=3), "micro_batch_size 3 .* 16 of 128; .* 1, 2, 4, 8 or 16"),
        (Compute(processes=8, micro_batch_size=32), "1, 2, 4, 8 or 16"),
        (Compute(micro_batch_size=0), "micro_batch_size 0"),
    ],
)
def test_an_indivisible_batch_is_refused_with_numbers_that_would_do(compute: Compute, says: str) -> None:
    with pytest.raises(UserError, match=says) as raised:
        spread(PAPER, compute)
    assert "\n" not in str(raised.value)


spreads = st.builds(Spread, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


@given(how=spreads, lengths=st.lists(st.integers(1, 50), min_size=1, max_size=70), seed=st.integers(0, 9))
def test_each_optimizer_step_takes_the_same_rows_however_they_are_spread(
    how: Spread, lengths: list[int], seed: int
) -> None:
    alone = list(EpochBatches(lengths, Spread(1, how.global_batch_size, 1), 0, seed))
    assert sorted(row for batch in alone for row in batch.rows) == list(range(len(lengths)))
    samplers = [EpochBatches(lengths, how, process, seed) for process in range(how.processes)]
    passes = [list(sampler) for sampler in samplers]
    assert {len(each) for each in passes} == {len(samplers[0])}  # or some would wait for ever
    for step, batch in enumerate(alone):
        part = slice(step * how.accumulation, (step + 1) * how.accumulation)
        taken = [one for each in passes for one in each[part]]
        assert sorted(row for one in taken for row in one.rows) == sorted(batch.rows)
        assert {one.rows_of_step for one in taken} == {len(batch.rows)}
    assert all(len(one.rows) <= how.micro_batch_size for each in passes for one in each)


def test_epochs_and_seeds_have_their_own_orders() -> None:
    batches = EpochBatches([1] * 50, Spread(1, 50, 1), 0, seed=3)
    first = list(batches)
    batches.set_epoch(1)
    assert list(batches) != first
    assert list(batches) == list(EpochBatches([1] * 50, Spread(1, 50, 1), 0, seed=4))  # seed + epoch, as accelerate
    batches.set_epoch(0)
    assert list(batches) == first


def test_rows_of_like_length_go_through_the_same_pass() -> None:
    lengths = [9, 1, 8, 2, 7, 3]
    assert forward_passes(range(6), lengths, Spread(1, 2, 3), 0) == [([1, 3], 6), ([5, 4], 6), ([2, 0], 6)]
    assert forward_passes(range(6), lengths, Spread(1, 6, 1), 0) == [(list(range(6)), 6)]


READ: dict[str, Any] = {
    "learning_rate": 1e-3,
    "epochs": 1,
    "global_batch_size": 4,
    "max_length": 256,
    "warmup_share": 0.1,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"warmup_share": 1}, "warmup_share is a share of all steps, from 0 to below 1, not 1"),
        ({"warmup_share": 100}, "warmup_share is a share of all steps, from 0 to below 1, not 100"),
        ({"warmup_share": -0.1}, "warmup_share is a share of all steps, from 0 to below 1, not -0.1"),
        ({"epochs": 0}, "epochs must be 1 or more, not 0"),
        ({"global_batch_size": -4}, "global_batch_size must be 1 or more, not -4"),
        ({"max_length": 0}, "max_length must be 1 or more, not 0"),
        ({"learning_rate": -1e-3}, "learning_rate must not be negative, but is -0.001"),
        ({"beta": 0}, "beta must be above 0, not 0"),
        ({"optimizer": "adam"}, "did you mean 'adamw'?"),
        ({"schedule": "cosin"}, "did you mean 'cosine'?"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_one_line(change: dict[str, Any], said: str) -> None:
    training = {**READ, **{name: value for name, value in change.items() if name != "beta"}}
    spin = {"loss": {"kind": "dpo", "beta": change.get("beta", 0.5)}, "training": training}
    with pytest.raises(UserError) as raised:
        from_mapping(SPIN, spin, "recipe.yaml")
    assert said in str(raised.value)
    assert str(raised.value).startswith("recipe.yaml: ") and "\n" not in str(raised.value)


def job(out: Path, how: Spread | None = None) -> Job:
    settings = TrainingSettings(1e-3, 1, 4, 256, 0.1)
    return Job("model", str(out), settings, 0, how or Spread(1, 4, 1), "single", False, 2)


@pytest.mark.parametrize("loss", [None, Orpo(weight=0.5), Srpo(beta=0.1, alpha=0.2), SimPo(beta=2.0, gamma=1.0)])
def test_a_job_reaches_other_processes_as_it_is(loss: PreferenceLoss | None, tmp_path: Path) -> None:
    own = replace(job(tmp_path), loss=loss, is_own_reference=True)
    adapted = replace(own, settings=replace(own.settings, lora=Lora(target_modules=("q_proj",))))
    for each in (own, adapted):
        assert from_json(Job, json.loads(json.dumps(to_json(each))), "job.json") == each


def written(job: Job, step: int) -> Path:
    folder = job.trainer_folder / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_only_a_whole_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    training = job(tmp_path)
    assert latest_checkpoint(training) is None
    whole = written(training, 8)
    commit_checkpoint(whole, training)
    written(training, 10)  # killed before it was marked
    (written(training, 12) / "complete.json").write_text('{"spl')
    assert latest_checkpoint(training) == whole
    prune_checkpoints(training, whole)
    assert list(training.trainer_folder.iterdir()) == [whole]


def test_a_new_checkpoint_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    training = job(tmp_path)
    for step in (8, 16, 104):
        commit_checkpoint(written(training, step), training)
    assert [path.name for path in training.trainer_folder.iterdir()] == ["checkpoint-104"]


def test_a_checkpoint_of_another_splitting_is_none(tmp_path: Path) -> None:
    commit_checkpoint(written(job(tmp_path), 8), job(tmp_path))
    assert latest_checkpoint(job(tmp_path, Spread(1, 2, 2))) is None
