"""Examples as the token ids and labels that trainers take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import UserError
from harness.models.chat import answer_ids, conversation, prompt_ids
from harness.records import Message, PreferencePair, Response

if TYPE_CHECKING:
    from datasets import Dataset

UNSCORED = -100
"""The label of a token that bears no loss."""
LENGTH = "length"
"""The column with the number of tokens of a row's longest sequence."""


@dataclass(frozen=True, slots=True)
class ReferenceLogProbability:
    """log π_ref of both answers of a pair, with closing tokens and cut as in training; in nats."""

    prompt_id: str
    chosen: float
    rejected: float


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The rows of a training, and how many of the examples were cut or dropped."""

    dataset: "Dataset"
    truncated: int
    """Rows longer than the length allowed, cut at their end; of pairs, where one answer is."""
    closed: int
    """Rows that keep the closing token of their answers."""
    dropped: int
    """Rows of whose answers nothing is left; of pairs, of whose chosen or rejected answer."""
    unclosed: int
    """Rows with an answer that its writer did not end: it has no closing token that could be learnt."""
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


def sft_rows(examples: Sequence[Response], tokenizer: Any, max_length: int) -> TrainingRows:
    """Return `input_ids` and `labels` of conversations, with the loss on every answer, also of earlier turns.

    Raises UserError where the chat template hides which tokens an earlier answer is.
    """
    count = _Count(max_length)
    rows = []
    for example in examples:
        messages = conversation(example.prompt)
        prompt = prompt_ids(tokenizer, messages)
        answer = answer_ids(tokenizer, example.text, is_ended=example.is_ended)
        labels = [*_earlier_labels(tokenizer, messages, prompt, example.prompt.id), *answer]
        ids, labels = [*prompt, *answer][:max_length], labels[:max_length]
        is_scored = any(label != UNSCORED for label in labels)
        if count.keeps([len(prompt) + len(answer)], is_scored, example.is_ended):
            rows.append(_packed({"input_ids": ids, "labels": labels, LENGTH: len(ids)}))
    return count.of(rows)


def preference_rows(
    pairs: Sequence[PreferencePair],
    references: Sequence[ReferenceLogProbability] | None,
    tokenizer: Any,
    max_length: int,
) -> TrainingRows:
    """Return `prompt_ids`, `chosen_ids`, `rejected_ids` of pairs, with the reference's log-probabilities if given.

    A pair whose prompt alone fills the length is dropped, and one with an answer that was cut off before any text. A
    pair of equal answers stays, and is counted.
    """
    by_prompt = {row.prompt_id: row for row in references or ()}
    count = _Count(max_length)
    rows = []
    for pair in pairs:
        prompt, chosen, rejected = pair_ids(pair, tokenizer)
        lengths = [len(prompt) + len(answer) for answer in (chosen, rejected)]
        are_scored = len(prompt) < min(max_length, *lengths)
        if count.keeps(lengths, are_scored, all(answer.is_ended for answer in pair.responses)):
            row: dict[str, Any] = {
                "prompt_ids": prompt,
                "chosen_ids": cut(prompt, chosen, max_length),
                "rejected_ids": cut(prompt, rejected, max_length),
                LENGTH: min(max(lengths), max_length),
            }
            count.identical += row["chosen_ids"] == row["rejected_ids"]
            if references is not None:
                reference = by_prompt[pair.prompt.id]
                row |= {"ref_chosen_logps": reference.chosen, "ref_rejected_logps": reference.rejected}
            rows.append(_packed(row))
    return count.of(rows)


def pair_ids(pair: PreferencePair, tokenizer: Any) -> tuple[list[int], list[int], list[int]]:
    """Return the token ids of the prompt, of the chosen and of the rejected answer."""
    chosen, rejected = (answer_ids(tokenizer, each.text, is_ended=each.is_ended) for each in pair.responses)
    return prompt_ids(tokenizer, conversation(pair.prompt)), chosen, rejected


def cut(prompt: Sequence[int], answer: Sequence[int], max_length: int) -> list[int]:
    """Cut an answer's ids so that prompt and answer together have `max_length` tokens at most."""
    return list(answer[: max(max_length - len(prompt), 0)])


class _Count:
    """Counts of the rows that `max_length` cuts, drops or leaves."""

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._truncated = self._dropped = self._closed = self._unclosed = 0
        self.identical = 0

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
        return TrainingRows(
            _dataset(rows), self._truncated, self._closed, self._dropped, self._unclosed, self.identical
        )


def _packed(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Pack the row into four bytes a token: as Python's integers, those of UltraChat would take tens of gigabytes."""
    import numpy as np

    return {name: np.asarray(value, np.int32) if isinstance(value, list) else value for name, value in row.items()}


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
