"""`harness eval`: scores of a checkpoint, or of verdicts that are stored already."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import UserError, unknown

Scores = dict[str, Any]

HEADLINES = ("length_controlled_winrate", "win_rate", "discrete_win_rate", "score")


def score_stored_annotations(
    annotations: Path, calibration: Path | None, reference_outputs: Path | None, *, allow_missing: bool
) -> Scores:
    """AlpacaEval 2.0 scores of stored verdicts. Raises UserError for files that are wrong."""
    from evals.alpaca_eval2 import score_annotations
    from evals.formats import read_annotations, read_calibration

    read = read_annotations(annotations, reference_outputs=reference_outputs, allow_missing=allow_missing)
    return {
        "bench": "alpaca_eval2",
        "model": read.model,
        **score_annotations(read, read_calibration(calibration) if calibration else None, allow_missing=allow_missing),
    }


def score_stored_judgments(judgments: Path) -> Scores:
    """Arena-Hard scores of stored verdicts. Raises UserError for a file that is wrong."""
    from evals.arena_hard import score_judgments
    from evals.formats import read_judgments

    read = read_judgments(judgments)
    return {"bench": "arena_hard", "model": read[0].model, "judge": read[0].judge, **score_judgments(read)}


def score_checkpoint(reference: str, benches: Sequence[str], scale_name: str, run_dir: Path) -> list[Scores]:
    """Answers, verdicts and scores of one checkpoint on each bench; what is in the run directory is not made again.

    Raises UserError for unknown names, a folder that is no checkpoint, and a run directory that cannot be written to.
    """
    from harness.core.artifacts import labels
    from harness.core.store import Store
    from harness.experiments import bench_on
    from harness.pipeline import plan, print_plan, run
    from harness.registries import EVALS
    from harness.scales import load_scale
    from harness.steps.data import model

    scale = load_scale(scale_name)
    if unknown_bench := next((bench for bench in benches if bench not in EVALS.names()), None):
        raise unknown("bench", unknown_bench, EVALS.names())
    located = reference if reference.startswith("mini:") else str(Path(reference).absolute())
    checkpoint, name = model(located), located.rpartition("/")[2]
    scored = {}
    for bench in benches:
        evaluation, setting = EVALS.load(bench), bench_on(scale, bench)
        with labels(f"{name} {bench}"):
            scored[bench] = evaluation.score(setting, [evaluation.judgments(setting, checkpoint, 0)], name)
    store = Store(run_dir / "store")
    print_plan(plan(scored.values(), store))
    run(scored.values(), store)
    for bench, artifact in scored.items():
        print(f"{bench}: answers, verdicts and scores are in {store.folder(artifact) / 'seed-0'}", file=sys.stderr)
    return [
        {"bench": bench, "model": name, "judge": scale.judge, **store.bind(artifact).json("seed-0/scores.json")}
        for bench, artifact in scored.items()
    ]


def required_bench(benches: Sequence[str], needed: str, option: str) -> None:
    """Raises UserError unless `needed` is the one bench asked for: stored verdicts belong to one."""
    if list(benches) != [needed]:
        raise UserError(f"{option} holds verdicts of {needed}; give --bench {needed} and no other")


def shown(scores: Scores) -> str:
    """The headline figures, one a line, each with its 95 % interval where it has one."""
    intervals = scores.get("ci95")
    lines = [f"{scores['bench']}: {scores['model']}"]
    for name in (*HEADLINES, *sorted(scores.keys() - set(HEADLINES))):
        value = scores.get(name)
        interval = intervals.get(name) if isinstance(intervals, dict) else intervals if name == "score" else None
        if isinstance(value, float):
            tail = f"  [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
            lines.append(f"  {name:26} {value:7.2f}{tail}")
        elif isinstance(value, int) and name.startswith("n_"):
            lines.append(f"  {name:26} {value:7d}")
    if reason := scores.get("length_controlled_withheld"):
        lines.append(f"  length_controlled_winrate withheld: {reason}")
    return "\n".join(lines)
