"""The pairs whose verdict flipped: won against the bench's baseline in one run and not in the other."""

from collections.abc import Iterator, Sequence

from harness.records import Judgment, by_prompt, outcome
from harness.regress.runs import CellName, RunCell
from reports.viewer import Pair, Side, Verdict


def flipped_pairs(name: CellName, before: RunCell, after: RunCell) -> Iterator[Pair]:
    """Yield the flipped pairs of one cell.

    Seeds that both runs have are compared with themselves, others in their order.
    """
    shared = before.shared_seeds(after)
    seeds = [(seed, seed) for seed in shared] if shared else list(zip(before.verdicts, after.verdicts, strict=False))
    for of_baseline, of_candidate in seeds:
        first, second = by_prompt(before.rows[of_baseline]), by_prompt(after.rows[of_candidate])
        for prompt_id in first.keys() & second.keys():
            pair = _pair(name, (of_baseline, first[prompt_id]), (of_candidate, second[prompt_id]))
            if pair:
                yield pair


SeedVerdicts = tuple[int, Sequence[Judgment]]
"""A training seed, and the verdicts on its answer to one prompt."""


def _pair(name: CellName, baseline: SeedVerdicts, candidate: SeedVerdicts) -> Pair | None:
    flip = [outcome(verdicts) for _, verdicts in (baseline, candidate)]
    if "failed" in flip or (flip[0] == "win") == (flip[1] == "win"):
        return None
    model, method, bench = name
    prompt = baseline[1][0].prompt
    seeds = f"{baseline[0]}-{candidate[0]}"
    return Pair(
        id="/".join((*name, seeds, prompt.id)),
        facets={
            "model": model,
            "method": method,
            "bench": bench,
            "seed": str(baseline[0]) if baseline[0] == candidate[0] else f"{baseline[0]}, {candidate[0]}",
            "flip": f"{flip[0]} → {flip[1]}",
        },
        prompt=prompt.text,
        left=Side(f"baseline, seed {baseline[0]}", baseline[1][0].output),
        right=Side(f"candidate, seed {candidate[0]}", candidate[1][0].output),
        verdicts=tuple(
            _verdict(run, row) for run, (_, rows) in (("baseline", baseline), ("candidate", candidate)) for row in rows
        ),
    )


def _verdict(run: str, row: Judgment) -> Verdict:
    place = "second" if row.order == "baseline_first" else "first"
    return Verdict(
        f"{run} run, its answer {place}", row.verdict, row.preference, outcome([row]), row.reply or row.error
    )
