"""Log-probabilities of the sequences of token trees under a causal language model, without logits of whole batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.errors import UserError
from harness.training.batches import LOGITS_AT_ONCE
from harness.training.lines import Lines, attention_masks, block_mask, dense_mask
from harness.training.losses import LogProbabilities
from harness.training.token_tree import TokenTree

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


CHANGES_OF_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
"""Settings of architectures that do something to logits after the output layer."""
LAYER_TYPES = {"full_attention", "sliding_attention"}
"""Layers that take one of our `attention_masks`; others would see more than a token's own sequence."""


@dataclass(frozen=True)
class TreeBatch:
    """Token trees of a forward pass, in lines that hold one or more."""

    input_ids: "Tensor"
    """[lines, width]"""
    depths: "Tensor"
    """[lines, width]: positions."""
    members: "Tensor"
    """[lines, width]: bit i is set where a token is part of its row's sequence i; 0 where a line is filled up."""
    rows: "Tensor"
    """[lines, width]: the row that a token is of; -1 where a line is filled up."""
    places: "Tensor"
    """[scored]: which token predicts each scored one, counted over all lines."""
    targets: "Tensor"
    """[scored]: the ids of the scored tokens."""
    owners: "Tensor"
    """[scored]: which sequence each is scored for, counted over all rows."""
    tokens: "Tensor"
    """[rows, sequences]: how many tokens are scored of each."""

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> "TreeBatch":
        """Return the batch among the inputs of a forward pass."""
        return cls(**{each.name: inputs[each.name] for each in fields(cls)})

    def to(self, device: "torch.device") -> "TreeBatch":
        """Return the batch on a device."""
        return TreeBatch(**{name: each.to(device) for name, each in vars(self).items()})


def tree_batch(trees: Sequence[TokenTree], sequences: int, pad: int) -> TreeBatch:
    """Return the trees, of `sequences` sequences each, as the tensors of one forward pass."""
    import numpy as np
    import torch

    lengths = [len(tree.ids) for tree in trees]
    lines = Lines(lengths)

    def joined(parts: "Iterable[NDArray[Any]]") -> "Tensor":
        return torch.from_numpy(np.concatenate([np.asarray(part, np.int64) for part in parts]))

    owners = joined(tree.owners + row * sequences for row, tree in enumerate(trees))
    return TreeBatch(
        input_ids=lines.filled([tree.ids for tree in trees], pad),
        depths=lines.filled([tree.depths for tree in trees], 0),
        members=lines.filled([tree.members for tree in trees], 0),
        rows=lines.rows(lengths),
        places=joined(tree.places + start for tree, start in zip(trees, lines.starts, strict=True)),
        targets=joined(tree.targets for tree in trees),
        owners=owners,
        tokens=torch.bincount(owners, minlength=len(trees) * sequences).view(len(trees), sequences),
    )


class ScoringHead:
    """A causal language model's output layer, which returns log-probabilities in the place of logits while it scores.

    It is then applied to the tokens that predict a scored one alone, and a chunk of them at a time. All is done in
    hooks of that layer, inside the model's own forward pass: so it is where the weights of a sharded model are
    gathered.
    """

    def __init__(self, model: Any) -> None:
        """Take the output layer of a model that has no `head_obstacle`."""
        head = model.get_output_embeddings()
        head.register_forward_pre_hook(self._take_hidden)
        head.register_forward_hook(self._score)
        self._scored: tuple[Tensor, Tensor] | None = None

    @contextmanager
    def scoring(self, places: "Tensor", targets: "Tensor") -> "Iterator[None]":
        """Have forward passes inside return the log-probabilities of `targets`, [scored], as their logits.

        `places` are the tokens that predict them, counted over all lines: [scored].
        """
        self._scored = places, targets
        try:
            yield
        finally:
            self._scored = None

    def _take_hidden(self, head: Any, arguments: tuple["Tensor"]) -> tuple["Tensor"] | None:
        """Keep the hidden states of the predicting tokens, and leave the layer itself nothing to compute."""
        if self._scored is None:
            return None
        (hidden,) = arguments
        self._hidden = hidden.flatten(0, 1)[self._scored[0]]
        return (hidden[:, :0],)

    def _score(self, head: Any, _: tuple["Tensor"], logits: "Tensor") -> "Tensor":
        """Return the log-probabilities of the targets, [scored], in the place of logits."""
        if self._scored is None:
            return logits
        hidden, self._hidden = self._hidden, logits  # no longer kept than needed
        return target_log_probabilities(hidden, head.weight, head.bias, self._scored[1])


class SequenceScorer:
    """A causal language model that returns the log-probabilities of scored tokens in the place of logits."""

    def __init__(self, model: Any, *, by_blocks: bool = False) -> None:
        """Take a model that attends `by_blocks` where `use_tree_attention` says so, else by a dense mask.

        Raises UserError for one that does not end in a linear layer without adapters, or does not attend as our masks
        say.
        """
        _require_plain_head(model)
        if obstacle := head_obstacle(model) or _attention_obstacle(model):
            raise UserError(f"cannot train {type(model).__name__} on pairs: {obstacle}; choose another base model")
        self._head = ScoringHead(model)
        self._config = model.config.get_text_config()
        self._by_blocks = by_blocks

    def __call__(self, model: Any, batch: TreeBatch) -> LogProbabilities:
        """Return what `model`, the one given before or a wrapper of it, says of the batch."""
        made = block_mask if self._by_blocks else partial(dense_mask, dtype=next(model.parameters()).dtype)
        masks = attention_masks(batch.rows, batch.members, batch.depths, self._config, made)
        with self._head.scoring(batch.places, batch.targets):
            scores = model(
                input_ids=batch.input_ids, attention_mask=masks, position_ids=batch.depths, use_cache=False
            ).logits.float()
        sums = scores.new_zeros(batch.tokens.numel()).index_add(0, batch.owners, scores)
        return LogProbabilities(sums.view(batch.tokens.shape), batch.tokens.clamp(min=1))


def _require_plain_head(model: Any) -> None:
    """Raise UserError where the model's output layer has adapters: what is scored would leave them out."""
    head = model.get_output_embeddings()
    if hasattr(head, "base_layer"):  # as peft wraps a layer
        name = next(name.rpartition(".")[2] for name, module in model.named_modules() if module is head)
        raise UserError(
            f"lora: on pairs the output layer cannot have adapters; take {name} out of target_modules, or leave"
            " target_modules out for those of the architecture"
        )


def head_obstacle(model: Any) -> str | None:
    """Return why a `ScoringHead` cannot stand in for the model's logits; None where it can."""
    from torch.nn import Linear

    config = model.config.get_text_config()
    if not isinstance(model.get_output_embeddings(), Linear):
        return "its output layer is not linear"
    if changing := [name for name in CHANGES_OF_LOGITS if getattr(config, name, None) not in (None, 1)]:
        return f"it changes logits after its output layer ({changing[0]} in config.json)"
    return None


def _attention_obstacle(model: Any) -> str | None:
    """Return why the model does not attend as the masks of token trees say; None where it does."""
    config = model.config.get_text_config()
    if getattr(config, "num_attention_heads", None) is None:
        return "it has no attention"
    kinds = getattr(config, "layer_types", None) or getattr(config, "attention_layers", None)  # the latter of GPT-Neo
    if others := sorted(set(kinds or ()) - LAYER_TYPES):
        return f"it has layers of another kind than attention over all or over a window ({others[0]} in config.json)"
    return None


def target_log_probabilities(hidden: "Tensor", weight: "Tensor", bias: "Tensor | None", targets: "Tensor") -> "Tensor":
    """Return log softmax(hidden · weightᵀ + bias) of the targets, a chunk of them at a time.

    Where there is more than one chunk, the backward pass computes the logits again.
    hidden [scored, width], weight [vocabulary, width], targets [scored]; the result is [scored], in float32.
    """
    import torch
    from torch.nn.functional import cross_entropy, linear
    from torch.utils.checkpoint import checkpoint

    def chunk(some_hidden: "Tensor", some_targets: "Tensor") -> "Tensor":
        return -cross_entropy(linear(some_hidden, weight, bias).float(), some_targets, reduction="none")

    size = max(1, LOGITS_AT_ONCE // len(weight))
    if len(targets) <= size:
        return chunk(hidden, targets)
    chunks = zip(hidden.split(size), targets.split(size), strict=True)
    return torch.cat([checkpoint(chunk, *each, use_reentrant=False) for each in chunks])
