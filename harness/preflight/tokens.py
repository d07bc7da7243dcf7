"""How a base model's tokenizer writes conversations: what training and generation give the model, token by token."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.engine.artifacts import Artifact
from harness.errors import UserError
from harness.models.chat import closing_ids, conversation, prompt_ids, start_ids
from harness.models.chat_template import DAY, asks_for_day, on_one_day, rendered
from harness.models.context import context_length, require_max_length
from harness.models.hf import load_config, load_tokenizer
from harness.plan.settings import stage_name
from harness.plan.steps import training_settings
from harness.preflight.check import Check
from harness.preflight.subject import NotAtHand, Row, Subject
from harness.records import Message, PreferencePair, Prompt, Response
from harness.steps.respond import render
from harness.training.rows import ReferenceLogProbability, Rows, preference_rows, sft_rows

SAMPLE = 256
"""Rows of each data set whose tokens are looked at, evenly spread."""

MANY, MOST = 0.02, 0.5
"""Of the rows that lose their end: a larger share than the first is warned of, one above the second fails."""

_MARK = "an answer"


@dataclass(frozen=True, slots=True)
class Examples:
    """A sample of what one training stage is given: `Response` rows, or pairs."""

    role: str
    stage: str
    max_length: int
    rows: Sequence[Row]


def token_checks(subject: Subject) -> Iterator[Check]:
    """For each base model: its tokenizer, BOS and closing tokens, parity, and what each stage cuts off."""
    for name in subject.models:
        try:
            folder = subject.described(subject.base(name))
            tokenizer = load_tokenizer(folder)
        except NotAtHand as error:
            yield Check("warning", f"tokenizer of {name}", f"not looked at: {error}")
            continue
        except UserError as error:
            yield Check("failure", f"tokenizer of {name}", str(error))
            continue
        found = check_tokenizer(name, tokenizer, folder)
        yield found
        if found.state != "failure":
            yield from check_context(subject, name, folder)
            yield from check_day(name, tokenizer)
            yield from _rendering_checks(subject, name, tokenizer, folder)


def _rendering_checks(subject: Subject, name: str, tokenizer: Any, folder: Path) -> Iterator[Check]:
    examples = training_examples(subject, name, tokenizer)
    try:
        rows = [row for each in examples for row in tokenized(each.rows, tokenizer)]
    except UserError as error:
        yield Check("failure", f"prompts of {name}", str(error))
        return
    if not rows:
        yield Check("warning", f"prompts of {name}", "not looked at: no training data is at hand")
        return
    yield check_start(name, tokenizer, rows)
    yield check_closing(name, tokenizer, folder, rows)
    yield check_parity(name, tokenizer, rows)
    for each in examples:
        yield check_lengths(name, tokenizer, each)


def training_examples(subject: Subject, model: str, tokenizer: Any) -> list[Examples]:
    """Samples of the training sets that can be read, as the stages see them.

    An improver's prompts are known beforehand but for their drafts; references, cut as drafts are, stand in for them.
    """
    found = []
    for name, data in subject.training_data().items():
        stage = subject.first_training(model, data.artifact)
        if stage is None:
            continue
        with suppress(UserError):  # the checks of the data say it
            rows = spread_out(subject.rows(data))
            if template := _template(stage):
                rows = [_refined(row, template, tokenizer, subject.scale.sampling.max_new_tokens) for row in rows]
            found.append(Examples(name, stage_name(stage), training_settings(stage).max_length, rows))
    return found


def _template(stage: Artifact) -> str:
    """What a training's prompts are rendered from; empty where they are the data's own."""
    examples = stage.inputs.get("examples")
    return str(examples.params.get("template", "")) if isinstance(examples, Artifact) else ""


def _refined(row: Row, template: str, tokenizer: Any, longest: int) -> Response:
    assert isinstance(row, Response)
    ids = tokenizer(row.text, add_special_tokens=False)["input_ids"]
    draft = row.text if len(ids) <= longest else tokenizer.decode(ids[:longest], skip_special_tokens=True)
    shown = render(template, replace(row, text=draft), row.text)
    return Response(Prompt(row.prompt.id, shown), row.text, row.writer)


def spread_out(rows: Sequence[Row]) -> list[Row]:
    """At most `SAMPLE` of the rows, evenly spread."""
    return [rows[number * len(rows) // SAMPLE] for number in range(SAMPLE)] if len(rows) > SAMPLE else list(rows)


def training_rows(rows: Sequence[Row], tokenizer: Any, max_length: int) -> Rows:
    """What a trainer is given for the rows, by the functions that training itself uses."""
    pairs = [row for row in rows if isinstance(row, PreferencePair)]
    if pairs:
        unknown = [ReferenceLogProbability(row.prompt.id, 0.0, 0.0) for row in pairs]
        return preference_rows(pairs, unknown, tokenizer, max_length)
    return sft_rows([row for row in rows if isinstance(row, Response)], tokenizer, max_length)


@dataclass(frozen=True, slots=True)
class Tokens:
    """One row as token ids: the prompt that generation is `given`, the one in training, and what follows that."""

    row: Row
    given: list[int]
    trained: list[int]
    answers: tuple[list[int], ...]


def tokenized(rows: Sequence[Row], tokenizer: Any) -> list[Tokens]:
    """The rows by the functions that training and generation use. Raises UserError for what cannot be trained on."""
    if not rows:
        return []
    trained = training_rows(rows, tokenizer, sys.maxsize).dataset.to_dict()
    given = [prompt_ids(tokenizer, conversation(row.prompt)) for row in rows]
    if "prompt_ids" in trained:
        answers = zip(trained["chosen_ids"], trained["rejected_ids"], strict=True)
        return [Tokens(*each) for each in zip(rows, given, trained["prompt_ids"], answers, strict=True)]
    return [
        Tokens(row, ids, whole[: len(ids)], (labels[len(ids) :],))
        for row, ids, whole, labels in zip(rows, given, trained["input_ids"], trained["labels"], strict=True)
    ]


def check_tokenizer(name: str, tokenizer: Any, folder: Path) -> Check:
    """Whether it has what training and generation need: a chat template, a closing token, a token to pad with."""
    what, where = f"tokenizer of {name}", f"models.{name} in the scale's file"
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


def check_context(subject: Subject, name: str, folder: Path) -> Iterator[Check]:
    """Whether the model holds the longest rows that the run trains it on, if it trains it."""
    what, lengths = f"context of {name}", [training_settings(each).max_length for each in subject.trainings(name)]
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
    """What becomes of a chat template that writes the day's date."""
    if asks_for_day(tokenizer):
        said = f"the chat template asks for the date, and is told {DAY:%-d %B %Y} in training and generation alike"
        yield Check("warning", f"date of {name}", f"{said}, whenever they are; a server would tell it another")


def check_start(name: str, tokenizer: Any, rows: Sequence[Tokens]) -> Check:
    """Exactly one BOS, at the start, where the tokenizer puts one before texts; else at most one there."""
    what, start = f"BOS of {name}", tokenizer.bos_token_id
    puts_one = start_ids(tokenizer) != []
    wrong = sum(
        (ids[0] != start or ids.count(start) != 1) if puts_one else start is not None and ids[:2] == [start, start]
        for ids in (row.trained for row in rows)
    )
    if wrong:
        return Check(
            "failure",
            what,
            f"{wrong} of {len(rows)} prompts do not start with exactly one {tokenizer.bos_token!r}:"
            " take it out of the chat template",
        )
    has = f"exactly one {tokenizer.bos_token!r}" if puts_one else "none, as its tokenizer puts none before texts"
    return Check("ok", what, f"{has}, in {len(rows)} prompts")


def check_closing(name: str, tokenizer: Any, folder: Path, rows: Sequence[Tokens]) -> Check:
    """Exactly one closing token, at the end of what is trained on; whether the chat template closes answers alike."""
    what, end = f"closing token of {name}", tokenizer.eos_token_id
    answers = [answer for row in rows for answer in row.answers]
    wrong = sum(ids.count(end) != 1 or ids[-1] != end for ids in answers)
    if wrong:
        said = f"{wrong} of {len(answers)} answers do not have exactly one {tokenizer.eos_token!r}, at their end"
        return Check("failure", what, f"{said}: report it as a bug")
    closes = template_closing(tokenizer)
    if closes not in (None, end):
        token = tokenizer.convert_ids_to_tokens(closes)
        said = f"the chat template closes answers with {token!r}, training with {tokenizer.eos_token!r}"
        return Check("warning", what, f"{said}: set closing_token of models.{name} in the scale's file")
    others = tokenizer.convert_ids_to_tokens([each for each in closing_ids(tokenizer, folder) if each != end])
    also = f"; generation also stops at {', '.join(map(repr, others))}" if others else ""
    return Check("ok", what, f"exactly one {tokenizer.eos_token!r}, at the end of {len(answers)} answers{also}")


def template_closing(tokenizer: Any) -> int | None:
    """The first token that the chat template puts after an answer; None where it puts none but blanks."""
    turns = [Message("user", "a message"), Message("assistant", _MARK)]
    after = rendered(tokenizer, turns, answers=False).rpartition(_MARK)[2]
    ids: list[int] = tokenizer(after.strip(), add_special_tokens=False)["input_ids"]
    return ids[0] if ids else None


def check_parity(name: str, tokenizer: Any, rows: Sequence[Tokens]) -> Check:
    """The prompts in training, token by token what generation is given and the tokenizer makes of its template."""
    what = f"prompts of {name}"
    if different := sum(row.trained != row.given for row in rows):
        said = f"{different} of {len(rows)} are other tokens in training than in generation"
        return Check("failure", what, f"{said}: report it as a bug")
    if unlike := sum(row.given != _rendered(tokenizer, row.row) for row in rows):
        said = f"{unlike} of {len(rows)} are other tokens than the tokenizer makes of its chat template"
        return Check("failure", what, f"{said}: name another chat_template of models.{name} in the scale's file")
    return Check("ok", what, f"the same tokens in training, in generation and by its own template, in {len(rows)} rows")


def _rendered(tokenizer: Any, row: Row) -> list[int]:
    """The prompt by the tokenizer's own rendering, with the BOS that it would put before a text."""
    turns = [{"role": turn.role, "content": turn.content} for turn in conversation(row.prompt)]
    template = on_one_day(tokenizer.get_chat_template())
    ids: list[int] = tokenizer.apply_chat_template(
        turns, chat_template=template, add_generation_prompt=True, return_dict=False
    )
    start = start_ids(tokenizer)
    return ids if ids[: len(start)] == start else [*start, *ids]


def check_lengths(name: str, tokenizer: Any, examples: Examples) -> Check:
    """The share of rows that a stage cuts off, and of those that keep their closing token."""
    what = f"{examples.role} for {name}"
    try:
        rows = training_rows(examples.rows, tokenizer, examples.max_length)
    except UserError as error:
        return Check("failure", what, str(error))
    count = len(examples.rows)
    said = (
        f"{rows.truncated / count:.1%} truncated at {examples.max_length} tokens ({examples.stage}),"
        f" {rows.dropped / count:.1%} dropped, {rows.closed / count:.1%} keep their closing token, of {count} rows"
    )
    if rows.identical:
        said += f", {rows.identical} pairs are the same answer twice, as training sees them"
    lost = count - rows.closed
    if lost > MOST * count:
        return Check("failure", what, f"{said}: raise max_length, or answers without an end are learnt")
    if lost > MANY * count:
        return Check("warning", what, f"{said}: raise max_length to keep more")
    if rows.identical:
        return Check("warning", what, f"{said}: take them out, as they teach nothing")
    return Check("ok", what, said)
