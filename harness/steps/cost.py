"""Types of what a step declares beside its body, `@step(rows=..., cost=...)`, and `harness plan` asks.

`rows` estimates the rows that an artifact will have from those of its inputs; `cost` says what making it takes. Both
are functions of a `CostContext`; they may raise `UnknownCost`. A light step whose rows nobody needs declares neither.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

from harness.endpoints.cost import MESSAGE_TOKENS, text_token_counter
from harness.endpoints.protocol import Message
from harness.endpoints.reference import EndpointReference
from harness.engine.artifacts import Artifact
from harness.engine.graph import input_of, inputs_of, references
from harness.models.generator import Sampling
from harness.models.hub import RepositoryKind
from harness.steps.estimates import Estimates, NumberEstimate, PlanNote, load_estimates
from harness.training.losses import PreferenceLoss, ScoredSequence, shows_drafts
from harness.training.memory import RowSize
from harness.training.settings import OnlineSettings, TrainingSettings

COUNTED_ROWS = 300
"""Rows whose tokens are counted where all could be."""

TOKENIZER = "cl100k_base"
"""A vocabulary that most language models' resemble."""

COUNTED_SPREAD = 0.05
"""How far off the mean length may be that was counted on some rows, as a share."""


class UnknownCost(Exception):
    """It cannot be told how many rows an artifact will have, or what making it takes."""


@dataclass(frozen=True, slots=True)
class Range:
    """A number that is not known exactly: as expected, and the bounds between which it may well lie."""

    low: float
    expected: float
    high: float

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def times(self, factor: float) -> "Range":
        """Return the same number in another unit, or so many times."""
        return Range(self.low * factor, self.expected * factor, self.high * factor)

    def product(self, other: "Range") -> "Range":
        """Return the product, bound by bound."""
        return Range(self.low * other.low, self.expected * other.expected, self.high * other.high)

    def over(self, divisor: "Range") -> "Range":
        """Return the quotient: low over high, expected over expected, high over low."""
        return Range(self.low / divisor.high, self.expected / divisor.expected, self.high / divisor.low)


def about(value: float, spread: float) -> Range:
    """Return `value`, give or take the share `spread`."""
    return Range(value * max(0.0, 1 - spread), value, value * (1 + spread))


def total(ranges: Iterable[Range]) -> Range:
    """Sum up, bounds included: as if all errors went the same way, which a wrong assumption makes them do."""
    return sum(ranges, Range(0.0, 0.0, 0.0))


def at_each_bound(work_out: Callable[[Callable[[Range], float]], float]) -> Range:
    """Work a number out of ranges: of their low bounds, of what is expected, of their high bounds."""
    return Range(work_out(lambda of: of.low), work_out(lambda of: of.expected), work_out(lambda of: of.high))


@dataclass(frozen=True, slots=True)
class RowEstimate:
    """Rows that an artifact is expected to have: `count` of them, no more than `most`, with mean lengths in tokens.

    `spread` is how far off the lengths may be, as a share. Of pairs, `answer` is the mean of both. `content` says what
    rows they are, in words; empty for what the artifact is called.
    """

    count: float
    most: int
    prompt: float
    answer: float
    spread: float
    assumptions: frozenset[PlanNote] = frozenset()
    content: str = ""

    @property
    def tokens(self) -> float:
        """Tokens of a prompt with its answer."""
        return self.prompt + self.answer

    def first(self, size: int) -> "RowEstimate":
        """Return at most `size` of these rows."""
        return replace(self, count=min(self.count, size), most=min(self.most, size), content="")

    def answered(self, prompt: float, answer: float, estimate: NumberEstimate) -> "RowEstimate":
        """Return one answer to each, of so many tokens by the `estimate`, asked for with `prompt` tokens."""
        return replace(
            self,
            prompt=prompt,
            answer=answer,
            spread=max(self.spread, estimate.spread),
            assumptions=self.assumptions | {estimate.assumption},
            content="",
        )


@dataclass(frozen=True, slots=True)
class CostContext:
    """The view of a declaration: the artifact, the rows of its inputs, the estimates."""

    artifact: Artifact
    rows_of: Callable[[Artifact], RowEstimate]
    """Raises UnknownCost where no step on the way to an artifact declares them."""

    @property
    def estimates(self) -> Estimates:
        """The package's assumptions."""
        return load_estimates()

    @property
    def params(self) -> Mapping[str, Any]:
        """The step's parameters as JSON."""
        return self.artifact.params

    def input(self, name: str) -> Artifact:
        """Return the input `name`, which is one artifact."""
        return input_of(self.artifact, name)

    def rows(self, name: str) -> RowEstimate:
        """Estimate the rows of the input `name`. Raises UnknownCost."""
        return self.rows_of(self.input(name))

    def rows_of_each(self, name: str) -> list[RowEstimate]:
        """Estimate the rows of each artifact of the input `name`. Raises UnknownCost."""
        return [self.rows_of(each) for each in inputs_of(self.artifact, name)]

    def data_set(self, reference: str, size: int) -> RowEstimate:
        """Return `size` rows of the lengths that are assumed of a data set."""
        estimate = self.estimates.of_data(reference)
        assumed = frozenset({estimate.assumption(reference)})
        return RowEstimate(size, size, estimate.prompt, estimate.answer, estimate.spread, assumed)


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """The tokens that a model computes of pairs: each prompt once for all its answers, cut at `max_length`."""

    sequences: tuple[ScoredSequence, ...]
    max_length: int
    revision_prompt: str = ""
    """How prompts show an answer as a draft, where sequences revise one."""

    def tokens(self, rows: RowEstimate) -> float:
        """Return the mean tokens of a row."""
        return self._tree(rows.prompt, rows.answer, self._frame)

    def longest(self, rows: RowEstimate | None) -> RowSize:
        """Return the size of a row whose longest sequence has `max_length` tokens, divided like the mean row.

        Where nothing is known of the rows, nothing is taken to be shared.
        """
        if rows is None or not rows.tokens:
            most = len(self.sequences) * self.max_length
            return RowSize(most, most)
        revises = shows_drafts(self.sequences)
        longest = rows.tokens + (rows.answer + self._frame if revises else 0.0)
        parts = (rows.prompt, rows.answer, self._frame)
        prompt, answer, frame = (part * self.max_length / longest for part in parts)
        scored = sum(prompt if each.target == "prompt" else answer for each in self.sequences)
        return RowSize(math.ceil(self._tree(prompt, answer, frame)), math.ceil(scored))

    @property
    def _frame(self) -> int:
        """Tokens of the revision prompt without request and draft."""
        return count_tokens(self.revision_prompt.format(request="", example="")) if self.revision_prompt else 0

    def _tree(self, prompt: float, answer: float, frame: float) -> float:
        found = 0.0
        for revises in {each.revises for each in self.sequences}:
            context = min(prompt + (answer + frame if revises else 0.0), self.max_length)
            answers = sum(each.revises == revises and each.target != "prompt" for each in self.sequences)
            found += context + answers * min(answer, self.max_length - context)
        return found


@dataclass(frozen=True, slots=True)
class Training:
    """A training: the policy `start` learns from the rows of `data`.

    `loss` is that of a training on pairs. `reference` is its frozen policy; with `scores_reference` the reference's
    log-probabilities are taken in the training itself.
    """

    data: Artifact
    start: Artifact
    settings: TrainingSettings
    loss: PreferenceLoss | None = None
    revision_prompt: str = ""
    reference: Artifact | None = None
    scores_reference: bool = False
    online: OnlineSettings | None = None
    """Of a training that makes its pairs itself, of the demonstrations in `data`."""

    @property
    def models_beside(self) -> int:
        """How many models are in memory beside the one that is trained: one that makes its pairs has two."""
        return 0 if self.online is None else 1 + (self.reference is not None)

    def drawn_tokens(self, rows: RowEstimate) -> float:
        """Return the tokens that the training itself draws in an epoch."""
        if self.online is None:
            return 0.0
        length = rows.answer if self.online.segment is None else min(self.online.segment, rows.answer)
        return rows.count * length * self.online.responses / self.online.sample_every

    @property
    def sequences(self) -> int:
        """How many sequences of tokens the loss of one row takes."""
        return len(self.loss.sequences) if self.loss else 1

    def tokens(self, rows: RowEstimate) -> float:
        """Return the mean tokens that the model computes of a row."""
        return self._pairs.tokens(rows) if self._pairs else min(rows.tokens, self.settings.max_length)

    def longest(self, rows: RowEstimate | None) -> RowSize:
        """Return the size of the longest row that is allowed, of rows like these."""
        return self._pairs.longest(rows) if self._pairs else RowSize(self.settings.max_length)

    @property
    def _pairs(self) -> ScoredPairs | None:
        if self.loss is None:
            return None
        return ScoredPairs(self.loss.sequences, self.settings.max_length, self.revision_prompt)


@dataclass(frozen=True, slots=True)
class Generation:
    """Answers drawn from a model on this machine: the artifact's own rows."""

    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-probabilities of the rows of `data` under a model, `batch_size` rows at once; of pairs, of `pairs`."""

    data: Artifact
    batch_size: int
    pairs: ScoredPairs | None = None

    def tokens(self, rows: RowEstimate) -> float:
        """Return the mean tokens that the model computes of a row."""
        return self.pairs.tokens(rows) if self.pairs else rows.tokens


@dataclass(frozen=True, slots=True)
class Asking:
    """Requests to an endpoint. Tokens are totals of all `calls`; `purpose` is what the `role` is asked for."""

    endpoint: EndpointReference
    role: Literal["judge", "teacher"]
    purpose: str
    calls: int
    prompt_tokens: Range
    completion_tokens: Range
    explains: bool
    """Whether replies are longer than a few tokens, and so take longer."""
    assumptions: frozenset[PlanNote] = frozenset()


@dataclass(frozen=True, slots=True)
class Fetch:
    """A model or a data set that is fetched unless it is at hand, and otherwise next to nothing."""

    kind: RepositoryKind
    reference: str


Cost = Training | Generation | Likelihood | Asking | Fetch
"""What making an artifact takes; None in its place for next to nothing."""


def count_tokens(text: str) -> int:
    """Count the tokens of a text, in the vocabulary `TOKENIZER`."""
    count = text_token_counter(TOKENIZER)
    return count(text) if count else math.ceil(len(text.encode()) / 4)


def chat_tokens(messages: Iterable[Message]) -> int:
    """Count the prompt tokens of a conversation with an endpoint, the chat format's own included."""
    return sum(count_tokens(message.content) + MESSAGE_TOKENS + 1 for message in messages) + MESSAGE_TOKENS


def counted_rows(sample: Iterable[Mapping[str, Any]], count: int, *, in_words: bool = False) -> RowEstimate:
    """Return `count` rows of the mean lengths of a `sample` of them, `in_words` where words are the tokens."""

    def tokens(text: str) -> int:
        return len(text.split()) if in_words else count_tokens(text)

    prompts, answers = [], []
    for row in sample:
        earlier = "\n".join(turn["content"] for turn in row["prompt"].get("history", ()))
        prompts.append(tokens(f"{earlier}\n{row['prompt']['text']}"))
        texts = [row[name] for name in ("text", "chosen", "rejected") if name in row]
        answers.append(len(row["token_ids"]) if row.get("token_ids") else fmean(map(tokens, texts)))
    return RowEstimate(count, count, fmean(prompts or [0]), fmean(answers or [0]), COUNTED_SPREAD)


def is_embedded(artifact: Artifact) -> bool:
    """Tell whether data or models of the embedded world are in what an artifact is made from."""
    return any(reference.startswith("mini:") for reference in references(artifact))
