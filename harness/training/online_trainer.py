"""Training on pairs that are made while it runs: SAPO's Algorithm 1 around any of the losses."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from harness.engine.compute import Compute, Tracking
from harness.errors import UserError
from harness.models.hf import load_config
from harness.records import Response, write_rows
from harness.training.attention import use_tree_attention
from harness.training.batches import forward_passes
from harness.training.exactness import require_exact_trees
from harness.training.job import ONLINE, Job, OnlineStep, Track
from harness.training.launch import require_one_process
from harness.training.loop import make_job, train
from harness.training.losses import LogProbabilities, PreferenceLoss, shows_drafts
from harness.training.online import EmaModel, OnlinePairs, online_step, pair_tree
from harness.training.preferences import preference_trainer, preference_trainer_class
from harness.training.replay import OnlinePair, ReplayBuffer
from harness.training.rows import REFERENCE, TrainingRows, demonstration_rows
from harness.training.scoring import SequenceScorer, TreeBatch
from harness.training.settings import OnlineSettings, TrainingSettings
from harness.training.trainer import load_policy, load_training_tokenizer

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

EMA, MOVED_REFERENCE, BUFFER = "ema.pt", "moved-reference.pt", "replay.json"
"""Files of a checkpoint on the way: weights of the two models, and the pairs."""
FRESH_EVERY = 8
"""How often the policy scores the pairs that a step has made, in steps."""


def run_online(
    model_folder: Path,
    demonstrations: Sequence[Response],
    loss: PreferenceLoss,
    settings: TrainingSettings,
    online: OnlineSettings,
    *,
    seed: int,
    out: Path,
    track: Track,
    compute: Compute | None = None,
    tracking: Tracking | None = None,
) -> dict[str, float]:
    """Train the policy in `model_folder` to prefer the answers of demonstrations to those that it comes to draw itself.

    An epoch is a pass over the demonstrations; each step makes pairs of a batch of them. Otherwise as
    `preferences.run_preferences`. The counts also have `sampling_share`, the part of the time that was spent on making
    pairs. Raises UserError for settings that do not go together, and in several processes.
    """
    compute = compute or Compute()
    _require_trainable(loss, settings, online, compute)
    require_exact_trees(load_config(model_folder))
    tokenizer = load_training_tokenizer(model_folder, settings.max_length)
    rows = demonstration_rows(demonstrations, tokenizer, settings.max_length, settings.max_prompt_length)
    _require_segment(rows, online)
    scored = 2 * settings.max_length
    job = make_job(
        model_folder, settings, seed, out, compute, loss, scored_tokens=scored, online=online, tracking=tracking
    )
    clock = Clock()
    metrics = train(job, rows, track, partial(online_trainer, clock=clock))
    return {**metrics, "sampling_share": clock.share}


def _require_trainable(
    loss: PreferenceLoss, settings: TrainingSettings, online: OnlineSettings, compute: Compute
) -> None:
    if shows_drafts(loss.sequences):
        raise UserError(
            f"the loss {loss.kind} shows an answer as a draft, which pairs made in training have no prompt for"
        )
    if settings.lora is not None:
        raise UserError("training on pairs made in training averages all weights: leave lora out")
    require_one_process(compute.accelerate)
    try:
        online.require_room(settings.global_batch_size)
    except ValueError as error:
        raise UserError(f"online: {error}") from None


def _require_segment(rows: TrainingRows, online: OnlineSettings) -> None:
    """Raise UserError where no answer is longer than a segment: it would always be drawn as a whole."""
    longest = max(len(answer) for answer in rows.dataset["answer"])
    if online.segment is not None and online.segment >= longest:
        raise UserError(
            f"online: a segment of {online.segment} tokens is no part of an answer, of which the longest has {longest};"
            " set a smaller segment, or none (null) to draw whole answers"
        )


@dataclass(slots=True)
class Clock:
    """The time that a training has taken since it was started, and what of it was spent on making pairs, in seconds."""

    started: float = field(default_factory=time.perf_counter)
    sampling: float = 0.0

    @property
    def share(self) -> float:
        """The part of the time that was spent on making pairs."""
        return self.sampling / max(time.perf_counter() - self.started, 1e-9)


# On transformers' Trainer


class ReferenceModel:
    """The reference policy, held in memory, since the pairs are not known before."""

    def __init__(self, job: Job, arguments: Any) -> None:
        self.model, _ = load_policy(job, arguments)
        self.model.to(arguments.device).eval()
        by_blocks = use_tree_attention(self.model, arguments.device, job.settings.precision, job.settings.max_length)
        self._scorer = SequenceScorer(self.model, by_blocks=by_blocks)

    def log_probabilities(self, batch: TreeBatch) -> "Tensor":
        """Return its log-probabilities of a batch, taken as the policy's are: [rows, sequences]."""
        import torch

        with torch.no_grad():
            return self._scorer(self.model, batch).sums


def online_trainer(job: Job, rows: "Dataset", clock: Clock) -> Any:
    """Return the trainer for rows of demonstrations (`demonstration_rows`)."""
    assert job.loss is not None and job.online is not None
    trainer = preference_trainer(job, rows, _online_trainer_class())
    ema = EmaModel(job)
    reference = ReferenceModel(job, trainer.args) if job.loss.needs_reference else None
    trainer.take_models(ema, reference, OnlinePairs(job.online, job.seed, ema), clock)
    return trainer


def _online_trainer_class() -> Any:
    import torch

    of_given_pairs = preference_trainer_class()

    class OnlineTrainer(of_given_pairs):  # type: ignore[misc, valid-type]
        def take_models(
            self,
            ema: EmaModel,
            reference: ReferenceModel | None,
            pairs: OnlinePairs,
            clock: Clock,
        ) -> None:
            """Take the models beside the policy, and what makes the pairs of a step."""
            self._ema, self._reference, self._pairs, self._clock = ema, reference, pairs, clock
            self._described: OnlineStep | None = None

        def collate(self, rows: list[Any], count: int, rows_of_step: int) -> dict[str, Any]:
            """Return the demonstrations as they are: what the step trains on is made of all of them at once."""
            return {"demonstrations": rows}

        def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
            """Return the forward passes of a step: transformers asks for them when the step before is done."""
            taken, items = super().get_batch_samples(epoch_iterator, num_batches, device)
            rows = sorted((row for each in taken for row in each["demonstrations"]), key=lambda row: int(row["row"]))
            return (self._passes(self._pairs_of_step(rows)) if rows else taken), items

        def _pairs_of_step(self, rows: Sequence[Mapping[str, Any]]) -> list[OnlinePair]:
            started = time.perf_counter()
            step, batch = self.state.global_step, self.job.spread.global_batch_size
            self._move_models(step)
            epoch = step // -(-len(self.train_dataset) // batch)
            trained_on, made = self._pairs.of_step(rows, step, epoch)
            self._clock.sampling += time.perf_counter() - started
            self._described = online_step(step, trained_on, made)
            if made and step % FRESH_EVERY == 0:
                self._described = replace(self._described, fresh_margin=self._margin(made))
            return trained_on

        def _move_models(self, step: int) -> None:
            """Average the policy into the EMA model, and renew the reference, as is due before the step."""
            online = self.job.online
            if step and step % online.ema_every == 0:
                self._ema.average(self.model, online.ema)
            if step and self._reference and online.reference_every and step % online.reference_every == 0:
                source = self._ema.model if online.reference == "ema" else self.model
                self._reference.model.load_state_dict(source.state_dict())

        def _passes(self, pairs: Sequence[OnlinePair]) -> list[dict[str, Any]]:
            trees = [pair_tree(pair, self._loss.sequences, self.job.settings.max_length) for pair in pairs]
            lengths = [len(tree.ids) for tree in trees]
            passes = forward_passes(range(len(trees)), lengths, self.job.spread, self.accelerator.process_index)
            rows = [[vars(trees[place]) for place in each.rows] for each in passes]
            return [of_given_pairs.collate(self, each, len(each), len(pairs)) for each in rows]

        def _margin(self, pairs: Sequence[OnlinePair]) -> float:
            """Return the mean margin of rewards of pairs under the policy as it is."""
            margins: list[float] = []
            for inputs in self._passes(pairs):
                batch = TreeBatch.of(inputs).to(self.args.device)
                with torch.no_grad():
                    policy = self._scorer(self.model, batch)
                margins += _margins(self._loss, policy, self._reference_of(batch))
            return fmean(margins)

        def _reference_of(self, batch: TreeBatch) -> "Tensor | None":
            return None if self._reference is None else self._reference.log_probabilities(batch)

        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> "Tensor":
            """Return the step's loss, as far as it comes from these pairs."""
            reference = self._reference_of(TreeBatch.of(inputs))
            given = inputs if reference is None else inputs | {REFERENCE: reference}
            return super().compute_loss(model, given, return_outputs, num_items_in_batch)

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            """Log a step, with its pairs."""
            if self._described is not None:
                logs = logs | {name: value for name, value in asdict(self._described).items() if name != "step"}
                self._described = None
            super().log(logs, start_time)

        def save_more(self, checkpoint: Path) -> None:
            torch.save(self._ema.model.state_dict(), checkpoint / EMA)
            if self._reference is not None and self.job.online.reference:
                torch.save(self._reference.model.state_dict(), checkpoint / MOVED_REFERENCE)
            if self._pairs.buffer is not None:
                (checkpoint / BUFFER).write_text(json.dumps(self._pairs.buffer.state), encoding="utf-8")

        def load_more(self, checkpoint: Path) -> None:
            self._ema.model.load_state_dict(_weights(checkpoint / EMA, self.args.device))
            if self._reference is not None and self.job.online.reference:
                self._reference.model.load_state_dict(_weights(checkpoint / MOVED_REFERENCE, self.args.device))
            if self._pairs.buffer is not None:
                self._pairs.buffer = ReplayBuffer.of(json.loads((checkpoint / BUFFER).read_text(encoding="utf-8")))

        def write_more(self, out: Path) -> None:
            names = [each.name for each in fields(OnlineStep)]
            logged = [entry for entry in self.state.log_history if "age" in entry]
            write_rows(out / ONLINE, (OnlineStep(**{name: entry.get(name) for name in names}) for entry in logged))

    return OnlineTrainer


def _margins(loss: PreferenceLoss, policy: LogProbabilities, reference: Any) -> list[float]:
    chosen, rejected = loss.rewards(policy, reference).unbind(1)
    return [float(each) for each in chosen - rejected]


def _weights(path: Path, device: Any) -> Any:
    import torch

    return torch.load(path, map_location=device, weights_only=True)
