"""The verdicts on the paper's claims in a run: the outcome of each, and of the paired tests that it rests on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """One paired test; `difference` is better minus worse, in `unit` (worse minus better where less is better).

    `ci95` is of the difference by itself; `p_value` is of its test with the family's spread of training seeds, `p_holm`
    of it as one of the paper's `Manifest.n_orderings`. `verdict` is "holds", "fails" or "undecided" on methods;
    with too few training seeds "above", "below" or "undecided" on these checkpoints. Beside an undecided one stand
    `minimum_detectable_effect` (in `unit`) and what would decide a difference of the size observed: `prompts_needed`,
    `seeds_needed`, and in words the one that is `needed`. One that is "withheld" has a `note` that says why; one that
    is "not run" lacks a side.
    """

    model: str
    better: str
    worse: str
    bench: str
    metric: str
    verdict: str
    difference: float | None = None
    ci95: tuple[float, float] | None = None
    p_value: float | None = None
    p_holm: float | None = None
    minimum_detectable_effect: float | None = None
    prompts_needed: int | None = None
    seeds_needed: int | None = None
    needed: str = ""
    n_prompts: int | None = None
    unit: str = "points"
    note: str = ""
    test: str = ""
    """Where the test lies in the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """One claim of the paper about one of its exhibits, with the outcome of its paired tests.

    `verdict` is "holds", "fails" or "undecided", with `p_adjusted` as one of the paper's `Manifest.n_claims`; "not
    run" where not all of it was, on `only_models` where that is some of its base models; "withheld" where some
    comparison is; "no verdict" with too few training seeds. `quantifier` says of how many orderings it must be found:
    "all" or "most". `contained_in` names claims of the paper that say all that it says, and more.
    """

    id: str
    exhibit: str
    says: str
    where: str
    verdict: str
    quantifier: str = "all"
    p_adjusted: float | None = None
    only_models: tuple[str, ...] = ()
    contained_in: tuple[str, ...] = ()
    comparisons: tuple[ComparisonResult, ...] = ()
