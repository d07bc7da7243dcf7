"""The context length of a model, and its limits on prompts, answers and training rows."""

import sys
from collections.abc import Sequence
from typing import Any

from harness.errors import UserError
from harness.models.generator import Conversation

PROMPT_CHARACTERS = 60
"""Characters of a prompt that an error shows."""


def context_length(config: Any) -> int:
    """Return how many tokens a model with this configuration holds.

    Beyond, it fails with learned positions, and gives meaningless numbers with rotary ones.
    """
    return getattr(config.get_text_config(), "max_position_embeddings", None) or sys.maxsize


def answer_token_limits(
    conversations: Sequence[Conversation], prompts: Sequence[Sequence[int]], most: int, limit: int, model: str
) -> list[int]:
    """Return the most tokens that the answer to each prompt may have: `most`, or what is left of the model's `limit`.

    Raises UserError for the first of `conversations` (rendered as `prompts`) that leaves none.
    """
    for turns, ids in zip(conversations, prompts, strict=True):
        if len(ids) >= limit:
            raise UserError(
                f"the prompt that starts with {turns[-1].content[:PROMPT_CHARACTERS]!r} has {len(ids)} tokens, and"
                f" {model} holds {limit}, its answer included; leave it out of the data, or take a model with a longer"
                " context"
            )
    return [min(most, limit - len(ids)) for ids in prompts]


def require_max_length(max_length: int, config: Any, model: str) -> None:
    """Raise UserError where rows of a training, cut at `max_length` tokens, may be more than the model holds."""
    limit = context_length(config)
    if max_length > limit:
        raise UserError(
            f"max_length {max_length} is more than the {limit} tokens that {model} holds; set max_length to {limit} or"
            " less in the scale's settings, or take a model with a longer context"
        )
