"""Edit distance as an evaluation: how far answers depart from a baseline's, prompt by prompt and in summary."""

import shutil

from evals.base import RESAMPLES, Setting
from evals.measures import TOKENS, Measurement
from harness.engine.artifacts import Artifact, Output, step
from harness.engine.store import RECORD
from harness.records import ROWS
from harness.steps.edit_distance import EditDistance, edit_distance

MEASURES = ("characters", "characters_normalised", "tokens", "tokens_normalised")


class EditDistanceBenchmark(Measurement):
    """The distance of answers from a baseline's, to the same prompts."""

    summary = "edit distance of answers from the baseline's: characters and tokens, raw and normalised"
    source = "SGPO, section 3.1.1, figures 3 and 4"
    metrics = (TOKENS,)
    needs = ("outputs", "baselines")
    counts_tokens = True

    def rows(self, setting: Setting, **given: Artifact) -> Artifact:
        """Build `EditDistance` rows; tokens of the model `tokenizer`, or words where there is none."""
        return edit_distance(outputs=given["outputs"], baselines=given["baselines"], tokenizer=given.get("tokenizer"))

    def summarise(self, rows: Artifact) -> Artifact:
        """Return the mean and quartiles of each measure."""
        return summarise_edit_distance(distances=rows, resamples=RESAMPLES)


BENCHMARK = EditDistanceBenchmark()


@step(version=1)
def summarise_edit_distance(out: Output, *, distances: Artifact, resamples: int) -> None:
    """Write the `EditDistance` rows again, and `summary.json`: `n` prompts, `n_missing` without both texts, and by
    measure mean and quartiles, each a `value` with `ci95` from a bootstrap over prompts (null for a single prompt).

    A measure is null where no prompt has both texts.
    """
    import numpy as np

    from evals.stats.distribution import distribution

    rows = distances.rows(EditDistance)
    summary: dict[str, object] = {"n": len(rows), "n_missing": distances.json(RECORD)["counts"]["missing"]}
    for measure in MEASURES:
        values = np.array([getattr(row, measure) for row in rows], dtype=float)
        summary[measure] = distribution(values, resamples=resamples) if rows else None
    out.write_json("summary.json", summary)
    shutil.copyfile(distances.folder / ROWS, out.folder / ROWS)
    out.counts["rows"] = len(rows)
