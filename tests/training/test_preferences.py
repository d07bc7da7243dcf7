"""Training with every preference loss: that it learns, is spread as told, and goes on when stopped."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engine.compute import Compute
from harness.errors import UserError
from harness.models.hf import load_checkpoint
from harness.training.job import CURVES, TrainingStep
from harness.training.losses import Dpo, Ipo, LogProbabilities, Orpo, PreferenceLoss, Rpo, SimPo, Srpo
from harness.training.preferences import run_preferences
from harness.training.reference import ReferenceScorer
from harness.training.rows import PairEncoding, ReferenceLogProbabilities
from harness.training.settings import TrainingSettings
from tests.training.helpers import Trained, curves, digest, preferences, untracked, weights_of
from tests.training.killer import Stopped, stopped_at
from tests.training.test_scoring import sums_one_by_one

LOSSES: dict[str, PreferenceLoss] = {
    "dpo": Dpo(beta=0.5),
    "cdpo": Dpo(beta=0.5, label_smoothing=0.1),
    "ipo": Ipo(beta=0.1, average=True),
    "rpo": Rpo(beta=0.5, nll_weight=0.1, average=True),
    "simpo": SimPo(beta=2.0, gamma=1.0),
    "orpo": Orpo(weight=0.5),
    "orpo over the answer": Orpo(weight=0.5, nll_over="chosen"),
    "srpo": Srpo(beta=0.1, alpha=0.2),
}
REVISION = "{request} | {example} | improve the draft ."
BRIEF = TrainingSettings(learning_rate=5e-4, epochs=2, global_batch_size=4, max_length=256)
"""Six steps over ten pairs: the last of each epoch has two."""


def train(loss: PreferenceLoss, policy: Path, out: Path, settings: TrainingSettings = BRIEF, **more: Any) -> Any:
    given: dict[str, Any] = {"seed": 0, "out": out, "track": untracked, "revision_prompt": REVISION, **more}
    return run_preferences(policy, preferences(), given.pop("references", None), loss, settings, **given)


def references_of(folder: Path, loss: PreferenceLoss) -> list[ReferenceLogProbabilities] | None:
    if not loss.needs_reference:
        return None
    scorer = ReferenceScorer(folder, BRIEF.max_length, "float32", loss.sequences, REVISION)
    return scorer.log_probabilities(preferences())


def naive_loss(loss: PreferenceLoss, policy: Path, reference: Path) -> torch.Tensor:
    """Of each pair, its sequences scored one by one: [rows]."""
    (model, tokenizer), (other, _) = load_checkpoint(policy), load_checkpoint(reference)
    encoding = PairEncoding(tokenizer, BRIEF.max_length, loss.sequences, revision_prompt=REVISION)
    encoded = [encoding(pair) for pair in preferences()]
    rows = [(each.sequences, each.starts) for each in encoded]
    tokens = [[len(ids) - start for ids, start in zip(*row, strict=True)] for row in rows]
    with torch.inference_mode():
        sums, of_reference = (sums_one_by_one(each.eval(), rows) for each in (model, other))
    result: torch.Tensor = loss(LogProbabilities(sums, torch.tensor(tokens)), of_reference)
    return result


@pytest.fixture(scope="module", params=LOSSES)
def trained(
    request: pytest.FixtureRequest, base: Path, disturbed: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PreferenceLoss, Trained]:
    """A loss, and what it makes of the disturbed model in three steps, each over all pairs."""
    loss, out = LOSSES[request.param], tmp_path_factory.mktemp("trained")
    settings = replace(BRIEF, learning_rate=3e-4, epochs=3, global_batch_size=10)
    metrics = train(loss, disturbed, out, settings, references=references_of(base, loss))
    return loss, Trained(out, metrics, [])


def test_the_first_loss_is_that_of_sequences_scored_one_by_one(
    trained: tuple[PreferenceLoss, Trained], base: Path, disturbed: Path
) -> None:
    loss, done = trained
    naive = naive_loss(loss, disturbed, base)
    assert curves(done.folder)[0].loss == pytest.approx(float(naive.mean()), rel=1e-4, abs=1e-5)
    assert float(naive.std()) > 1e-3  # not the same whatever the pair


def test_every_loss_goes_down_and_parts_chosen_from_rejected(trained: tuple[PreferenceLoss, Trained]) -> None:
    _, done = trained
    first, _, last = steps = curves(done.folder)
    assert last.loss is not None and first.loss is not None and last.loss < first.loss - 0.01
    assert last.reward_margin is not None and first.reward_margin is not None
    assert last.reward_margin > first.reward_margin
    for step in steps:
        assert step.gradient_norm is not None and step.gradient_norm > 0
        assert (
            step.reward_accuracy is not None and 0 <= step.reward_accuracy <= 1 + 1e-6
        )  # ten tenths round to more than 1
        assert step.chosen_log_probability is not None and step.chosen_log_probability < 0


def test_a_loss_that_shows_drafts_needs_a_prompt_for_it(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^the loss srpo shows an answer as a draft .* needs a revision_prompt$"):
        train(LOSSES["srpo"], base, tmp_path, revision_prompt="")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["orpo", "srpo"])
def test_passes_of_one_row_are_the_same_steps_as_passes_of_all(
    name: str, base: Path, disturbed: Path, tmp_path: Path
) -> None:
    """4 x 1 is 1 x 4, also in the last step of an epoch, which has two rows."""
    loss = LOSSES[name]
    references = references_of(base, loss)
    for size in (1, 4):
        out = tmp_path / str(size)
        train(loss, disturbed, out, references=references, compute=Compute(micro_batch_size=size))
    for one, four in zip(curves(tmp_path / "1"), curves(tmp_path / "4"), strict=True):
        assert_steps_alike(one, four)
        assert one.reward_accuracy == four.reward_accuracy
    ones, fours = weights_of(tmp_path / "1"), weights_of(tmp_path / "4")
    assert all(torch.allclose(ones[each], fours[each], atol=1e-4) for each in ones)


def assert_steps_alike(one: TrainingStep, other: TrainingStep) -> None:
    assert numbers_of(one) == pytest.approx(numbers_of(other), rel=1e-4, abs=1e-4)


def numbers_of(step: TrainingStep) -> dict[str, float]:
    """All but the accuracy, which the last bit of a tie decides."""
    return {name: value for name, value in asdict(step).items() if value is not None and name != "reward_accuracy"}


@pytest.mark.parametrize("name", ["dpo", "srpo"])
def test_in_half_precision_a_policy_starts_level_with_itself(name: str, base: Path, tmp_path: Path) -> None:
    half = replace(BRIEF, precision="bfloat16", epochs=1)
    train(LOSSES[name], base, tmp_path, half, compute=Compute(micro_batch_size=2))
    first = curves(tmp_path)[0]
    assert first.reward_margin == pytest.approx(0, abs=1e-6)
    assert first.reward_accuracy == 0.5
    if name == "dpo":
        assert first.loss == pytest.approx(math.log(2), abs=1e-6)


SAVING = Compute(micro_batch_size=2, save_every=2)


def test_a_training_that_was_stopped_leaves_the_same_curves_and_weights(base: Path, tmp_path: Path) -> None:
    """With six sequences a pair, against itself: what the start's weights say of it is read again."""
    undisturbed, stopped = tmp_path / "undisturbed", tmp_path / "stopped"
    train(LOSSES["srpo"], base, undisturbed, compute=SAVING)
    with pytest.raises(Stopped):
        train(LOSSES["srpo"], base, stopped, compute=SAVING, track=stopped_at(3))
    assert (stopped / "trainer" / "checkpoint-2" / "complete.json").exists()
    train(LOSSES["srpo"], base, stopped, compute=SAVING)
    assert (stopped / CURVES).read_bytes() == (undisturbed / CURVES).read_bytes()
    assert all(None not in asdict(step).values() for step in curves(stopped))
    assert digest(stopped) == digest(undisturbed)
