"""Values of our losses against those of TRL's trainers, one row at a time.

Both are given the same log-probabilities in float32: two ways to these can differ by more than the losses do.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness.mini.roles import read_role
from harness.models.hf import load_checkpoint
from harness.records import PreferencePair
from harness.training.losses import Dpo, Ipo, LogProbabilities, Orpo, Rpo, SimPo

Trainers = Callable[..., Any]


@pytest.fixture
def trainer(base: Path, tmp_path: Path) -> Trainers:
    """A trainer of TRL for six pairs of the embedded world."""
    from datasets import Dataset

    pairs = [row for row in read_role("preference_data", 6) if isinstance(row, PreferencePair)]
    rows = [{"prompt": f"{pair.prompt.text} ", "chosen": pair.chosen, "rejected": pair.rejected} for pair in pairs]

    def make(trainer_class: Any, config_class: Any, **settings: Any) -> Any:
        arguments = config_class(
            output_dir=str(tmp_path), per_device_train_batch_size=1, use_cpu=True, bf16=False, report_to=[], **settings
        )
        model, tokenizer = load_checkpoint(base)
        reference = {"ref_model": load_checkpoint(base)[0]} if trainer_class.__name__ == "DPOTrainer" else {}
        return trainer_class(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            **reference,
        )

    return make


def random_log_probabilities(mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """-4 to 0 for each scored token, 0 for the others: [sequences, tokens]."""
    return -4 * torch.rand(mask.shape, generator=generator) * mask


def giving(log_p: torch.Tensor) -> Any:
    """What a trainer of TRL takes for a model: it returns these log-probabilities."""
    nothing = torch.zeros_like(log_p)
    outputs = SimpleNamespace(log_probs=log_p, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool())
    return lambda **_: outputs


@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        (Dpo(beta=0.1), {"loss_type": "sigmoid", "beta": 0.1}),
        (Dpo(beta=10, average=True), {"loss_type": "sigmoid_norm", "beta": 10}),
        (Ipo(beta=1, average=True), {"loss_type": "ipo", "beta": 1}),
        (
            Rpo(beta=10, nll_weight=0.1, average=True),
            {"loss_type": ["sigmoid_norm", "sft"], "loss_weights": [1, 0.1], "beta": 10},
        ),
    ],
    ids=["sigmoid", "sigmoid_norm", "ipo", "sigmoid_norm and sft"],
)
def test_losses_against_a_reference(loss: Any, settings: dict[str, Any], trainer: Trainers) -> None:
    from trl import DPOConfig, DPOTrainer

    theirs = trainer(DPOTrainer, DPOConfig, **settings)
    generator = torch.Generator().manual_seed(0)
    lengths = set()
    for batch in theirs.get_train_dataloader():
        answers = batch["completion_mask"][:, 1:]
        policy, reference = (random_log_probabilities(answers, generator) for _ in range(2))
        theirs.ref_model = giving(reference)
        expected = theirs.compute_loss(giving(policy), batch).item()
        ours = loss(LogProbabilities(policy.sum(1)[None], answers.sum(1)[None]), reference.sum(1)[None])
        assert ours.item() == pytest.approx(expected, rel=1e-6, abs=1e-6)
        lengths.add(tuple(answers.sum(1).tolist()))
    assert len(lengths) == 6 and any(chosen != rejected for chosen, rejected in lengths)


def answers_alone(generator: torch.Generator) -> LogProbabilities:
    """Chosen and rejected answers of 1 to 60 tokens, -4 to 0 a token: 50 rows."""
    tokens = torch.randint(1, 61, (50, 2), generator=generator)
    return LogProbabilities(-4 * torch.rand(50, 2, generator=generator) * tokens, tokens)


def scored_by(model: Any, batch: dict[str, torch.Tensor]) -> LogProbabilities:
    """Chosen, rejected, and the prompt within the chosen sequence, from the logits."""
    sums, tokens = [], []
    for side, of_answer in (("chosen", True), ("rejected", True), ("chosen", False)):
        ids = batch[f"{side}_input_ids"][0]
        scored = (batch[f"{side}_labels"][0] != -100) == of_answer
        with torch.inference_mode():
            log_p = model(input_ids=ids[None]).logits[0].log_softmax(-1)
        places = [place for place in range(1, len(ids)) if scored[place]]
        sums.append(sum(float(log_p[place - 1, ids[place]]) for place in places))
        tokens.append(len(places))
    return LogProbabilities(torch.tensor([sums]), torch.tensor([tokens]))


def test_simpo(trainer: Trainers) -> None:
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    theirs = trainer(CPOTrainer, CPOConfig, loss_type="simpo", beta=2.0, simpo_gamma=0.7, cpo_alpha=0.0)
    ours = SimPo(beta=2, gamma=0.7)
    policy = answers_alone(torch.Generator().manual_seed(1))
    losses, *rewards = theirs.cpo_loss(*policy.of(average=True).unbind(1))
    assert ours(policy).tolist() == pytest.approx(losses.tolist(), rel=1e-6, abs=1e-6)
    assert torch.equal(ours.rewards(policy), torch.stack(rewards, 1))


def test_odds_ratio_of_orpo(trainer: Trainers) -> None:
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    theirs = trainer(ORPOTrainer, ORPOConfig, beta=0.2)
    policy = answers_alone(torch.Generator().manual_seed(2))
    minus_losses, *rewards, _, _ = theirs.odds_ratio_loss(*policy.of(average=True).unbind(1))
    with_odds, without = (Orpo(weight=weight, nll_over="chosen") for weight in (0.2, 0))
    assert (with_odds(policy) - without(policy)).tolist() == pytest.approx((-minus_losses).tolist(), abs=1e-6)
    assert torch.equal(with_odds.rewards(policy), torch.stack(rewards, 1))


def test_orpo_has_the_likelihood_of_prompt_and_answer(trainer: Trainers) -> None:
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    theirs = trainer(ORPOTrainer, ORPOConfig, beta=0.2)
    theirs.model.eval()
    for batch in theirs.get_train_dataloader():
        with torch.no_grad():
            expected = theirs.compute_loss(theirs.model, batch).item()
        found = Orpo(weight=0.2)(scored_by(theirs.model, batch)).item()
        assert found == pytest.approx(expected, abs=1e-5)  # log-probabilities of two forward passes
        assert abs(Orpo(weight=0.2, nll_over="chosen")(scored_by(theirs.model, batch)).item() - expected) > 0.01
