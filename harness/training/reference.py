"""Log-probabilities of preference pairs under the frozen reference: what stays constant of a preference loss."""

from collections.abc import Sequence
from pathlib import Path

from harness.models.context_length import require_max_length
from harness.models.hf import length_buckets, load_checkpoint
from harness.records import PreferencePair
from harness.training.attention import use_tree_attention
from harness.training.exactness import require_exact_trees
from harness.training.losses import CHOSEN, REJECTED, ScoredSequence
from harness.training.rows import PairEncoding, ReferenceLogProbabilities
from harness.training.scoring import SequenceScorer, tree_batch
from harness.training.settings import Precision, autocast

TOKENS_AT_ONCE = 4096
"""Tokens of a forward pass: more are no faster, on a processor they are slower."""


class ReferenceScorer:
    """Log-probabilities of the scored sequences of pairs under the frozen reference, computed as a training does."""

    def __init__(
        self,
        folder: Path,
        max_length: int,
        precision: Precision,
        sequences: Sequence[ScoredSequence] = (CHOSEN, REJECTED),
        revision_prompt: str = "",
    ) -> None:
        """Raise UserError as `load_checkpoint` and `require_exact_trees` do, and for rows beyond its context."""
        import torch

        model, tokenizer = load_checkpoint(folder)
        require_max_length(max_length, model.config, str(folder))
        require_exact_trees(model.config)
        self._model = model.to(torch.float32).eval()  # as a training keeps them
        by_blocks = use_tree_attention(self._model, self._model.device, precision, max_length)
        self._scorer = SequenceScorer(self._model, by_blocks=by_blocks)
        self._encoding = PairEncoding(tokenizer, max_length, sequences, revision_prompt=revision_prompt)
        self._precision = precision

    def log_probabilities(self, pairs: Sequence[PreferencePair]) -> list[ReferenceLogProbabilities]:
        """Sum the log-probabilities of each sequence's scored tokens (`PairEncoding`); in nats, one row a pair.

        Pairs of like length should stand together. A sequence of whose target nothing is left has 0.
        """
        import torch

        trees = [self._encoding(pair).tree for pair in pairs]
        device = self._model.device
        sums: list[list[float]] = []
        for part in length_buckets([len(tree.ids) for tree in trees], TOKENS_AT_ONCE):
            batch = tree_batch(trees[part], len(self._encoding.sequences), self._encoding.tokenizer.pad_token_id)
            with torch.inference_mode(), autocast(self._precision, device.type):
                sums += self._scorer(self._model, batch.to(device)).sums.tolist()
        return [ReferenceLogProbabilities(pair.prompt.id, tuple(row)) for pair, row in zip(pairs, sums, strict=True)]
