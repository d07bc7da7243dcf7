"""Gold quality of responses in the embedded world, where the truth is known."""

from dataclasses import dataclass
from statistics import fmean

from harness.core.artifacts import Artifact, Output, step
from harness.core.records import Response


@dataclass(frozen=True, slots=True)
class GoldQuality:
    """One response's hidden quality in [0, 1] and its length in words."""

    prompt_id: str
    quality: float
    words: int


@step(version=1)
def gold_quality(out: Output, *, responses: Artifact, world: int) -> None:
    """`GoldQuality` rows of `responses`; `world` is the version of the mini world that defines it."""
    from harness.mini import quality

    rows = [
        GoldQuality(row.prompt.id, quality.gold_quality(row.prompt.text, row.text), len(row.text.split()))
        for row in responses.rows(Response)
    ]
    out.counts["mean_quality"] = fmean(row.quality for row in rows)
    out.counts["mean_words"] = fmean(row.words for row in rows)
    out.write_rows(rows)
