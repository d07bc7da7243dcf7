"""Training with DPO's loss: against the plain definition, against TRL, and against the policy's own start."""

import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from datasets import Dataset

from harness.models.hf import load_checkpoint
from harness.records import PreferencePair
from harness.training.preferences import run_preferences
from harness.training.reference import ReferenceScorer
from harness.training.rows import PairEncoding, ReferenceLogProbabilities
from tests.training.helpers import DPO, MOVING, STILL, WHOLE, Trained, digest, losses_of, preferences, untracked
from tests.training.naive import Naive, dpo_loss, dpo_margin


def test_it_starts_at_ln_2_with_no_margin_when_policy_and_reference_are_the_same(base: Path, dpo: Any) -> None:
    metrics = dpo(WHOLE, policy=base)
    assert metrics["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert metrics["reward_margin"] == pytest.approx(0, abs=1e-5)


@pytest.fixture(scope="module")
def naive(base: Path, disturbed: Path) -> tuple[Naive, Naive]:
    """The disturbed policy and the packaged reference."""
    return Naive(disturbed), Naive(base)


@pytest.fixture(scope="module")
def naive_margins(naive: tuple[Naive, Naive]) -> list[float]:
    return [dpo_margin(*naive, pair) for pair in preferences()]


@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_the_loss_equals_the_naive_one(
    naive: tuple[Naive, Naive], naive_margins: list[float], dpo: Any, beta: float
) -> None:
    policy, _ = naive
    metrics = dpo(WHOLE, beta=beta)
    assert metrics["loss"] == pytest.approx(fmean(dpo_loss(margin, beta) for margin in naive_margins), abs=1e-4)
    assert metrics["reward_margin"] == pytest.approx(beta * fmean(naive_margins), abs=1e-4)
    assert abs(metrics["loss"] - math.log(2)) > 0.005
    assert metrics["reward_accuracy"] == pytest.approx(fmean(margin > 0 for margin in naive_margins))
    for side in ("chosen", "rejected"):
        answers = [policy.answer_log_probability(pair.prompt.text, getattr(pair, side)) for pair in preferences()]
        assert metrics[f"{side}_log_probability"] == pytest.approx(fmean(answers), abs=1e-3)


def test_it_widens_the_margins_and_leaves_the_reference_alone(base: Path, dpo_from_its_reference: Trained) -> None:
    policy, reference = Naive(dpo_from_its_reference.folder), Naive(base)
    margins = [dpo_margin(policy, reference, pair) for pair in preferences()]
    assert fmean(margins) > 0.5


def test_a_policy_that_scores_its_start_trains_as_with_a_reference_that_is_the_same(
    base: Path, dpo_from_its_reference: Trained, tmp_path: Path
) -> None:
    given, before = dpo_from_its_reference.folder, digest(base)
    run_preferences(base, preferences(), None, DPO, MOVING, seed=0, out=tmp_path, track=untracked)
    assert losses_of(tmp_path) == pytest.approx(losses_of(given), abs=1e-5)
    assert min(losses_of(tmp_path)) < 0.6
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in given.iterdir())
    assert digest(base) == before


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


def test_log_probabilities_do_not_depend_on_the_company(
    base: Path, naive: tuple[Naive, Naive], reference: list[ReferenceLogProbabilities]
) -> None:
    scorer, (_, model) = ReferenceScorer(base, STILL.max_length, "float32"), naive
    alone = [scorer.log_probabilities([pair])[0] for pair in preferences()]
    for pair, one, other in zip(preferences(), reference, alone, strict=True):
        assert one.prompt_id == other.prompt_id == pair.prompt.id
        assert one.sums == pytest.approx(other.sums, abs=1e-4)
        wanted = [model.answer_log_probability(pair.prompt.text, answer) for answer in (pair.chosen, pair.rejected)]
        assert one.sums == pytest.approx(wanted, abs=1e-3)
