import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from shutil import copytree
from statistics import fmean
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file

from harness.engine.artifacts import Tracker
from harness.engine.compute import Compute
from harness.engine.progress import Advance, Event, silent
from harness.errors import UserError
from harness.files import disk_full_error
from harness.mini.roles import read_role
from harness.mini.tokenizer import ASSISTANT, END, USER
from harness.models.hf import load_checkpoint
from harness.records import PreferencePair, Response, read_rows
from harness.training.job import CURVES, Track, TrainingStep
from harness.training.losses import Dpo
from harness.training.preferences import run_preferences
from harness.training.reference import ReferenceScorer
from harness.training.rows import PairEncoding, ReferenceLogProbabilities
from harness.training.settings import Optimizer, TrainingSettings
from harness.training.sft import run_sft, sft_gradient
from tests.training.naive import Naive, dpo_loss, dpo_margin

ROOT = Path(__file__).parents[2]
STILL = TrainingSettings(learning_rate=0.0, epochs=1, global_batch_size=1, max_length=256, warmup_share=0.0)
"""Ten steps over ten examples that change no weight."""
WHOLE = replace(STILL, global_batch_size=10)
"""All ten in one step."""
MOVING = TrainingSettings(learning_rate=1e-3, epochs=3, global_batch_size=4, max_length=256, warmup_share=0.1)
DPO = Dpo(beta=0.5)


def examples() -> list[Response]:
    return [row for row in read_role("demonstrations", 10) if isinstance(row, Response)]


def preferences() -> list[PreferencePair]:
    return [row for row in read_role("preference_data", 10) if isinstance(row, PreferencePair)]


def untracked(work: int, unit: str, done: int = 0) -> Tracker:
    return Tracker(work, unit, done, silent)


def reference_of(folder: Path) -> list[ReferenceLogProbabilities]:
    return ReferenceScorer(folder, STILL.max_length, "float32").log_probabilities(preferences())


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return weights


def digest(folder: Path) -> str:
    return sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture
def sft(base: Path, tmp_path: Path) -> Callable[..., dict[str, float]]:
    def train(
        settings: TrainingSettings,
        seed: int = 0,
        name: str = "sft",
        track: Track = untracked,
        compute: Compute | None = None,
    ) -> Any:
        out = tmp_path / name
        return run_sft(base, examples(), settings, seed=seed, out=out, track=track, compute=compute)

    return train


@pytest.fixture
def dpo(base: Path, disturbed: Path, tmp_path: Path) -> Callable[..., dict[str, float]]:
    """The disturbed model against the packaged one, unless said otherwise."""
    reference = reference_of(base)

    def train(
        settings: TrainingSettings,
        beta: float = 0.5,
        seed: int = 0,
        name: str = "dpo",
        policy: Path = disturbed,
        compute: Compute | None = None,
    ) -> Any:
        return run_preferences(
            policy,
            preferences(),
            reference,
            Dpo(beta=beta),
            settings,
            seed=seed,
            out=tmp_path / name,
            track=untracked,
            compute=compute,
        )

    return train


def test_sft_loss_is_the_mean_over_the_tokens_of_the_answer_alone(base: Path, sft: Any, tmp_path: Path) -> None:
    model = Naive(base)
    losses = [model.log_probabilities(row.prompt.text, row.text) for row in examples()]
    of_answers = fmean(-fmean(answer) for _, answer in losses)
    with_prompts = fmean(-fmean([*message, *answer]) for message, answer in losses)
    sft(STILL)
    assert fmean(losses_of(tmp_path / "sft")) == pytest.approx(of_answers, abs=1e-4)
    assert abs(of_answers - with_prompts) > 0.1  # otherwise the line above would show nothing


def test_sft_loss_of_a_batch_is_the_mean_over_all_of_its_tokens(base: Path, sft: Any) -> None:
    model = Naive(base)
    tokens = [p for row in examples() for p in model.log_probabilities(row.prompt.text, row.text)[1]]
    whole = TrainingSettings(learning_rate=0.0, epochs=10, global_batch_size=10, max_length=256, warmup_share=0.0)
    assert sft(whole)["loss"] == pytest.approx(-fmean(tokens), abs=1e-4)


def test_a_learning_rate_of_zero_changes_nothing(base: Path, sft: Any, tmp_path: Path) -> None:
    sft(STILL)
    before, after = weights_of(base), weights_of(tmp_path / "sft")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_sft_makes_its_examples_more_likely(base: Path, sft: Any, tmp_path: Path) -> None:
    sft(MOVING)
    before, after = Naive(base), Naive(tmp_path / "sft")
    gains = [
        after.answer_log_probability(row.prompt.text, row.text)
        - before.answer_log_probability(row.prompt.text, row.text)
        for row in examples()
    ]
    assert min(gains) > 0


def test_the_trained_folder_is_a_checkpoint_like_the_one_it_came_from(base: Path, sft: Any, tmp_path: Path) -> None:
    sft(STILL)
    (model, tokenizer), (trained, its_tokenizer) = load_checkpoint(base), load_checkpoint(tmp_path / "sft")
    assert trained.dtype == model.dtype == torch.float32
    assert its_tokenizer.get_vocab() == tokenizer.get_vocab()
    assert its_tokenizer.chat_template == tokenizer.chat_template
    assert trained.generation_config.eos_token_id == tokenizer.eos_token_id


def test_the_settings_reach_the_trainer(sft: Any) -> None:
    settings = TrainingSettings(learning_rate=3e-4, epochs=2, global_batch_size=1, max_length=256, warmup_share=0.5)
    metrics = sft(settings)
    assert metrics["step"] == 20
    done = (19 - 10) / 10  # the rate of the last step, after a warm-up over half of the 20
    assert metrics["learning_rate"] == pytest.approx(3e-4 * 0.5 * (1 + math.cos(math.pi * done)))


def test_a_linear_schedule_reaches_the_trainer(sft: Any) -> None:
    settings = TrainingSettings(3e-4, 2, 1, 256, 0.5, schedule="linear")
    assert sft(settings)["learning_rate"] == pytest.approx(3e-4 * 0.1)  # one of the ten steps after the warm-up is left


@pytest.mark.parametrize(("optimizer", "factor"), [("adamw", 1.0), ("rmsprop", 10.0)])
def test_the_optimizer_reaches_the_trainer(
    base: Path, sft: Any, tmp_path: Path, optimizer: Optimizer, factor: float
) -> None:
    """Whatever the gradient, the first step of Adam is the rate, and that of RMSprop the rate over the root of 0.01."""
    sft(TrainingSettings(1e-4, 1, 10, 256, 0.0, optimizer=optimizer))
    before, after = weights_of(base), weights_of(tmp_path / "sft")
    moved = torch.cat([(after[name] - before[name]).abs().flatten() for name in before])
    assert moved[moved > 0].median().item() == pytest.approx(factor * 1e-4, rel=0.01)


def test_examples_are_cut_at_the_longest_length_allowed(sft: Any) -> None:
    lengths = [len(f"{row.prompt.text} {row.text}".split()) + len([USER, END, ASSISTANT, END]) for row in examples()]
    assert min(lengths) < 30 < max(lengths)
    assert sft(STILL)["truncated_rows"] == 0
    cut = sft(TrainingSettings(0.0, 1, 1, 30, 0.0), name="cut")
    assert cut["truncated_rows"] == sum(length > 30 for length in lengths)


def test_progress_counts_the_steps_of_the_optimizer(sft: Any) -> None:
    heard: list[Event] = []
    sft(MOVING, track=lambda work, unit, done=0: Tracker(work, unit, done, heard.append))
    last = heard[-1]
    assert isinstance(last, Advance)
    assert (last.done, last.total, last.unit) == (9, 9, "steps")  # 3 epochs of 10 examples in batches of 4


def test_dpo_starts_at_ln_2_with_no_margin_when_policy_and_reference_are_the_same(base: Path, dpo: Any) -> None:
    metrics = dpo(STILL, policy=base)
    assert metrics["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert metrics["reward_margin"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_dpo_loss_equals_the_naive_one(base: Path, disturbed: Path, dpo: Any, beta: float) -> None:
    policy, reference = Naive(disturbed), Naive(base)
    margins = [dpo_margin(policy, reference, pair) for pair in preferences()]
    metrics = dpo(WHOLE, beta=beta)
    assert metrics["loss"] == pytest.approx(fmean(dpo_loss(margin, beta) for margin in margins), abs=1e-4)
    assert metrics["reward_margin"] == pytest.approx(beta * fmean(margins), abs=1e-4)
    assert abs(metrics["loss"] - math.log(2)) > 0.005
    assert metrics["reward_accuracy"] == pytest.approx(fmean(margin > 0 for margin in margins))
    for side in ("chosen", "rejected"):
        answers = [policy.answer_log_probability(pair.prompt.text, getattr(pair, side)) for pair in preferences()]
        assert metrics[f"{side}_log_probability"] == pytest.approx(fmean(answers), abs=1e-3)


def test_dpo_widens_the_margins_and_leaves_the_reference_alone(base: Path, dpo: Any, tmp_path: Path) -> None:
    before = digest(base)
    dpo(MOVING, policy=base)
    policy, reference = Naive(tmp_path / "dpo"), Naive(base)
    margins = [dpo_margin(policy, reference, pair) for pair in preferences()]
    assert fmean(margins) > 0.5
    assert digest(base) == before


def test_the_learning_rate_of_dpo_reaches_the_trainer(dpo: Any) -> None:
    metrics = dpo(TrainingSettings(learning_rate=2e-4, epochs=1, global_batch_size=1, max_length=256, warmup_share=0.0))
    assert metrics["step"] == 10
    assert metrics["learning_rate"] == pytest.approx(2e-4 * 0.5 * (1 + math.cos(math.pi * 0.9)))


SPLIT = Compute(micro_batch_size=1)
"""A global batch of four in four forward passes."""


def losses_of(folder: Path) -> list[float]:
    losses = [row.loss for row in read_rows(folder / CURVES, TrainingStep)]
    return [loss for loss in losses if loss is not None]


@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_a_batch_in_parts_is_the_same_batch(trainer: str, request: Any, tmp_path: Path) -> None:
    """4×1 is 1×4, also in the last batch of an epoch, which has two rows here."""
    train = request.getfixturevalue(trainer)
    for name, compute in {"whole": Compute(), "parts": SPLIT}.items():
        train(MOVING, name=name, compute=compute)
    whole = losses_of(tmp_path / "whole")
    assert len(whole) == 9
    weights = weights_of(tmp_path / "whole")
    assert losses_of(tmp_path / "parts") == pytest.approx(whole, abs=5e-5)
    others = weights_of(tmp_path / "parts")
    assert all(torch.allclose(weights[each], others[each], atol=1e-4) for each in weights)


def test_gradients_are_the_same_in_parts(base: Path, tmp_path: Path) -> None:
    """A mean of means would be another one: the answers differ in length."""
    still = replace(STILL, global_batch_size=8)
    whole, *others = (
        sft_gradient(base, examples(), still, out=tmp_path, compute=Compute(micro_batch_size=size))
        for size in (8, 4, 1)
    )
    for other in others:
        assert float((whole - other).norm() / whole.norm()) < 1e-5


def test_gradient_checkpointing_changes_nothing(sft: Any, tmp_path: Path) -> None:
    sft(MOVING, name="plain")
    sft(MOVING, name="checkpointed", compute=Compute(gradient_checkpointing=True))
    assert losses_of(tmp_path / "plain") == pytest.approx(losses_of(tmp_path / "checkpointed"), abs=1e-6)


def test_half_precision_is_that_of_the_passes_alone(sft: Any, dpo: Any, tmp_path: Path) -> None:
    brief = replace(MOVING, epochs=1)
    for train, name in ((sft, "sft"), (dpo, "dpo")):
        train(brief)
        train(replace(brief, precision="bfloat16"), name="half")
        assert {each.dtype for each in weights_of(tmp_path / "half").values()} == {torch.float32}
        first, half = losses_of(tmp_path / name)[0], losses_of(tmp_path / "half")[0]
        assert first == pytest.approx(half, rel=0.02)
        assert first != half


def test_the_losses_of_all_steps_are_kept(base: Path, sft: Any, tmp_path: Path) -> None:
    metrics = sft(replace(MOVING, epochs=10))
    losses = losses_of(tmp_path / "sft")
    assert len(losses) == 30
    assert metrics["loss"] == losses[-1]
    assert sorted(path.name for path in (tmp_path / "sft").iterdir() if path.is_dir()) == []


def trl_row(encoding: PairEncoding, pair: PreferencePair) -> dict[str, list[int]]:
    """A pair as TRL's DPOTrainer takes it."""
    encoded = encoding(pair)
    (chosen, rejected), (start, _) = encoded.sequences, encoded.starts
    return {"prompt_ids": chosen[:start], "chosen_ids": chosen[start:], "rejected_ids": rejected[start:]}


def test_given_log_probabilities_lead_to_the_loss_that_trl_finds_with_the_reference_itself(
    base: Path, disturbed: Path, dpo: Any, tmp_path: Path
) -> None:
    from trl import DPOConfig, DPOTrainer

    model, tokenizer = load_checkpoint(disturbed)
    encoding = PairEncoding(tokenizer, STILL.max_length)
    rows = Dataset.from_list([trl_row(encoding, pair) for pair in preferences()])
    arguments = DPOConfig(
        str(tmp_path / "trl"),
        beta=0.5,
        max_length=STILL.max_length,
        per_device_train_batch_size=10,
        num_train_epochs=1,
        logging_steps=1,
        bf16=False,
        report_to="none",
    )

    class Live(DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    trainer = Live(model, load_checkpoint(base)[0], arguments, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    dpo(WHOLE)
    [ours] = losses_of(tmp_path / "dpo")
    assert ours == pytest.approx(trainer.state.log_history[0]["loss"], abs=1e-5)


def test_the_reference_is_cut_as_the_training_cuts(base: Path, tmp_path: Path) -> None:
    """A policy equal to its reference has no margin, also where answers end early or were not ended."""
    pairs = [
        replace(pair, chosen_finish_reason="length" if number % 2 else "stop", rejected_finish_reason="length")
        for number, pair in enumerate(preferences())
    ]
    reference = ReferenceScorer(base, 30, "float32").log_probabilities(pairs)
    settings = replace(STILL, max_length=30)
    counts = run_preferences(base, pairs, reference, DPO, settings, seed=0, out=tmp_path, track=untracked)
    assert 0 < counts["truncated_rows"] <= 10
    assert counts["unclosed_rows"] == 10
    assert counts["loss"] == pytest.approx(math.log(2), abs=1e-6)


HALF = replace(MOVING, precision="bfloat16", epochs=5)
IN_TWOS = Compute(micro_batch_size=2, save_every=4)


@pytest.mark.parametrize("compute", [Compute(), IN_TWOS], ids=["whole", "in parts"])
def test_a_policy_is_level_with_itself_in_half_precision_batch_by_batch(
    base: Path, tmp_path: Path, compute: Compute
) -> None:
    """Scored in other batches, a pair is up to a tenth of a nat off; in the training's own, nothing."""
    still, loss = replace(HALF, learning_rate=0.0, epochs=2), Dpo(beta=5.0)
    run_preferences(base, preferences(), None, loss, still, seed=0, out=tmp_path, track=untracked, compute=compute)
    assert losses_of(tmp_path) == pytest.approx([math.log(2)] * 6, abs=1e-6)


def test_a_policy_that_scores_its_start_trains_as_with_a_reference_that_is_the_same(base: Path, tmp_path: Path) -> None:
    for name, references in {"given": reference_of(base), "own": None}.items():
        run_preferences(base, preferences(), references, DPO, MOVING, seed=0, out=tmp_path / name, track=untracked)
    assert losses_of(tmp_path / "own") == pytest.approx(losses_of(tmp_path / "given"), abs=1e-5)
    assert min(losses_of(tmp_path / "own")) < 0.6
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == sorted(
        path.name for path in (tmp_path / "given").iterdir()
    )


def test_log_probabilities_do_not_depend_on_the_company(base: Path) -> None:
    together = reference_of(base)
    references = ReferenceScorer(base, STILL.max_length, "float32")
    alone = [references.log_probabilities([pair])[0] for pair in preferences()]
    model = Naive(base)
    for pair, one, other in zip(preferences(), together, alone, strict=True):
        assert one.prompt_id == other.prompt_id == pair.prompt.id
        assert one.sums == pytest.approx(other.sums, abs=1e-4)
        naive = [model.answer_log_probability(pair.prompt.text, answer) for answer in (pair.chosen, pair.rejected)]
        assert one.sums == pytest.approx(naive, abs=1e-3)


def test_missing_weights_are_refused_before_processes_are_launched(base: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    copytree(base, spoilt)
    weights = weights_of(spoilt)
    del weights["model.norm.weight"]
    save_file(weights, spoilt / "model.safetensors", metadata={"format": "pt"})
    launched = Compute(accelerate="fsdp", processes=2)
    with pytest.raises(UserError, match=r"1 weights that are missing .* such as model\.norm\.weight"):
        run_sft(spoilt, examples(), MOVING, seed=0, out=tmp_path / "sft", track=untracked, compute=launched)
    assert not (tmp_path / "sft" / "job").exists()


LONG = replace(MOVING, epochs=5)
"""Fifteen steps, with a log after the tenth."""
OTHERWISE = replace(LONG, learning_rate=1e-4, optimizer="rmsprop", schedule="linear")
SAVING = Compute(micro_batch_size=2, save_every=4)

KILLED = """
import sys, torch
from pathlib import Path
from tests.training import test_trainers as t
from tests.training.killer import Killer

torch.set_num_threads(1)

trainer, base, policy, out = sys.argv[1], *map(Path, sys.argv[2:])
t.train(trainer, base, policy, out, lambda work, unit, done=0: Killer(unit, 7))
"""


def train(trainer: str, base: Path, policy: Path, out: Path, track: Track) -> dict[str, float]:
    if trainer.startswith("sft"):
        own = OTHERWISE if trainer == "sft otherwise" else LONG
        return run_sft(base, examples(), own, seed=0, out=out, track=track, compute=SAVING)
    settings, references = (LONG, reference_of(base)) if trainer == "dpo" else (HALF, None)
    return run_preferences(
        policy, preferences(), references, DPO, settings, seed=0, out=out, track=track, compute=SAVING
    )


@pytest.mark.parametrize(
    "trainer",
    ["sft", "sft otherwise", "dpo in half precision", pytest.param("dpo", marks=pytest.mark.slow)],
)
def test_a_killed_training_goes_on_to_the_same_losses_and_weights(
    trainer: str, base: Path, disturbed: Path, tmp_path: Path
) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    metrics = train(trainer, base, disturbed, undisturbed, untracked)
    command = [sys.executable, "-c", KILLED, trainer, str(base), str(disturbed), str(killed)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    kept = {"checkpoint-4"} | ({"reference-0.json"} if trainer == "dpo in half precision" else set())
    assert {path.name for path in (killed / "trainer").iterdir()} == kept
    half_written = killed / "trainer" / "checkpoint-8"
    half_written.mkdir()
    (half_written / "model.safetensors").write_bytes(b"half a fi")

    heard: list[Event] = []
    resumed = train(trainer, base, disturbed, killed, lambda *given: Tracker(*given, heard.append))
    assert len(heard) > 0 and isinstance(heard[0], Advance) and heard[0].done == 5  # steps 1 to 4 were not done again
    assert (killed / CURVES).read_bytes() == (undisturbed / CURVES).read_bytes()
    assert digest(killed) == digest(undisturbed)
    assert resumed == metrics
    assert sorted(path.name for path in killed.iterdir()) == sorted(path.name for path in undisturbed.iterdir())
    assert not (killed / "trainer").exists()


@pytest.mark.parametrize("save_every", [None, 1])
def test_a_full_disk_is_one_line(sft: Any, save_every: int | None, tmp_path: Path) -> None:
    """Files may hold 300 KiB: the model has a megabyte."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300 * 1024, before[1]))
    try:
        with pytest.raises(Exception) as raised:
            sft(MOVING, compute=Compute(save_every=save_every))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    told = disk_full_error(raised.value, tmp_path)
    assert told is not None, raised.value
    assert "fix that and run the same command" in str(told)


SCRIPT = """
import sys, torch
from pathlib import Path
from harness.training.preferences import run_preferences
from harness.training.sft import run_sft
from tests.training import test_trainers as t

torch.set_num_threads(1)
base, policy, out = map(Path, sys.argv[1:])
run_sft(base, t.examples(), t.MOVING, seed=0, out=out / "sft", track=t.untracked)
given = {"seed": 0, "out": out / "dpo", "track": t.untracked}
run_preferences(policy, t.preferences(), t.reference_of(base), t.DPO, t.MOVING, **given)
"""


def test_the_seed_fixes_every_bit_of_the_weights(
    sft: Any, dpo: Any, base: Path, disturbed: Path, tmp_path: Path
) -> None:
    for seed in (0, 1):
        sft(MOVING, seed=seed, name=f"sft-{seed}")
        dpo(MOVING, seed=seed, name=f"dpo-{seed}")
    elsewhere = tmp_path / "elsewhere"
    command = [sys.executable, "-c", SCRIPT, str(base), str(disturbed), str(elsewhere)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for trainer in ("sft", "dpo"):
        assert digest(elsewhere / trainer) == digest(tmp_path / f"{trainer}-0") != digest(tmp_path / f"{trainer}-1")
