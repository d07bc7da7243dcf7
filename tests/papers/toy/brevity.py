"""Brevity: the share of answers that are short and end by themselves (arXiv 0000.00000, section 4.1)."""

from dataclasses import dataclass

from evals.base import Metric, Setting
from evals.item_scores import ItemBenchmark
from harness.engine.artifacts import Artifact, Output, step
from harness.records import Response

MAX_WORDS = 25
"""The paper's limit (section 4.1)."""


@dataclass(frozen=True, slots=True)
class Brevity:
    """Whether one answer is brief; None for an empty one."""

    id: str
    brief: bool | None


@step(version=1)
def brevity(out: Output, *, outputs: Artifact, max_words: int) -> None:
    """Write `Brevity` rows: an answer is brief if it ends by itself within `max_words` words."""
    out.write_rows(Brevity(row.prompt.id, _is_brief(row, max_words)) for row in outputs.rows(Response))


def _is_brief(row: Response, max_words: int) -> bool | None:
    words = row.text.split()
    return row.is_ended and len(words) <= max_words if words else None


class BrevityBenchmark(ItemBenchmark):
    """How many answers are brief."""

    summary = "share of answers that end by themselves within 25 words"
    source = "Twice, arXiv 0000.00000, section 4.1"
    metrics = (Metric("brief"),)
    needs = ("outputs",)

    def rows(self, setting: Setting, **given: Artifact) -> Artifact:
        """Return `Brevity` rows. Calling a step makes a promise; it is run when its result is wanted."""
        return brevity(outputs=given["outputs"], max_words=MAX_WORDS)


BENCHMARK = BrevityBenchmark()
