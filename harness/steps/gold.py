"""Gold quality of responses in the embedded world, where the truth is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.engine.artifacts import Artifact, Output, step
from harness.mini import quality
from harness.records import Judgment, Prompt, Response


@dataclass(frozen=True, slots=True)
class GoldQuality:
    """One response's hidden quality in [0, 1] and its length in words."""

    prompt_id: str
    quality: float
    words: int


@step(version=1)
def gold_quality(out: Output, *, judgments: Artifact, world: str) -> None:
    """Measure the `GoldQuality` of each judged output; `world` identifies the code that defines it (`world_digest`)."""
    outputs = {row.prompt: row.output for row in judgments.rows(Judgment)}
    _measure(out, list(outputs.items()))


@step(version=1)
def response_gold_quality(out: Output, *, responses: Artifact, world: str) -> None:
    """Measure the `GoldQuality` of each response; `world` as above."""
    _measure(out, [(row.prompt, row.text) for row in responses.rows(Response)])


def _measure(out: Output, answers: Sequence[tuple[Prompt, str]]) -> None:
    rows = [
        GoldQuality(prompt.id, quality.gold_quality(prompt.text, text, prompt.requests_before), len(text.split()))
        for prompt, text in answers
    ]
    out.counts["mean_quality"] = fmean(row.quality for row in rows)
    out.counts["mean_words"] = fmean(row.words for row in rows)
    out.write_rows(rows)
