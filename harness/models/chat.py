"""Conversations as token ids, and drawn ids as texts: one rendering for training, generation and likelihoods."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.models.chat_template import rendered
from harness.models.checkpoint_files import read_object
from harness.models.generator import Completion, Conversation
from harness.records import Message, Prompt


def conversation(prompt: Prompt, message: str | None = None) -> Conversation:
    """Return the turns that a model reads for `prompt`, with `message` as the user's last turn if given."""
    return (*prompt.history, Message("user", prompt.text if message is None else message))


def revision_message(template: str, request: str, example: str) -> str:
    """Return the user's turn that shows an answer to `request` as an example: `template` with {request} and {example}.

    A cue for the answer that ends template and request alike, such as "TL;DR:", is there once, at the end (SRPO, arXiv
    2406.01660, appendix C.1).
    """
    cue = template.rpartition("}")[2].strip()
    if cue and request.rstrip().endswith(cue):
        request = request.rstrip().removesuffix(cue).rstrip()
    return template.format(request=request, example=example)


def prompt_text(tokenizer: Any, messages: Sequence[Message]) -> str:
    """Render the conversation in the tokenizer's chat template, up to where the answer starts.

    Raises UserError where the template refuses it, as some do a system turn.
    """
    return rendered(tokenizer, messages, answers=True)


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Return the token ids of `prompt_text`, with one BOS exactly where the tokenizer puts one before texts.

    Special tokens that are spelled out in a message are read as such, as every server with a chat template does.
    """
    ids: list[int] = tokenizer(prompt_text(tokenizer, messages), add_special_tokens=False)["input_ids"]
    start = start_ids(tokenizer)
    return ids if tuple(ids[: len(start)]) == start else [*start, *ids]


def answer_ids(tokenizer: Any, answer: str, *, is_ended: bool = True) -> list[int]:
    """Return the token ids of an answer, followed by its closing token (the tokenizer's EOS) if it has one.

    An answer that its writer did not end has none: a limit cut it off, and no model shall learn to end there, or not
    to. A special token that the answer spells out is text: no model can learn from it to end in the middle.
    """
    encoded = tokenizer(answer, add_special_tokens=False, split_special_tokens=True)
    return [*encoded["input_ids"], tokenizer.eos_token_id] if is_ended else [*encoded["input_ids"]]


def closing_ids(tokenizer: Any, folder: Path) -> list[int]:
    """Return the tokens that end an answer: the tokenizer's EOS, and those that the checkpoint in `folder` declares.

    Raises UserError for a declaration that cannot be read.
    """
    paths = [folder / name for name in ("generation_config.json", "config.json")]
    path = next((path for path in paths if path.is_file()), None)  # the second stands in for the first
    declared = read_object(path).get("eos_token_id") if path else None
    ids = declared if isinstance(declared, list) else [] if declared is None else [declared]
    if not all(type(each) is int for each in ids):
        raise UserError(f"cannot read which tokens end an answer from {path}: eos_token_id is {declared!r}, no number")
    return list(dict.fromkeys([tokenizer.eos_token_id, *ids]))


def completion(tokenizer: Any, drawn: Sequence[int], ends: Collection[int], limit: int) -> Completion:
    """Decode a drawn answer, up to the first of the tokens `ends`, or cut after `limit` tokens."""
    cut = drawn[:limit]
    end = next((place for place, token in enumerate(cut) if token in ends), None)
    ids = tuple(cut[:end])
    text = tokenizer.decode(ids, skip_special_tokens=True)
    return Completion(text, ids, "length" if end is None else "stop")


@lru_cache(maxsize=8)
def start_ids(tokenizer: Any) -> tuple[int, ...]:
    """Return the BOS that the tokenizer puts before every text, if any."""
    alone = tokenizer("")["input_ids"]
    return (tokenizer.bos_token_id,) if tokenizer.bos_token_id in alone else ()
