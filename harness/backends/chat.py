"""Conversations as token ids: one rendering for training, generation and likelihoods."""

from collections.abc import Sequence
from typing import Any

from harness.backends.interfaces import Conversation
from harness.core.records import Message, Prompt


def conversation(prompt: Prompt, message: str | None = None) -> Conversation:
    """What a model is shown of `prompt`; with `message` in the place of the user's last turn, if one is given."""
    return (*prompt.history, Message("user", prompt.text if message is None else message))


def prompt_text(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The conversation in the tokenizer's chat template, up to where the answer starts."""
    turns = [{"role": turn.role, "content": turn.content} for turn in messages]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return text


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The token ids of `prompt_text`, with one BOS where the tokenizer puts one before texts, and none elsewhere."""
    ids: list[int] = tokenizer(prompt_text(tokenizer, messages), add_special_tokens=False)["input_ids"]
    start = _start(tokenizer)
    return ids if ids[: len(start)] == start else [*start, *ids]


def answer_ids(tokenizer: Any, answer: str) -> list[int]:
    """The token ids of an answer, its closing token (the tokenizer's EOS) included. They follow `prompt_ids`."""
    ids: list[int] = tokenizer(answer, add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id]


def _start(tokenizer: Any) -> list[int]:
    """The BOS that the tokenizer puts before every text, as a list; empty where it puts none."""
    alone = tokenizer("")["input_ids"]
    return [tokenizer.bos_token_id] if tokenizer.bos_token_id in alone else []
