"""Log-probabilities of preference pairs under the frozen reference: the part of DPO's loss that stays constant."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.models.context_length import require_max_length
from harness.models.hf import LOGITS_AT_ONCE, length_buckets, load_checkpoint
from harness.records import PreferencePair
from harness.training.rows import UNSCORED, ReferenceLogProbability, cut, pair_ids
from harness.training.settings import Precision, autocast

if TYPE_CHECKING:
    import torch

SCORED_AT_ONCE = 2**25  # logits in single precision whose log-softmax is taken at once: 128 MiB


class ReferenceScorer:
    """Log-probabilities of both answers under the frozen reference, computed as a training computes them."""

    def __init__(self, folder: Path, max_length: int, precision: Precision) -> None:
        """Raise UserError as `load_checkpoint` does, and for rows that the model does not hold."""
        import torch

        model, self._tokenizer = load_checkpoint(folder)
        require_max_length(max_length, model.config, str(folder))
        self._model = model.to(torch.float32).eval()  # as a training keeps them
        self._max_length = max_length
        self._precision = precision

    def log_probabilities(self, pairs: Sequence[PreferencePair]) -> list[ReferenceLogProbability]:
        """Sum the log-probabilities of each answer's tokens (`pair_ids`), cut at `max_length`; in nats, one a pair.

        Pairs of like length should stand together. An answer of which nothing is left has 0.
        """
        rows = [row for pair in pairs for row in self._rows(pair)]
        most_tokens = LOGITS_AT_ONCE // self._model.config.get_text_config().vocab_size
        parts = length_buckets([len(ids) for ids, _ in rows], most_tokens)
        sums = [each for part in parts for each in self._measure(rows[part])]
        return [
            ReferenceLogProbability(pair.prompt.id, chosen, rejected)
            for pair, chosen, rejected in zip(pairs, sums[::2], sums[1::2], strict=True)
        ]

    def _rows(self, pair: PreferencePair) -> list[tuple[list[int], int]]:
        """Return (token ids, number of prompt tokens among them) for both answers."""
        prompt, *answers = pair_ids(pair, self._tokenizer)
        start = prompt[: self._max_length]
        return [([*start, *cut(prompt, answer, self._max_length)], len(start)) for answer in answers]

    def _measure(self, rows: Sequence[tuple[list[int], int]]) -> list[float]:
        """Score `rows` in one forward pass."""
        import torch

        width = max(len(ids) for ids, _ in rows)
        device = self._model.device
        pad = self._tokenizer.pad_token_id
        ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows], device=device)
        mask = torch.tensor([[int(i < len(ids)) for i in range(width)] for ids, _ in rows], device=device)
        labels = torch.tensor(
            [[ids[i] if start <= i < len(ids) else UNSCORED for i in range(width)] for ids, start in rows],
            device=device,
        )
        with torch.inference_mode(), autocast(self._precision, device.type):
            logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        return _sums(logits[:, :-1], labels[:, 1:])


def _sums(logits: "torch.Tensor", labels: "torch.Tensor") -> list[float]:
    """Sum the log-probabilities of each row's labels; logits [rows, width, vocabulary], labels [rows, width]."""
    import torch
    from torch.nn.functional import cross_entropy

    sums = torch.zeros(len(labels), dtype=torch.float64)
    rows, places = (labels != UNSCORED).nonzero(as_tuple=True)
    chunk = max(1, SCORED_AT_ONCE // logits.shape[-1])
    for some_rows, some_places in zip(rows.split(chunk), places.split(chunk), strict=True):
        scored = logits[some_rows, some_places].float()
        losses = cross_entropy(scored, labels[some_rows, some_places], reduction="none")
        sums.index_add_(0, some_rows.cpu(), -losses.double().cpu())
    return sums.tolist()
