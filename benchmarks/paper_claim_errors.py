"""How often a run of all exhibits decides anything of methods that do not differ: the promise of 5 % for a whole paper.

Simulated runs of every exhibit of SGPO that has claims, each drawn as `benchmarks/claim_errors.py` draws Table 3,
tested with its own cells and decided at its share of the paper's 5 %. A paper (one run of all) is false if any ordering
or any claim is decided. Exhibits are drawn independently of each other, which makes most of their errors.

    .venv/bin/python benchmarks/paper_claim_errors.py --papers 3000 --json paper_claim_errors.json
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.progress import track
from scipy import stats

from benchmarks.claim_errors import (
    LARGEST,
    RATIOS,
    Cell,
    CellName,
    OrderingName,
    Run,
    Setting,
    claim_p_value,
    p_values_of,
)
from evals.stats.comparison import MIN_SEEDS, Family
from evals.stats.multiplicity import SIGNIFICANCE, holm
from harness.papers.claims import EVEN, Claim
from harness.papers.kinds import AnyExhibit
from harness.papers.loading import load_exhibits
from harness.run.claims import Families

PAPER = "sgpo"
SEEDS = (MIN_SEEDS, 10)
Tests = Mapping[OrderingName, tuple[float, float]]
"""p-value and difference of each ordering, by both ways to state it."""


def simulate(setting: Setting, papers: int, seed: int) -> dict[str, Any]:
    """The share of papers with a false decision, and that of each exhibit."""
    exhibits = [exhibit for exhibit in load_exhibits(PAPER) if exhibit.claims]
    families, rng = Families.of(PAPER), np.random.default_rng(seed)
    of_exhibits: Counter[str] = Counter()
    false = 0
    for _ in range(papers):
        wrong = [exhibit.name for exhibit in exhibits if is_decided(exhibit, families, setting, rng)]
        of_exhibits.update(wrong)
        false += bool(wrong)
    return {
        "seeds": setting.seeds,
        "ratio": setting.ratio,
        "largest": setting.largest,
        "papers": papers,
        "false_papers": false / papers,
        "false_papers_upper_95": float(stats.binomtest(false, papers).proportion_ci(0.95, method="exact").high),
        "by_exhibit": {exhibit.name: of_exhibits[exhibit.name] / papers for exhibit in exhibits},
    }


def is_decided(exhibit: AnyExhibit, families: Families, setting: Setting, rng: np.random.Generator) -> bool:
    """Whether any ordering or claim is decided in one simulated run of the exhibit."""
    run = Run(setting, cells_of(exhibit, setting), rng)
    tests = tested(exhibit, run)
    of_orderings = list({frozenset(name): p for name, (p, _) in tests.items()}.values())
    of_claims = [claim_p_value(claim, tests) for claim in exhibit.claims]
    adjusted = (*holm(of_orderings, families.orderings), *holm(of_claims, families.claims))
    return any(p_value < SIGNIFICANCE for p_value in adjusted)


def cells_of(exhibit: AnyExhibit, setting: Setting) -> dict[CellName, Cell]:
    """The cells that the exhibit's claims are about, all alike."""
    assert setting.ratio is not None
    names = (
        (*name[:3], method)
        for claim in exhibit.claims
        for name in _names(claim)
        for method in name[3:]
        if method != EVEN
    )
    return {name: Cell(0.0, 1.0, setting.ratio) for name in names}


def tested(exhibit: AnyExhibit, run: Run) -> Tests:
    """Every ordering of the exhibit, tested as one family of cells."""
    stated: dict[frozenset[str], OrderingName] = {}
    for claim in exhibit.claims:
        for name in _names(claim):
            stated.setdefault(frozenset(name), name)
    sides = [_sides(name) for name in stated.values()]
    differences = [run.difference(pair[0], pair[1] if len(pair) > 1 else None) for pair in sides]
    spreads = {
        cell: spread
        for pair, each in zip(sides, differences, strict=True)
        for cell, spread in zip(pair, each.sides, strict=True)
    }
    p_values = p_values_of(differences, Family(list(spreads.values())).variance).tolist()
    found: dict[OrderingName, tuple[float, float]] = {}
    for name, difference, p_value in zip(stated.values(), differences, p_values, strict=True):
        above = -difference.difference if name[3] == EVEN else difference.difference
        found[name] = (p_value, above)
        found[*name[:3], name[4], name[3]] = (p_value, -above)
    return found


def _names(claim: Claim) -> list[OrderingName]:
    return [(model, one.bench, one.metric, one.better, one.worse) for model, one in claim.orderings()]


def _sides(name: OrderingName) -> tuple[CellName, ...]:
    return tuple((*name[:3], method) for method in name[3:] if method != EVEN)


def settings() -> list[Setting]:
    """Those of the promise with as many seeds as a verdict takes."""
    return [Setting(seeds, ratio, largest) for seeds in SEEDS for largest in LARGEST for ratio in RATIOS]


def _simulate(job: tuple[Setting, int, int]) -> dict[str, Any]:
    return simulate(*job)


def _lines(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "seeds  ratio  largest  false papers [upper 95 %]   exhibits most often false"
    for each in found:
        worst = Counter(each["by_exhibit"]).most_common(3)
        yield (
            f"{each['seeds']:5d} {each['ratio']:6g} {each['largest']:8g}  "
            f"{100 * each['false_papers']:9.1f} % [{100 * each['false_papers_upper_95']:.1f} %]        "
            + ", ".join(f"{name} {100 * share:.1f} %" for name, share in worst)
        )


@click.command(help=__doc__)
@click.option("--papers", default=1000, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path))
def main(papers: int, seed: int, workers: int, json_path: Path | None) -> None:
    """Simulate every setting, print a line each, and write what is asked for."""
    jobs = [(setting, papers, seed + place) for place, setting in enumerate(settings())]
    with ProcessPoolExecutor(workers) as pool:
        found = list(track(pool.map(_simulate, jobs), total=len(jobs), description="settings"))
    print(*_lines(found), sep="\n")
    if json_path:
        json_path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
