"""Examples as the rows that trainers take: token ids and labels, or token trees of pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import UserError
from harness.models.chat import answer_ids, conversation, prompt_ids, revision_message
from harness.records import Message, PreferencePair, Response
from harness.training.losses import CHOSEN, REJECTED, Answer, ScoredSequence
from harness.training.token_tree import TokenTree, token_tree

if TYPE_CHECKING:
    from datasets import Dataset

UNSCORED = -100
"""The label of a token that bears no loss."""
LENGTH = "length"
"""The column with the number of tokens that a row has the model compute."""
REFERENCE = "reference"
"""The column with the reference's log-probabilities of a row's sequences."""


@dataclass(frozen=True, slots=True)
class ReferenceLogProbabilities:
    """log π_ref of the scored sequences of a pair, with closing tokens and cut as in training; in nats."""

    prompt_id: str
    sums: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The rows of a training, and how many of the examples were cut or dropped."""

    dataset: "Dataset"
    truncated: int
    """Rows longer than the length allowed, cut at their end; of pairs, where a scored sequence is."""
    closed: int
    """Rows that keep the closing token of their answers."""
    dropped: int
    """Rows of whose answers nothing is left; of pairs, of a target of the loss."""
    unclosed: int
    """Rows with an answer that its writer did not end: it has no closing token that could be learnt."""
    scored_tokens: int = 0
    """The most that a row of pairs has."""
    identical: int = 0
    """Pairs whose answers are the same tokens, as they were or once cut, which teach nothing."""

    @property
    def counts(self) -> dict[str, int]:
        """The counts under the names of `Output.counts`; `identical_rows` only where there are some."""
        identical = {"identical_rows": self.identical} if self.identical else {}
        return identical | {
            "truncated_rows": self.truncated,
            "closed_rows": self.closed,
            "dropped_rows": self.dropped,
            "unclosed_rows": self.unclosed,
        }


def sft_rows(
    examples: Sequence[Response], tokenizer: Any, max_length: int, max_prompt_length: int | None = None
) -> TrainingRows:
    """Return `input_ids` and `labels` of conversations, with the loss on every answer, also of earlier turns.

    Raises UserError where the chat template hides which tokens an earlier answer is, and for a prompt that is too long.
    """
    import numpy as np

    count = _Count(max_length, max_prompt_length)
    rows = []
    for example in examples:
        messages = conversation(example.prompt)
        prompt = prompt_ids(tokenizer, messages)
        answer = answer_ids(tokenizer, example.text, is_ended=example.is_ended)
        labels = [*_earlier_labels(tokenizer, messages, prompt, example.prompt.id), *answer]
        ids, labels = [*prompt, *answer][:max_length], labels[:max_length]
        is_scored = any(label != UNSCORED for label in labels)
        count.prompt(example.prompt.id, len(prompt))
        if count.keeps([len(prompt) + len(answer)], is_scored, example.is_ended):
            packed = {"input_ids": np.asarray(ids, np.int32), "labels": np.asarray(labels, np.int32)}
            rows.append({**packed, LENGTH: len(ids)})  # Python's integers would take tens of gigabytes of UltraChat
    return count.of(rows)


def demonstration_rows(
    examples: Sequence[Response], tokenizer: Any, max_length: int, max_prompt_length: int | None = None
) -> TrainingRows:
    """Return `prompt` and `answer` of conversations as token ids, and `row`, the place of each among the examples.

    The answer is the last one, with its closing token, as far as `max_length` leaves room for it. Raises UserError for
    a prompt that is too long.
    """
    import numpy as np

    count = _Count(max_length, max_prompt_length)
    rows = []
    for place, example in enumerate(examples):
        prompt = prompt_ids(tokenizer, conversation(example.prompt))
        answer = answer_ids(tokenizer, example.text, is_ended=example.is_ended)
        left = answer[: max(0, max_length - len(prompt))]
        count.prompt(example.prompt.id, len(prompt))
        if count.keeps([len(prompt) + len(answer)], bool(left), example.is_ended):
            ids = {"prompt": np.asarray(prompt, np.int32), "answer": np.asarray(left, np.int32)}
            rows.append({**ids, "row": place, LENGTH: len(prompt) + len(left)})
    return count.of(rows)


@dataclass(frozen=True, slots=True)
class PairSequences:
    """The token ids of the sequences of a pair that a loss scores."""

    sequences: list[list[int]]
    """Context and target of each, cut at the length allowed."""
    starts: list[int]
    """Where each target starts."""
    lengths: list[int]
    """Tokens of each before it was cut."""

    @property
    def are_scored(self) -> bool:
        """Whether something is left of every target."""
        return all(start < len(ids) for start, ids in zip(self.starts, self.sequences, strict=True))

    @property
    def tree(self) -> TokenTree:
        """The sequences as a forward pass takes them."""
        return token_tree(self.sequences, self.starts)


@dataclass(frozen=True, slots=True)
class PairEncoding:
    """The way from a preference pair to the token ids of its scored sequences."""

    tokenizer: Any
    max_length: int
    sequences: Sequence[ScoredSequence] = (CHOSEN, REJECTED)
    max_prompt_length: int | None = None
    revision_prompt: str = ""
    """The user's turn that shows an answer as a draft, with the fields {request} and {example}."""

    def __call__(self, pair: PreferencePair) -> PairSequences:
        """Return the pair's sequences. Raises UserError as `prompt_ids` does."""
        answers = {
            side: answer_ids(self.tokenizer, each.text, is_ended=each.is_ended)
            for side, each in zip(("chosen", "rejected"), pair.responses, strict=True)
        }
        contexts = {revises: self._context(pair, revises) for revises in {each.revises for each in self.sequences}}
        parts = [
            ([], contexts[each.revises]) if each.target == "prompt" else (contexts[each.revises], answers[each.target])
            for each in self.sequences
        ]
        return PairSequences(
            [[*context, *target][: self.max_length] for context, target in parts],
            [len(context) or 1 for context, _ in parts],  # nothing predicts the first token of a prompt
            [len(context) + len(target) for context, target in parts],
        )

    def _context(self, pair: PreferencePair, revises: Answer | None) -> list[int]:
        if revises is None:
            return prompt_ids(self.tokenizer, conversation(pair.prompt))
        draft = pair.chosen if revises == "chosen" else pair.rejected
        message = revision_message(self.revision_prompt, pair.prompt.text, draft)
        return prompt_ids(self.tokenizer, conversation(pair.prompt, message))


def preference_rows(
    pairs: Sequence[PreferencePair],
    references: Sequence[ReferenceLogProbabilities] | None,
    encoding: PairEncoding,
) -> TrainingRows:
    """Return the token trees of pairs, with the reference's log-probabilities if given.

    A pair is dropped where a prompt alone, with the draft that it may show, fills the length, and where an answer was
    cut off before any text. A pair of equal answers stays, and is counted. Raises UserError for a prompt that is too
    long.
    """
    by_prompt = {row.prompt_id: row for row in references or ()}
    count = _Count(encoding.max_length, encoding.max_prompt_length)
    rows = []
    for pair in pairs:
        encoded = encoding(pair)
        count.prompt(pair.prompt.id, max(encoded.starts))
        if count.keeps(encoded.lengths, encoded.are_scored, all(answer.is_ended for answer in pair.responses)):
            tree = encoded.tree
            count.scored_tokens = max(count.scored_tokens, len(tree.targets))
            count.identical += encoded.sequences[0] == encoded.sequences[1]
            row: dict[str, Any] = {**vars(tree), LENGTH: len(tree.ids)}
            if references is not None:
                row[REFERENCE] = list(by_prompt[pair.prompt.id].sums)
            rows.append(row)
    return count.of(rows)


class _Count:
    """Counts of the rows that `max_length` cuts, drops or leaves."""

    def __init__(self, max_length: int, max_prompt_length: int | None) -> None:
        self._max_length, self._max_prompt_length = max_length, max_prompt_length
        self._too_long: list[tuple[int, str]] = []
        self._truncated = self._dropped = self._closed = self._unclosed = 0
        self.identical = self.scored_tokens = 0

    def prompt(self, prompt_id: str, length: int) -> None:
        """Note a prompt that is longer than allowed."""
        if self._max_prompt_length is not None and length > self._max_prompt_length:
            self._too_long.append((length, prompt_id))

    def keeps(self, lengths: Sequence[int], is_scored: bool, is_ended: bool) -> bool:
        """Count a row of sequences with these lengths, and return whether it stays: if something of it `is_scored`.

        `is_ended` says whether its writers ended its answers.
        """
        is_cut = max(lengths) > self._max_length
        self._truncated += is_cut
        self._closed += is_scored and is_ended and not is_cut
        self._dropped += not is_scored
        self._unclosed += is_scored and not is_ended
        return is_scored

    def of(self, rows: Sequence[Mapping[str, Any]]) -> TrainingRows:
        if self._too_long:
            longest, name = max(self._too_long)
            raise UserError(
                f"{len(self._too_long)} prompts are longer than max_prompt_length, {self._max_prompt_length} tokens;"
                f" the longest, {name}, has {longest}: raise max_prompt_length, or leave such prompts out of the data"
            )
        return TrainingRows(
            _dataset(rows),
            truncated=self._truncated,
            closed=self._closed,
            dropped=self._dropped,
            unclosed=self._unclosed,
            scored_tokens=self.scored_tokens,
            identical=self.identical,
        )


def _dataset(rows: Sequence[Mapping[str, Any]]) -> "Dataset":
    from datasets import Dataset

    if not rows:
        raise UserError(
            "nothing to train on: no example has an answer within max_length; give data, or a longer length"
        )
    return Dataset.from_dict({name: [row[name] for row in rows] for name in rows[0]})


def _earlier_labels(tokenizer: Any, messages: Sequence[Message], ids: list[int], prompt_id: str) -> list[int]:
    """Label the earlier answers of a rendered conversation, with their closing tokens.

    An answer starts where the conversation before it, rendered as a prompt, ends, and reaches to the closing token.
    """
    labels = [UNSCORED] * len(ids)
    closing = tokenizer.eos_token_id
    of_other_turns = set(tokenizer.all_special_ids) - {closing, tokenizer.unk_token_id}
    for turn in (position for position, message in enumerate(messages) if message.role == "assistant"):
        before = prompt_ids(tokenizer, messages[:turn])
        start = len(before)
        answer = ids[start : ids.index(closing, start) + 1] if closing in ids[start:] else []
        if ids[:start] != before or not answer or of_other_turns & set(answer):
            raise UserError(
                f"the chat template hides the earlier answers of {prompt_id}: they must follow what stands before"
                f" them unchanged and end in {tokenizer.eos_token}; give the model another chat_template or"
                " closing_token"
            )
        labels[start : start + len(answer)] = answer
    return labels
