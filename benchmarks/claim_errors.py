"""How often the test of the paper's claims decides wrongly, and how much it decides: simulated Table 3s of SGPO.

Every simulated run has the table's base models, methods, benches and metrics, the paper's claims about it, and the
very functions that decide them (`evals.stats.comparison`, `evals.stats.multiplicity`). Prompts and training seeds are
normal. Of a cell's variance by the draw of prompts half is common to all methods of a base model and bench, a quarter
is the method's own and a quarter is drawn anew with every training seed; the two metrics of AlpacaEval 2.0 share most
of both. On top come the training seeds, with so many times that variance.

    null    no method differs from another: a family (one run) is false if any ordering or any claim is decided
    report  the means and variances of Table 3 in docs/report at commit 959dfa3 (three training seeds)

    .venv/bin/python benchmarks/claim_errors.py --families 1000 --json claim_errors.json --figure docs/claim_errors.png
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rich.progress import track
from scipy import stats

from evals.stats.comparison import Family, PairedDifference, SeedSpread
from evals.stats.moderation import Prior, fit_prior
from evals.stats.multiplicity import SIGNIFICANCE, evidence, holm
from harness.papers.claims import Claim, Comparison
from harness.papers.loading import load_exhibit
from harness.papers.scores import ScoreTable

FloatArray = npt.NDArray[np.float64]
CellName = tuple[str, str, str, str]
"""Base model, bench, metric, method."""
OrderingName = tuple[str, str, str, str, str]
"""Base model, bench, metric, and the two methods."""

CELLS = Path(__file__).with_name("table3_three_seeds.json")
N_PROMPTS = 100
SEEDS, RATIOS, LARGEST = (3, 5, 10), (0.0, 0.25, 0.5, 1.0, 2.0, 5.0), (1.0, 4.0)
COMMON, METHOD, SEED = 0.5, 0.25, 0.25
SHARED_BY_METRICS = 0.85
"""The correlation of length-controlled and raw win rate, of which each is the other's judgment of the same answers."""


@dataclass(frozen=True)
class Cell:
    """A method on a base model by one metric: its mean, and its variances by the draw of prompts and of seeds."""

    mean: float
    by_prompts: float
    by_seeds: float


@dataclass(frozen=True)
class Setting:
    """One population of runs. `ratio` is of the variances by training seeds and by prompts, None for those of the
    report; `largest` multiplies the variances of one cell that training seeds make; `is_null` takes all means as equal.
    """

    seeds: int
    ratio: float | None
    largest: float = 1.0
    is_null: bool = True


def table3() -> ScoreTable:
    """The table as published, with its claims."""
    exhibit = load_exhibit("sgpo", "table3")
    assert isinstance(exhibit, ScoreTable)
    return exhibit


def cells_of(setting: Setting, exhibit: ScoreTable) -> dict[CellName, Cell]:
    """All cells of the table but those of added rows."""
    methods = [row.method for row in exhibit.rows if not row.added]
    names = [(m, c.bench, c.metric, method) for m in exhibit.models for c in exhibit.columns for method in methods]
    if setting.ratio is not None:
        return {name: Cell(0.0, 1.0, setting.ratio) for name in names}
    known = json.loads(CELLS.read_text(encoding="utf-8"))
    return {name: _reported(known["/".join(name)], setting.is_null) for name in names}


def _reported(reported: Mapping[str, float], is_null: bool) -> Cell:
    """From the standard errors of a mean of three seeds; an estimate of 0 is taken for a third of the prompts'."""
    prompt_error, seed_error = reported["prompt_error"], reported["seed_error"]
    by_prompts = prompt_error**2 / (COMMON + METHOD + SEED / 3)
    return Cell(0.0 if is_null else reported["mean"], by_prompts, 3 * (seed_error or prompt_error / 3) ** 2)


class Run:
    """One simulated run: the answers of every training seed to every prompt, cell by cell."""

    def __init__(self, setting: Setting, cells: Mapping[CellName, Cell], rng: np.random.Generator) -> None:
        self.cells = cells
        wild = list(cells)[-1] if setting.largest != 1 else None
        self.values: dict[CellName, FloatArray] = {}
        for model, bench in dict.fromkeys(name[:2] for name in cells):
            self._draw(model, bench, setting, wild, rng)

    def _draw(self, model: str, bench: str, setting: Setting, wild: object, rng: np.random.Generator) -> None:
        names = [name for name in self.cells if name[:2] == (model, bench)]
        metrics = list(dict.fromkeys(metric for _, _, metric, _ in names))
        common = _correlated(len(metrics), (1, N_PROMPTS), rng)
        for method in dict.fromkeys(method for *_, method in names):
            own = _correlated(len(metrics), (1, N_PROMPTS), rng)
            of_seeds = _correlated(len(metrics), (setting.seeds, N_PROMPTS), rng)
            drawn = _correlated(len(metrics), (setting.seeds, 1), rng)
            for place, metric in enumerate(metrics):
                name = (model, bench, metric, method)
                if name not in self.cells:
                    continue
                cell, factor = self.cells[name], setting.largest if name == wild else 1.0
                prompts = math.sqrt(COMMON) * common[place] + math.sqrt(METHOD) * own[place]
                prompts = prompts + math.sqrt(SEED * factor) * of_seeds[place]
                seeds = math.sqrt(cell.by_seeds * factor) * drawn[place]
                self.values[name] = cell.mean + math.sqrt(cell.by_prompts * N_PROMPTS) * prompts + seeds

    def difference(self, first: CellName, second: CellName | None) -> PairedDifference:
        """As `evals.stats.comparison.paired_difference` of endlessly many resamples: of means, these are known.

        Without a `second` it is the difference from 0.
        """
        a = self.values[first]
        b = self.values[second] if second else np.zeros((1, 1))
        by_prompts = float((a.mean(axis=0) - b.mean(axis=0)).var(ddof=1)) / N_PROMPTS
        of_second = _spread(b) if second else None
        return PairedDifference(float(a.mean() - b.mean()), N_PROMPTS, _spread(a), of_second, by_prompts)

    def truth(self, first: CellName, second: CellName) -> float:
        return self.cells[first].mean - self.cells[second].mean


def _correlated(metrics: int, shape: tuple[int, int], rng: np.random.Generator) -> list[FloatArray]:
    """Standard normal draws, one array a metric."""
    shared = rng.standard_normal(shape)
    rest = math.sqrt(1 - SHARED_BY_METRICS**2)
    return [shared, *(SHARED_BY_METRICS * shared + rest * rng.standard_normal(shape) for _ in range(metrics - 1))]


def _spread(values: FloatArray) -> SeedSpread:
    seeds = len(values)
    by_prompts = (values - values.mean(axis=0)).var(axis=1, ddof=1).sum() / (seeds - 1) / N_PROMPTS
    return SeedSpread(seeds, float(values.mean(axis=1).var(ddof=1)), float(by_prompts), seeds - 1)


# The rules of a cell's variance between training seeds that were tried

Rule = Callable[[SeedSpread], tuple[float, float]]


def _welch(spreads: Sequence[SeedSpread]) -> Rule:
    return lambda spread: (spread.between, spread.degrees_of_freedom)


def _prior(spreads: Sequence[SeedSpread]) -> tuple[Prior, float]:
    degrees = [spread.degrees_of_freedom for spread in spreads]
    return fit_prior([spread.ratio for spread in spreads], degrees), float(sum(degrees))


def _posterior(spread: SeedSpread, prior: Prior, total: float) -> tuple[float, float]:
    own = spread.degrees_of_freedom
    lent = min(prior.degrees_of_freedom, total - own)
    return (lent * prior.variance * spread.by_prompts + own * spread.between) / (lent + own), lent + own


def _moderated(spreads: Sequence[SeedSpread]) -> Rule:
    prior, total = _prior(spreads)
    return lambda spread: _posterior(spread, prior, total)


def _raised(spreads: Sequence[SeedSpread]) -> Rule:
    prior, total = _prior(spreads)

    def rule(spread: SeedSpread) -> tuple[float, float]:
        common, freedom = _posterior(spread, prior, total)
        if spread.between <= common:
            return common, freedom
        return spread.between, max(spread.degrees_of_freedom, freedom * common / spread.between)

    return rule


def _above_mean(spreads: Sequence[SeedSpread]) -> Rule:
    prior, total = _prior(spreads)
    mean = float(np.mean([spread.ratio for spread in spreads]))

    def rule(spread: SeedSpread) -> tuple[float, float]:
        own, common = spread.degrees_of_freedom, mean * spread.by_prompts
        if spread.between > common:
            return spread.between, own
        return common, own + min(prior.degrees_of_freedom, total - own)

    return rule


WELCH = _welch(())
TRIED: Mapping[str, Callable[[Sequence[SeedSpread]], Rule]] = {
    "own variance (Welch)": _welch,
    "moderated (limma)": _moderated,
    "moderated, only raised": _raised,
    "not below the mean of all": _above_mean,
}
USED = "not below what is common"


def p_values_by_rule(differences: Sequence[PairedDifference], names: Sequence[OrderingName]) -> dict[str, FloatArray]:
    """The p-values of the tests by every rule that was tried, and by the one that is used."""
    cells = [((*name[:3], name[3]), (*name[:3], name[4])) for name in names]
    spreads = {
        cell: side
        for each, pair in zip(differences, cells, strict=True)
        for cell, side in zip(pair, each.sides, strict=True)
    }
    rules = {label: make(list(spreads.values())) for label, make in TRIED.items()}
    rules[USED] = Family(list(spreads.values())).variance
    return {label: p_values_of(differences, rule) for label, rule in rules.items()}


def p_values_of(differences: Sequence[PairedDifference], rule: Rule) -> FloatArray:
    """Of all tests at once: one by one, as `evals.stats.comparison` has them, they take ten times as long."""
    errors, freedoms = np.array([each.error(rule) for each in differences]).T
    values: FloatArray = 2 * stats.t.sf(np.abs([each.difference for each in differences]) / errors, freedoms)
    return values


@dataclass
class Count:
    """What became of the families of one setting under one rule."""

    false: int = 0
    decided: int = 0
    claims_decided: int = 0


def simulate(setting: Setting, families: int, seed: int) -> dict[str, Any]:
    """Families with a false decision, orderings decided a family, and coverage of the differences' 95 % intervals."""
    exhibit, rng = table3(), np.random.default_rng(seed)
    names, cells = orderings(exhibit.claims), cells_of(setting, exhibit)
    counts = {label: Count() for label in (*TRIED, USED)}
    covered = 0
    for _ in range(families):
        run = Run(setting, cells, rng)
        pairs = [((*name[:3], name[3]), (*name[:3], name[4])) for name in names]
        differences = [run.difference(*pair) for pair in pairs]
        off = [
            replace(each, difference=each.difference - run.truth(*pair))
            for each, pair in zip(differences, pairs, strict=True)
        ]
        covered += int((p_values_of(off, WELCH) > SIGNIFICANCE).sum())  # 0 lies within their intervals
        for label, p_values in p_values_by_rule(differences, names).items():
            _count(counts[label], setting, exhibit.claims, names, differences, p_values)
    return {
        "seeds": setting.seeds,
        "ratio": setting.ratio,
        "largest": setting.largest,
        "is_null": setting.is_null,
        "families": families,
        "orderings": len(names),
        "coverage": covered / families / len(names),
        "rules": {label: _summary(count, families) for label, count in counts.items()},
    }


def orderings(claims: Sequence[Claim]) -> list[OrderingName]:
    """The different orderings of the claims, as each is stated first."""
    found: dict[object, OrderingName] = {}
    for claim in claims:
        for model, each in claim.orderings():
            key = (model, each.bench, each.metric, frozenset((each.better, each.worse)))
            found.setdefault(key, (model, each.bench, each.metric, each.better, each.worse))
    return list(found.values())


def _count(
    count: Count,
    setting: Setting,
    claims: Sequence[Claim],
    names: Sequence[OrderingName],
    differences: Sequence[PairedDifference],
    p_values: FloatArray,
) -> None:
    decided = sum(p < SIGNIFICANCE for p in holm(p_values.tolist()))
    found = {name: (p, each.difference) for name, p, each in zip(names, p_values.tolist(), differences, strict=True)}
    of_claims = sum(p < SIGNIFICANCE for p in holm([claim_p_value(claim, found) for claim in claims]))
    count.decided += decided
    count.claims_decided += of_claims
    count.false += setting.is_null and bool(decided or of_claims)


def claim_p_value(claim: Claim, found: Mapping[OrderingName, tuple[float, float]]) -> float:
    """The smaller p-value of "the claim holds" and "it fails", from p-value and difference of its orderings."""
    tests = [_as_stated(found, model, stated) for model, stated in claim.orderings()]
    return min(evidence([p for p, _ in tests], [difference > 0 for _, difference in tests], claim.at_least))


def _as_stated(
    found: Mapping[OrderingName, tuple[float, float]], model: str, stated: Comparison
) -> tuple[float, float]:
    """p-value and difference of an ordering, which may be tested the other way round."""
    where = (model, stated.bench, stated.metric)
    if (test := found.get((*where, stated.better, stated.worse))) is not None:
        return test
    p_value, difference = found[(*where, stated.worse, stated.better)]
    return p_value, -difference


def _summary(count: Count, families: int) -> dict[str, float]:
    upper = stats.binomtest(count.false, families).proportion_ci(0.95, method="exact").high
    return {
        "false_families": count.false / families,
        "false_families_upper_95": float(upper),
        "orderings_decided": count.decided / families,
        "claims_decided": count.claims_decided / families,
    }


def settings() -> list[Setting]:
    """Those of the promise, then the variances of the report, with its means equal and as they are."""
    promised = [Setting(seeds, ratio, largest) for seeds in SEEDS for largest in LARGEST for ratio in RATIOS]
    reported = [Setting(seeds, None, is_null=is_null) for is_null in (True, False) for seeds in SEEDS]
    return [*promised, *reported]


def _simulate(job: tuple[Setting, int, int]) -> dict[str, Any]:
    return simulate(*job)


def _lines(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "seeds  ratio  largest  false families [upper 95 %]  orderings decided  coverage   " + "; ".join(TRIED)
    for each in found:
        used = each["rules"][USED]
        ratio = "report" if each["ratio"] is None else f"{each['ratio']:g}"
        false = f"{used['false_families']:.3f} [{used['false_families_upper_95']:.3f}]" if each["is_null"] else "-"
        name = "false_families" if each["is_null"] else "orderings_decided"
        others = "  ".join(f"{each['rules'][label][name]:.3f}" for label in TRIED)
        yield (
            f"{each['seeds']:5d} {ratio:>6} {each['largest']:8g}  {false:>27}  "
            f"{used['orderings_decided']:7.1f} of {each['orderings']}  {100 * each['coverage']:7.1f} %   {others}"
        )


def draw(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Families with a false decision, a panel a rule, by the ratio of the variances."""
    import matplotlib.pyplot as plt

    rules = ["own variance (Welch)", "moderated (limma)", "moderated, only raised", USED]
    figure, axes = plt.subplots(1, len(rules), figsize=(11, 3.2), sharey=True, layout="constrained")
    ticks = ["0", "¼", "½", "1", "2", "5", "report"]
    for axis, rule in zip(axes, rules, strict=True):
        for colour, seeds in zip(("#b2182b", "#2166ac", "#4d4d4d"), SEEDS, strict=True):
            for largest, style in zip(LARGEST, ("-", ":"), strict=True):
                rows = [each for each in found if each["is_null"] and each["seeds"] == seeds]
                line = [each for each in rows if each["ratio"] is not None and each["largest"] == largest]
                shares = [100 * each["rules"][rule]["false_families"] for each in line]
                axis.plot(
                    range(len(shares)), shares, style, color=colour, label=f"{seeds} seeds" if largest == 1 else None
                )
            of_report = [100 * each["rules"][rule]["false_families"] for each in rows if each["ratio"] is None]
            axis.plot([len(RATIOS)] * len(of_report), of_report, "o", color=colour, clip_on=False)
        axis.axhline(100 * SIGNIFICANCE, color="#999999", linewidth=0.8)
        axis.set_xticks(range(len(ticks)), ticks)
        axis.set(title=rule, xlabel="variance by seeds / by prompts")
    highest = max(each["rules"][rule]["false_families"] for each in found if each["is_null"] for rule in rules)
    axes[0].set_ylim(0, 105 * highest)
    axes[0].set_ylabel("families with a false decision (%)")
    axes[-1].legend(frameon=False)
    figure.savefig(path, dpi=160)


@click.command(help=__doc__)
@click.option("--families", default=1000, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path))
@click.option("--figure", type=click.Path(path_type=Path))
def main(families: int, seed: int, workers: int, json_path: Path | None, figure: Path | None) -> None:
    """Simulate every setting, print a line each, and write what is asked for."""
    jobs = [(setting, families, seed + place) for place, setting in enumerate(settings())]
    with ProcessPoolExecutor(workers) as pool:
        found = list(track(pool.map(_simulate, jobs), total=len(jobs), description="settings"))
    print(*_lines(found), sep="\n")
    if json_path:
        json_path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if figure:
        draw(found, figure)


if __name__ == "__main__":
    main()
