"""The checks of a base model's tokenizer and chat template: what training and generation give the model, token by
token."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.engine.artifacts import Artifact
from harness.engine.graph import short_label
from harness.errors import UserError
from harness.models.chat import closing_ids, conversation, prompt_ids, start_ids
from harness.models.chat_template import DAY, asks_for_day, on_one_day, rendered
from harness.models.context_length import context_length, require_max_length
from harness.models.hf import load_config, load_tokenizer
from harness.preflight.check import Check
from harness.preflight.context import NotAtHand, PreflightContext, TrainingRow
from harness.records import Message, PreferencePair, Prompt, Response
from harness.steps.respond import render
from harness.training.losses import CHOSEN, REJECTED, ScoredSequence
from harness.training.rows import PairEncoding, TrainingRows, preference_rows, sft_rows

SAMPLE = 256
"""Rows of each data set whose tokens are looked at, evenly spread."""

WARNING_SHARE, FAILURE_SHARE = 0.02, 0.5
"""Of the rows that lose their end: a larger share than the first is warned of, one above the second fails."""

_MARK = "an answer"


@dataclass(frozen=True, slots=True)
class Examples:
    """A sample of what one training stage is given: `Response` rows, or pairs."""

    role: str
    stage: str
    max_length: int
    rows: Sequence[TrainingRow]
    sequences: tuple[ScoredSequence, ...] = (CHOSEN, REJECTED)
    """Of pairs, what the stage's loss scores."""
    revision_prompt: str = ""


def token_checks(context: PreflightContext) -> Iterator[Check]:
    """Check for each base model its tokenizer, BOS and closing tokens, parity, and what each stage cuts off."""
    for name in context.models:
        what = f"tokenizer of {name}"
        try:
            folder = context.described(context.base(name))
            yield from _checks_of(name, load_tokenizer(folder), folder, context)
        except NotAtHand as error:
            yield Check("warning", what, f"not checked: {error}")
        except UserError as error:
            yield Check("failure", what, str(error))


def _checks_of(name: str, tokenizer: Any, folder: Path, context: PreflightContext) -> Iterator[Check]:
    """Check one model's tokenizer; where it is fit for anything, what it makes of the run's rows."""
    found = check_tokenizer(name, tokenizer, folder)
    yield found
    if found.state == "failure":
        return
    yield from check_context(context, name, folder)
    yield from check_day(name, tokenizer)
    examples = training_examples(context, name, tokenizer)
    try:
        rows = [row for each in examples for row in tokenized(each.rows, tokenizer)]
    except UserError as error:
        yield Check("failure", f"prompts of {name}", str(error))
        return
    if not rows:
        yield Check("warning", f"prompts of {name}", "not checked: no training data is available")
        return
    yield check_start(name, tokenizer, rows)
    yield check_closing(name, tokenizer, folder, rows)
    yield check_parity(name, tokenizer, rows)
    yield from (check_lengths(name, tokenizer, each) for each in examples)


def training_examples(context: PreflightContext, model: str, tokenizer: Any) -> list[Examples]:
    """Return samples of the training sets that can be read, as the stages get them.

    An improver's prompts are known beforehand but for their drafts; references, cut as drafts are, stand in for them.
    """
    found = []
    for name, data in context.training_data().items():
        stage = context.first_training(model, data.artifact)
        if stage is None:
            continue
        with suppress(UserError):  # the checks of the data say it
            rows = evenly_spaced(context.rows(data))
            made_from = stage.inputs.get("examples")
            template = made_from.params.get("template") if isinstance(made_from, Artifact) else None
            if template:  # else the prompts are the data's own
                rows = [_refined(row, template, tokenizer, context.recipe.sampling.max_new_tokens) for row in rows]
            examples = Examples(name, short_label(stage), context.settings(stage).max_length, rows)
            if "loss" in stage.arguments:
                loss, prompt = stage.arguments["loss"], stage.arguments.get("revision_prompt", "")
                examples = replace(examples, sequences=loss.sequences, revision_prompt=prompt)
            found.append(examples)
    return found


def _refined(row: TrainingRow, template: str, tokenizer: Any, longest: int) -> Response:
    assert isinstance(row, Response)
    ids = tokenizer(row.text, add_special_tokens=False)["input_ids"]
    draft = row.text if len(ids) <= longest else tokenizer.decode(ids[:longest], skip_special_tokens=True)
    prompt_text = render(template, replace(row, text=draft), row.text)
    return Response(Prompt(row.prompt.id, prompt_text), row.text, row.writer)


def evenly_spaced(rows: Sequence[TrainingRow]) -> list[TrainingRow]:
    """Return at most `SAMPLE` of the rows, evenly spread."""
    return [rows[number * len(rows) // SAMPLE] for number in range(SAMPLE)] if len(rows) > SAMPLE else list(rows)


def training_rows(examples: Examples, tokenizer: Any) -> TrainingRows:
    """Return the rows as a trainer gets them, by the functions that training itself uses."""
    pairs = [row for row in examples.rows if isinstance(row, PreferencePair)]
    if pairs:
        encoding = PairEncoding(
            tokenizer, examples.max_length, examples.sequences, revision_prompt=examples.revision_prompt
        )
        return preference_rows(pairs, None, encoding)
    return sft_rows([row for row in examples.rows if isinstance(row, Response)], tokenizer, examples.max_length)


@dataclass(frozen=True, slots=True)
class Tokens:
    """One row as token ids: its prompt in generation and in training, and the answers that follow it."""

    row: TrainingRow
    generation_prompt: list[int]
    training_prompt: list[int]
    answers: tuple[list[int], ...]


def tokenized(rows: Sequence[TrainingRow], tokenizer: Any) -> list[Tokens]:
    """Tokenize the rows by the functions that training and generation use.

    Raises UserError for rows that cannot be trained on.
    """
    generated = [prompt_ids(tokenizer, conversation(row.prompt)) for row in rows]
    pairs = [row for row in rows if isinstance(row, PreferencePair)]
    if pairs:
        return [_tokens_of_pair(*each, tokenizer) for each in zip(pairs, generated, strict=True)]
    responses = [row for row in rows if isinstance(row, Response)]
    trained = sft_rows(responses, tokenizer, sys.maxsize).dataset.to_dict() if rows else {"input_ids": [], "labels": []}
    return [
        Tokens(row, ids, trained_ids[: len(ids)], (labels[len(ids) :],))
        for row, ids, trained_ids, labels in zip(rows, generated, trained["input_ids"], trained["labels"], strict=True)
    ]


def _tokens_of_pair(pair: PreferencePair, generated: list[int], tokenizer: Any) -> Tokens:
    encoded = PairEncoding(tokenizer, sys.maxsize)(pair)
    start = encoded.starts[0]
    return Tokens(pair, generated, encoded.sequences[0][:start], tuple(ids[start:] for ids in encoded.sequences))


def check_tokenizer(name: str, tokenizer: Any, folder: Path) -> Check:
    """Check for what training and generation need: a chat template, a closing token, a token to pad with."""
    what, where = f"tokenizer of {name}", f"base_models.{name} in the recipe"
    if not tokenizer.chat_template:
        return Check("failure", what, f"no chat template: name one as chat_template of {where}")
    if tokenizer.eos_token_id is None:
        return Check("failure", what, f"no closing token (EOS): name one as closing_token of {where}")
    try:
        prompt_ids(tokenizer, [Message("user", "a message")])
        known = load_config(folder).vocab_size
    except UserError as error:
        return Check("failure", what, f"{error}: name another as chat_template of {where}")
    if len(tokenizer) > known:
        return Check("failure", what, f"{len(tokenizer)} tokens, and the model knows {known}: take its own tokenizer")
    if tokenizer.pad_token_id is None:
        return Check("warning", what, f"no pad token: {tokenizer.eos_token!r} pads, which bears no loss there")
    return Check("ok", what, f"chat template, closing token {tokenizer.eos_token!r}, pad token {tokenizer.pad_token!r}")


def check_context(context: PreflightContext, name: str, folder: Path) -> Iterator[Check]:
    """Check that the model holds the longest rows that the run trains it on, if it trains it."""
    what, lengths = f"context of {name}", [context.settings(each).max_length for each in context.trainings(name)]
    if not lengths:
        return
    longest, config = max(lengths), load_config(folder)
    try:
        require_max_length(longest, config, name)
    except UserError as error:
        yield Check("failure", what, str(error))
    else:
        yield Check("ok", what, f"{context_length(config)} tokens, and rows are cut at {longest} or before")


def check_day(name: str, tokenizer: Any) -> Iterator[Check]:
    """Warn of a chat template that writes the day's date."""
    if asks_for_day(tokenizer):
        detail = f"the chat template asks for the date, and is given {DAY:%-d %B %Y} in training and generation alike"
        yield Check("warning", f"date of {name}", f"{detail}, whenever they are; a server would give another")


def check_start(name: str, tokenizer: Any, rows: Sequence[Tokens]) -> Check:
    """Check for exactly one BOS, at the start, where the tokenizer puts one before texts; else at most one there."""
    what, start = f"BOS of {name}", tokenizer.bos_token_id
    puts_one = bool(start_ids(tokenizer))
    wrong = sum(
        (ids[0] != start or ids.count(start) != 1) if puts_one else start is not None and ids[:2] == [start, start]
        for ids in (row.training_prompt for row in rows)
    )
    if wrong:
        detail = f"{wrong} of {len(rows)} prompts do not start with exactly one {tokenizer.bos_token!r}"
        return Check("failure", what, f"{detail}: remove it from the chat template")
    has = f"exactly one {tokenizer.bos_token!r}" if puts_one else "none, as its tokenizer puts none before texts"
    return Check("ok", what, f"{has}, in {len(rows)} prompts")


def check_closing(name: str, tokenizer: Any, folder: Path, rows: Sequence[Tokens]) -> Check:
    """Check for exactly one closing token at the end of trained answers, as the chat template closes them."""
    what, end = f"closing token of {name}", tokenizer.eos_token_id
    answers = [answer for row in rows for answer in row.answers]
    wrong = sum(ids.count(end) != 1 or ids[-1] != end for ids in answers)
    if wrong:
        detail = f"{wrong} of {len(answers)} answers do not have exactly one {tokenizer.eos_token!r}, at their end"
        return Check("failure", what, f"{detail}: report it as a bug")
    closes = template_closing(tokenizer)
    if closes not in (None, end):
        token = tokenizer.convert_ids_to_tokens(closes)
        detail = f"the chat template closes answers with {token!r}, training with {tokenizer.eos_token!r}"
        return Check("warning", what, f"{detail}: set closing_token of base_models.{name} in the recipe")
    others = tokenizer.convert_ids_to_tokens([each for each in closing_ids(tokenizer, folder) if each != end])
    also = f"; generation also stops at {', '.join(map(repr, others))}" if others else ""
    return Check("ok", what, f"exactly one {tokenizer.eos_token!r}, at the end of {len(answers)} answers{also}")


def template_closing(tokenizer: Any) -> int | None:
    """Return the first token that the chat template puts after an answer; None where it puts none but blanks."""
    turns = [Message("user", "a message"), Message("assistant", _MARK)]
    after = rendered(tokenizer, turns, answers=False).rpartition(_MARK)[2]
    ids: list[int] = tokenizer(after.strip(), add_special_tokens=False)["input_ids"]
    return ids[0] if ids else None


def check_parity(name: str, tokenizer: Any, rows: Sequence[Tokens]) -> Check:
    """Check that prompts are the same tokens in training, in generation and by the tokenizer's own template."""
    what = f"prompts of {name}"
    if different := sum(row.training_prompt != row.generation_prompt for row in rows):
        detail = f"{different} of {len(rows)} are different tokens in training and in generation"
        return Check("failure", what, f"{detail}: report it as a bug")
    if unlike := sum(row.generation_prompt != _rendered(tokenizer, row.row) for row in rows):
        detail = f"{unlike} of {len(rows)} differ from the tokenizer's own rendering of its chat template"
        return Check("failure", what, f"{detail}: name another chat_template of base_models.{name} in the recipe")
    return Check("ok", what, f"the same tokens in training, in generation and by its own template, in {len(rows)} rows")


def _rendered(tokenizer: Any, row: TrainingRow) -> list[int]:
    """Render the prompt by the tokenizer's own function, with the BOS that it would put before a text."""
    turns = [{"role": turn.role, "content": turn.content} for turn in conversation(row.prompt)]
    template = on_one_day(tokenizer.get_chat_template())
    ids: list[int] = tokenizer.apply_chat_template(
        turns, chat_template=template, add_generation_prompt=True, return_dict=False
    )
    start = start_ids(tokenizer)
    return ids if tuple(ids[: len(start)]) == start else [*start, *ids]


def check_lengths(name: str, tokenizer: Any, examples: Examples) -> Check:
    """Check the share of rows that a stage cuts off, and of those that keep their closing token."""
    what = f"{examples.role} for {name}"
    try:
        rows = training_rows(examples, tokenizer)
    except UserError as error:
        return Check("failure", what, str(error))
    count = len(examples.rows)
    detail = (
        f"{rows.truncated / count:.1%} truncated at {examples.max_length} tokens ({examples.stage}),"
        f" {rows.dropped / count:.1%} dropped, {rows.closed / count:.1%} keep their closing token, of {count} rows"
    )
    if rows.identical:
        detail += f", {rows.identical} pairs are the same answer twice, as training sees them"
    lost = count - rows.closed
    if lost > FAILURE_SHARE * count:
        return Check("failure", what, f"{detail}: raise max_length, or the model learns answers without an end")
    if lost > WARNING_SHARE * count:
        return Check("warning", what, f"{detail}: raise max_length to keep more")
    if rows.identical:
        return Check("warning", what, f"{detail}: remove them, as they teach nothing")
    return Check("ok", what, detail)
