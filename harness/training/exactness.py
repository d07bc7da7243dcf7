"""The trial of token trees on an architecture: whether it attends as their masks and positions say."""

from typing import TYPE_CHECKING, Any

from harness.errors import UserError
from harness.models.hf import silence_libraries
from harness.training.attention import one_layer, use_query_blocks
from harness.training.scoring import SequenceScorer, tree_batch
from harness.training.token_tree import token_tree

if TYPE_CHECKING:
    from torch import Tensor

VOCABULARY = 64
PROMPT = tuple(range(3, 15))
PAIRS = (
    ([*PROMPT, 20, 21, 22, 23, 24], [*PROMPT, 30, 31, 20]),
    ([*PROMPT[::-1], 40, 41], [*PROMPT[::-1], 50, 51, 52, 53]),
)
"""Sequences of rows that share a line: what a token should not see stands before it."""
TOLERANCE = 1e-4
"""Nats of a sum. Rounding stays below 1e-5; sequences that see each other were off by 1e-2 and more."""


def require_exact_trees(config: Any) -> None:
    """Raise UserError for an architecture that token trees would not be exact for, such as one with ALiBi.

    One layer of it, with weights drawn here, scores sequences in trees and each by itself. An architecture of which no
    single layer can be made is not tried.
    """
    import torch

    silence_libraries()
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(0)
        try:
            model = one_layer(config.get_text_config(), vocabulary=VOCABULARY).to("cpu", torch.float32).eval()
        except Exception:  # configurations refuse what does not suit them in many ways
            return
        alone = torch.stack([_sum_alone(model, sequence) for pair in PAIRS for sequence in pair])
        if not torch.cuda.is_available():
            use_query_blocks(model)
        scorer = SequenceScorer(model)
        batch = tree_batch([token_tree(pair, [len(PROMPT)] * 2) for pair in PAIRS], 2, pad=0)
        try:
            in_trees = scorer(model, batch).sums.flatten()
        except (TypeError, ValueError, RuntimeError):  # it takes no mask of every two tokens, or no positions
            raise _not_exact(model) from None
    if not torch.allclose(in_trees, alone, rtol=0, atol=TOLERANCE):
        raise _not_exact(model)


def _sum_alone(model: Any, sequence: list[int]) -> "Tensor":
    """Return the log-probability of what follows the prompt in one sequence, from the model's own logits."""
    import torch

    ids = torch.tensor([sequence])
    log_probabilities = model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)[0, :-1]
    return log_probabilities.gather(1, ids[0, 1:, None])[len(PROMPT) - 1 :].sum()


def _not_exact(model: Any) -> UserError:
    return UserError(
        f"cannot train {type(model).__name__} on pairs: it does not attend as masks and positions say, so that"
        " the sequences of a pair would see each other; choose another base model"
    )
