"""What edit distances cost: seconds and peak memory for 6,000 and for 60,000 pairs of 1,500 characters.

    .venv/bin/python benchmarks/edit_distance.py

Each size runs in a process of its own, from two files of answers to the saved rows, the summary with its intervals and
the histogram. The second answer is the first with one word in five replaced. The target is under a minute for 60,000
pairs, and memory that does not grow with them.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evals.base import RESAMPLES
from evals.edit_distance.benchmark import summarise_edit_distance
from harness.engine.artifacts import Artifact, Output, ancestry, step
from harness.engine.store import Store
from harness.records import Prompt, Response
from harness.steps.edit_distance import edit_distance

SIZES = (6_000, 60_000)
CHARACTERS = 1_500
LINE = (
    "{pairs:6,} pairs: {distances:5.1f} s distances and summary, {histogram:4.1f} s histogram; peak {before:.0f} MiB "
    "before, {measured:.0f} MiB after the summary, {peak:.0f} MiB after the histogram"
)


@step()
def simulated_answers(out: Output, *, pairs: int, replaced: float) -> None:
    """Answers of `CHARACTERS` characters to `pairs` prompts, a share `replaced` of whose words are others."""
    words = ["".join(random.Random(i).choices("etaoinshrdlu", k=2 + i % 8)) for i in range(5_000)]
    out.write_rows(
        Response(Prompt(f"p{i}", "a prompt"), _text(words, random.Random(i), replaced), "simulated")
        for i in range(pairs)
    )


def _text(words: list[str], rng: random.Random, replaced: float) -> str:
    chosen = rng.choices(words, k=CHARACTERS // 4)
    return " ".join(rng.choice(words) if rng.random() < replaced else word for word in chosen)[:CHARACTERS]


def measure(pairs: int) -> dict[str, float]:
    """Seconds of distances with summary, and of the histogram; the peak in MiB before, after the one and the other."""
    with tempfile.TemporaryDirectory(prefix="edit-distance-") as folder:
        store = Store(folder)
        inputs = [simulated_answers(pairs=pairs, replaced=replaced) for replaced in (0.0, 0.2)]
        distances = edit_distance(outputs=inputs[1], baselines=inputs[0], tokenizer=None)
        target = summarise_edit_distance(distances=distances, resamples=RESAMPLES)
        for artifact in inputs:
            store.build(artifact)
        before, started = _peak(), time.monotonic()
        for artifact in ancestry([target]):
            store.build(artifact)
        measured, measured_peak = time.monotonic() - started, _peak()
        _draw(store.bind(target), Path(folder))
        drawn = time.monotonic() - started - measured
        return {
            "pairs": pairs, "distances": measured, "histogram": drawn,
            "before": before, "measured": measured_peak, "peak": _peak(),
        }  # fmt: skip


def _draw(measured: Artifact, folder: Path) -> None:
    from harness.steps.edit_distance import EditDistance
    from reports.blocks import Figure, HistogramAxes, HistogramChart, HistogramSet
    from reports.figures import draw

    values = tuple(float(row.characters) for row in measured.rows(EditDistance))
    panel = HistogramAxes("", (HistogramSet("simulated", values),))
    drawing = draw(Figure("figure", "", "", HistogramChart((panel,), "edit distance (characters)", "Count")))
    (folder / "figure.pdf").write_bytes(drawing.pdf)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Prints one line for each size, and the ratios of the two."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
        return
    results = []
    for pairs in SIZES:
        done = subprocess.run([sys.executable, __file__, str(pairs)], check=True, capture_output=True, text=True)
        results.append(json.loads(done.stdout))
        print(LINE.format(**results[-1]), flush=True)
    few, many = results
    summary, histogram = (many[name] / few[name] for name in ("measured", "peak"))
    print(f"ratio of the peaks: {summary:.2f} after the summary, {histogram:.2f} after the histogram")


if __name__ == "__main__":
    main()
