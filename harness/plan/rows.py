"""How many rows each step makes, and how long they are: counted where they are there, else followed from the data."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.endpoints.cost import text_token_counter
from harness.engine.artifacts import Artifact, ancestry
from harness.engine.store import Store
from harness.errors import UserError
from harness.models.origins import origin
from harness.plan.estimates import DataEstimate, Estimates, without_revision
from harness.recipes.benches import OFFICIAL_DATA, published_metric
from harness.records import ROWS

SAMPLED = 300
"""Rows whose tokens are counted where all could be."""

COUNTER = "cl100k_base"

BASES = ("load_model", "prepare_model")
"""The steps that models begin with."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a step's rows are like: `count` of them are expected, no more than `most`, with so many tokens on average.

    `spread` is how far off the tokens may be, as a share. Of pairs, `answer` is the mean of both. `suppositions` name
    the entries of configs/estimates.yaml that this rests on.
    """

    count: float
    most: int
    prompt: float
    answer: float
    spread: float
    suppositions: frozenset[str] = frozenset()

    @property
    def tokens(self) -> float:
        """Of a prompt with its answer."""
        return self.prompt + self.answer


class RowCounts:
    """The rows of each artifact of a graph. What a step of a kind unknown here makes is None."""

    def __init__(self, store: Store | None, estimates: Estimates) -> None:
        """`store` is where rows are counted that are there already; None for a store that does not exist."""
        self._store, self._estimates = store, estimates
        self._known: dict[str, Rows | None] = {}

    def of(self, artifact: Artifact) -> Rows | None:
        """The rows that `artifact` has or is going to have."""
        if artifact.key not in self._known:
            counted = self._counted(artifact)
            follow = _RULES.get(artifact.step)
            self._known[artifact.key] = counted or (follow(self, artifact) if follow else None)
        return self._known[artifact.key]

    def _counted(self, artifact: Artifact) -> Rows | None:
        if self._store is None or artifact.step not in _RULES or not self._store.has(artifact):
            return None
        path = self._store.folder(artifact) / ROWS
        count = self._store.record(artifact)["counts"].get("rows")
        if count is None or not path.is_file():
            return None
        with path.open(encoding="utf-8") as lines:
            sampled = [json.loads(line) for line in islice(lines, SAMPLED)]
        is_mini = any(reference.startswith("mini:") for reference in _references(artifact))
        return _measured(sampled, int(count), is_mini)

    def _data(self, artifact: Artifact) -> Rows:
        reference, size = artifact.params["reference"], artifact.params["size"]
        if Path(reference).is_file():
            try:
                return self._read(artifact, reference, size)
            except UserError:
                pass
        return self._supposed(self._estimates.of_data(reference), without_revision(reference), size)

    def _read(self, artifact: Artifact, reference: str, size: int) -> Rows:
        from harness.config.codec import encode
        from harness.models.datasets import read_data

        rows = read_data(reference, artifact.params["split"], artifact.params["kind"], min(size, SAMPLED))
        return _measured([encode(row) for row in rows], size, is_mini=False)

    def _supposed(self, estimate: DataEstimate, name: str, size: int) -> Rows:
        return Rows(size, size, estimate.prompt, estimate.answer, estimate.spread, frozenset({f"data: {name}"}))

    def _official(self, artifact: Artifact) -> Rows:
        bench = artifact.params["bench"]
        name = f"{OFFICIAL_DATA}{bench}"
        return self._supposed(self._estimates.of_data(name), name, published_metric(bench).n_items)

    def _first(self, artifact: Artifact) -> Rows | None:
        return self._cut(artifact, "responses")

    def _drawn(self, artifact: Artifact) -> Rows | None:
        return self._cut(artifact, "responses")

    def _cut(self, artifact: Artifact, name: str) -> Rows | None:
        rows, size = self._input(artifact, name), artifact.params["size"]
        return rows and replace(rows, count=min(rows.count, size), most=min(rows.most, size))

    def _chosen(self, artifact: Artifact) -> Rows | None:
        return self._input(artifact, "preference_data")

    def _answers(self, artifact: Artifact) -> Rows | None:
        """A policy's are as long as the references to the same prompts, a teacher's have a length of its own."""
        rows = self._input(artifact, "prompts")
        if rows is None:
            return None
        if is_trained(artifact) or self._is_embedded(artifact):
            supposed, name = self._estimates.policy_answer, "policy_answer"
            answer = rows.answer * supposed.of_reference
        else:
            supposed, name = self._estimates.teacher_answer, "teacher_answer"  # type: ignore[assignment]
            answer = self._estimates.teacher_answer.tokens
        return self._written(artifact, rows, rows.prompt, answer, supposed.spread, name)

    def _refined(self, artifact: Artifact) -> Rows | None:
        drafts, references = self._input(artifact, "drafts"), self._input(artifact, "references")
        if drafts is None or references is None:
            return None
        prompt = _prompt_length(artifact.params["template"], drafts, references.answer)
        supposed = self._estimates.improvement
        answer = drafts.answer * supposed.of_draft
        return self._written(artifact, drafts, prompt, answer, supposed.spread, "improvement")

    def _written(
        self, artifact: Artifact, rows: Rows, prompt: float, answer: float, spread: float, supposition: str
    ) -> Rows:
        """Answers to `rows`, which are asked for with `prompt` tokens, of which their rows keep the request alone."""
        limit = artifact.params["sampling"]["max_new_tokens"]
        return replace(
            rows,
            prompt=prompt,
            answer=min(answer, limit),
            spread=max(rows.spread, spread),
            suppositions=rows.suppositions | {supposition},
        )

    def _kept(self, artifact: Artifact) -> Rows | None:
        rows = self._input(artifact, "responses")
        if rows is None:
            return None
        kept = self._estimates.kept_by_filter
        return replace(rows, count=rows.count * kept.share, suppositions=rows.suppositions | {"kept_by_filter"})

    def _examples(self, artifact: Artifact) -> Rows | None:
        drafts, given = self._input(artifact, "drafts"), artifact.inputs["targets"]
        targets = [self.of(each) for each in ((given,) if isinstance(given, Artifact) else given)]
        known = [rows for rows in targets if rows is not None]
        if drafts is None or len(known) < len(targets):
            return None
        references = self._input(artifact, "references") if "references" in artifact.inputs else None
        return Rows(
            count=sum(rows.count for rows in known),
            most=sum(rows.most for rows in known),
            prompt=_prompt_length(artifact.params["template"], drafts, references.answer if references else 0.0),
            answer=fmean(rows.answer for rows in known),
            spread=max(rows.spread for rows in known),
            suppositions=drafts.suppositions.union(*(rows.suppositions for rows in known)),
        )

    def _pairs(self, artifact: Artifact) -> Rows | None:
        chosen, rejected = self._input(artifact, "chosen"), self._input(artifact, "rejected")
        if chosen is None or rejected is None:
            return None
        return Rows(
            count=min(chosen.count, rejected.count),
            most=min(chosen.most, rejected.most),
            prompt=min(chosen.prompt, rejected.prompt),  # a refined row was asked for with more than the request
            answer=(chosen.answer + rejected.answer) / 2,
            spread=max(chosen.spread, rejected.spread),
            suppositions=chosen.suppositions | rejected.suppositions,
        )

    def _input(self, artifact: Artifact, name: str) -> Rows | None:
        given = artifact.inputs[name]
        assert isinstance(given, Artifact)
        return self.of(given)

    def _is_embedded(self, artifact: Artifact) -> bool:
        return any(reference.startswith("mini:") for reference in _references(artifact))


_RULES: Mapping[str, Callable[[RowCounts, Artifact], Rows | None]] = {
    "load_data": RowCounts._data,
    "load_rows": RowCounts._data,
    "baseline_responses": RowCounts._official,
    "first_responses": RowCounts._first,
    "drawn_responses": RowCounts._drawn,
    "chosen_responses": RowCounts._chosen,
    "respond": RowCounts._answers,
    "refine": RowCounts._refined,
    "iqr_filter": RowCounts._kept,
    "improver_examples": RowCounts._examples,
    "preference_pairs": RowCounts._pairs,
}


def model_reference(artifact: Artifact) -> str | None:
    """The reference of the model that a checkpoint began as; None for an artifact that is no model."""
    began = origin(artifact)
    return str(began.params["reference"]) if began.step in BASES else None


def is_trained(artifact: Artifact) -> bool:
    """Whether a step's model was trained in this graph, so that it is no teacher."""
    model = artifact.inputs.get("model")
    return isinstance(model, Artifact) and model.step not in BASES


def count_tokens(text: str) -> int:
    """Tokens of a text, in the vocabulary that most language models' resemble."""
    count = text_token_counter(COUNTER)
    return count(text) if count else math.ceil(len(text.encode()) / 4)


def _prompt_length(template: str, drafts: Rows, reference: float) -> float:
    """Tokens of a refine prompt. Drafts that were refined themselves keep the prompt of the one before."""
    frame = count_tokens(template.format(request="", draft="", reference=""))
    return frame + drafts.prompt + drafts.answer + (reference if "{reference}" in template else 0.0)


def _measured(rows: Iterable[Mapping[str, Any]], count: int, is_mini: bool) -> Rows:
    """Rows as they are: in words at the embedded scale, where words are tokens."""

    def tokens(text: str) -> int:
        return len(text.split()) if is_mini else count_tokens(text)

    prompts, answers = [], []
    for row in rows:
        said = "\n".join(turn["content"] for turn in row["prompt"].get("history", ()))
        prompts.append(tokens(f"{said}\n{row['prompt']['text']}"))
        if ids := row.get("token_ids"):
            answers.append(float(len(ids)))
        else:
            texts = [row[name] for name in ("text", "chosen", "rejected") if name in row]
            answers.append(fmean(map(tokens, texts)))
    return Rows(count, count, fmean(prompts or [0]), fmean(answers or [0]), 0.05)


def _references(artifact: Artifact) -> list[str]:
    """The references of the data and models that an artifact is made from."""
    return [str(one.params["reference"]) for one in ancestry([artifact]) if "reference" in one.params]
