"""How often `harness regress` calls a run worse or better that differs in nothing but its seeds, and what it catches.

    .venv/bin/python benchmarks/regress_alarms.py [--seeds 40] [--pairs 200] [--run-dir DIRECTORY] [--json FILE]

Trains Table 3's SFT, DPO and SGPO with `--fast`, once for each seed, in one run that goes on where it was stopped. Then
it draws pairs of groups of k + k of the seeds, all distinct, and hands the scores of each pair to the test of `harness
regress`. No pair has a difference but that of seeds, so that any verdict is a false alarm. For the power a single score
of the candidate is lowered until it is called worse, by bisection: the rest stay as they are, so that Holm's method has
most to correct for.

Pairs are drawn from the same seeds: they are no independent draws, and the bound on the rate of alarms, Clopper and
Pearson's (1934), is that of the draw of pairs, for these seeds.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median, stdev
from typing import Any, TypeVar

from evals.base import RESAMPLES
from evals.scoring import on_shared_items
from evals.stats.bootstrap import FloatArray, Statistic
from evals.stats.regression import Change, Sides
from harness.engine.progress import format_duration
from harness.regress import compare
from harness.regress.compare import results_of
from harness.regress.runs import read_run
from harness.results.manifest import read_manifest

T = TypeVar("T")

RUN = ("reproduce", "table3", "--fast", "--methods", "sft,dpo,sgpo")
GROUPS = (2, 3, 5)
"""Seeds in each of the two runs that are compared."""
STEPS = (1, 2, 3, 4, 6)
"""By how many standard deviations of a single seed a score is lowered where power is told."""
REQUIRED = 0.8
"""The share of pairs in which the smallest effect that is told is caught."""
FARTHEST = 64.0
"""Standard deviations; an effect not caught there is told as not caught."""
EVERY = 10.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class SeedScore:
    """One score of the run: a statistic a training seed, all on the same prompts."""

    name: str
    seeds: tuple[Statistic, ...]
    n_prompts: int

    @property
    def deviation(self) -> float:
        """The standard deviation of a single seed, in points."""
        return stdev(statistic.value for statistic in self.seeds)

    def sides(self, baseline: Sequence[int], candidate: Sequence[int]) -> Sides:
        """The score of two groups of seeds, by their places."""
        first, second = ([self.seeds[place] for place in group] for group in (baseline, candidate))
        return Sides(first, second, self.n_prompts)


@dataclass(frozen=True)
class Caught:
    """The effect on one score, in points, that is called worse in 80 % of the pairs; None where none is.

    `told` is what the command itself says that it catches, the median over the undecided pairs; None where it says
    nothing.
    """

    score: str
    deviation: float
    effect: float | None
    told: float | None


@dataclass(frozen=True)
class Group:
    """What was counted with `seeds` training seeds in each of the two runs.

    `alarms` of `pairs` pairs had any score called `worse` or `better`, which is at most the share `bound` (one-sided,
    95 %). `power` says in which share of `probed` pairs a score is called worse that is lowered by so many standard
    deviations of a seed, mean over the scores.
    """

    seeds: int
    pairs: int
    alarms: int
    worse: int
    better: int
    bound: float
    probed: int
    power: dict[str, float]
    caught: tuple[Caught, ...]


def reproduce(run_dir: Path, seeds: int) -> Path:
    """Makes the run of all seeds, or goes on with it, and returns its folder; ends this program where that fails."""
    command = [sys.executable, "-m", "harness", *RUN, "--seeds", str(seeds), "--run-dir", str(run_dir)]
    if code := subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        sys.exit(f"harness {' '.join(command[3:])} ended with {code}")
    return run_dir / "sgpo" / "table3"


def scores_of(run: Path) -> list[SeedScore]:
    """Every score of a finished run, as `harness regress` reads it. Raises UserError where the run is not complete."""
    finished, scores = read_run(run), []
    table = finished.manifest.exhibits["table3"]
    for (model, method, bench), cell in finished.cells.items():
        sets = results_of(bench, [cell])
        for metric, label in cell.labels.items():
            shared = on_shared_items(sets, metric)
            if shared.withheld:
                sys.exit(f"{model} {method} {label} is withheld: {shared.withheld}")
            seeds = tuple(map(_remembering, shared.statistics))
            scores.append(SeedScore(f"{table.subject(method)} {label}", seeds, shared.n_items))
    return scores


def _remembering(statistic: Statistic) -> Statistic:
    """The same statistic, computed once on the same resampled prompts: each seed is in many pairs."""
    known: dict[tuple[Any, ...], FloatArray] = {}

    def resample(counts: FloatArray) -> FloatArray:
        drawn = (counts.shape, counts[0].tobytes(), counts[-1].tobytes())
        if drawn not in known:
            known[drawn] = statistic.resample(counts)
        return known[drawn]

    return Statistic(statistic.value, resample)


def lowered(sides: Sides, points: float) -> Sides:
    """The score with every seed of the candidate `points` lower."""
    return replace(sides, candidate=[_moved(statistic, -points) for statistic in sides.candidate])


def _moved(statistic: Statistic, points: float) -> Statistic:
    return Statistic(statistic.value + points, lambda counts: statistic.resample(counts) + points)


def changes_of(sides: Sequence[Sides]) -> list[Change]:
    """What the very test that `harness regress` uses says."""
    return compare.compare_runs(sides, (), resamples=RESAMPLES)


def draw_pairs(n_seeds: int, group: int, pairs: int, seed: int = 0) -> list[tuple[list[int], list[int]]]:
    """Places of the seeds of two groups, no seed in both. Raises ValueError for fewer than 2 · `group` seeds."""
    generator = random.Random(f"{seed} {group}")
    drawn = (generator.sample(range(n_seeds), 2 * group) for _ in range(pairs))
    return [(places[:group], places[group:]) for places in drawn]


def count(scores: Sequence[SeedScore], group: int, pairs: int, probed: int) -> Group:
    """Alarms over `pairs` pairs of groups of seeds, and over the first `probed` of them what is caught."""
    drawn = draw_pairs(len(scores[0].seeds), group, pairs)
    changes = [
        changes_of([score.sides(*pair) for score in scores])
        for pair in progress(drawn, f"{group} + {group} seeds, pairs")
    ]
    found = [{change.outcome for change in of_pair} for of_pair in changes]
    told = [_told(of_score) for of_score in zip(*changes, strict=True)]
    alarms = sum(bool(found_in & {"worse", "better"}) for found_in in found)
    limits = [
        [caught_from(scores, pair, place) for place in range(len(scores))]
        for pair in progress(drawn[:probed], f"{group} + {group} seeds, pairs probed")
    ]
    by_score = list(zip(*limits, strict=True))
    return Group(
        seeds=group,
        pairs=pairs,
        alarms=alarms,
        worse=sum("worse" in found_in for found_in in found),
        better=sum("better" in found_in for found_in in found),
        bound=upper_bound(alarms, pairs),
        probed=probed,
        power={str(step): _share(limit <= step for of_one in by_score for limit in of_one) for step in STEPS},
        caught=tuple(map(_caught, scores, by_score, told)),
    )


def caught_from(scores: Sequence[SeedScore], pair: tuple[Sequence[int], Sequence[int]], place: int) -> float:
    """By how many standard deviations of a seed the score at `place` must be lowered to be called worse.

    Within a twentieth; infinite where even `FARTHEST` is not enough.
    """
    sides = [score.sides(*pair) for score in scores]

    def is_caught(step: float) -> bool:
        points = step * scores[place].deviation
        return (
            changes_of([*sides[:place], lowered(sides[place], points), *sides[place + 1 :]])[place].outcome == "worse"
        )

    high = 1.0
    while not is_caught(high):
        high *= 2
        if high > FARTHEST:
            return float("inf")
    low = 0.0 if high == 1.0 else high / 2
    while high - low > 0.05:
        middle = (low + high) / 2
        low, high = (low, middle) if is_caught(middle) else (middle, high)
    return high


def upper_bound(alarms: int, pairs: int) -> float:
    """The 95 % one-sided upper bound of a rate (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    return float(binomtest(alarms, pairs, alternative="less").proportion_ci(0.95, method="exact").high)


def _told(changes: Sequence[Change]) -> float | None:
    """What is told of one score that is undecided."""
    detectable = [
        change.minimum_detectable_effect
        for change in changes
        if change.outcome == "cannot tell" and change.minimum_detectable_effect is not None
    ]
    return median(detectable) if detectable else None


def _caught(score: SeedScore, limits: Sequence[float], told: float | None) -> Caught:
    """The smallest effect that 80 % of the pairs catch."""
    needed = sorted(limits)[max(0, -(-len(limits) * 8 // 10) - 1)]
    return Caught(score.name, score.deviation, None if needed == float("inf") else needed * score.deviation, told)


def _share(flags: Iterable[bool]) -> float:
    every = list(flags)
    return sum(every) / len(every)


def progress(items: Sequence[T], what: str, clock: Callable[[], float] = time.monotonic) -> Iterator[T]:
    """The items; says on stderr now and then how many are done, how fast, and how long the rest takes."""
    started = told = clock()
    for done, item in enumerate(items, start=1):
        yield item
        now = clock()
        if now - told >= EVERY or done == len(items):
            told, rate = now, done / max(now - started, 1e-9)
            left = "" if done == len(items) else f" · {format_duration((len(items) - done) / rate)} left"
            print(f"{what} {done}/{len(items)} · {rate:.3g}/s{left}", file=sys.stderr, flush=True)


def main() -> None:
    """Prints what was counted for each number of seeds, and writes it where `--json` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--probed", type=int, default=50, help="pairs on which the effect that is caught is looked for")
    parser.add_argument("--groups", type=int, nargs="+", default=list(GROUPS))
    parser.add_argument("--run-dir", type=Path, default=Path("runs/alarms"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.seeds < 2 * max(options.groups):
        parser.error(f"two groups of {max(options.groups)} need --seeds {2 * max(options.groups)} or more")
    run = reproduce(options.run_dir, options.seeds)
    scores = scores_of(run)
    probed = max(1, min(options.probed, options.pairs))
    groups = [count(scores, group, options.pairs, probed) for group in options.groups]
    print("\n".join(line for group in groups for line in lines(group)))
    if options.json:
        options.json.write_text(json.dumps(report(run, groups), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def lines(group: Group) -> Iterator[str]:
    """What was counted, for a terminal."""
    yield f"{group.seeds} + {group.seeds} seeds: {group.alarms} of {group.pairs} pairs with an alarm "
    yield f"  ({group.worse} worse, {group.better} better; at most {100 * group.bound:.1f} % with 95 % confidence)"
    power = ", ".join(f"{step} sd {share:.2f}" for step, share in group.power.items())
    yield f"  called worse, mean over the scores: {power}"
    for caught in group.caught:
        effect, told = ("nothing" if each is None else f"{each:.1f} points" for each in (caught.effect, caught.told))
        yield f"  {caught.score:28} one seed's sd {caught.deviation:.2f}, caught in 80 %: {effect}; told: {told}"


def report(run: Path, groups: Sequence[Group]) -> dict[str, Any]:
    """The counts and the run that they are of."""
    manifest = read_manifest(run)
    git = manifest.provenance.get("git", {})
    return {
        "commit": git.get("commit", "unknown"),
        "dirty": git.get("dirty"),
        "command": manifest.command,
        "seeds": len(manifest.seeds),
        "groups": [asdict(group) for group in groups],
    }


if __name__ == "__main__":
    main()
