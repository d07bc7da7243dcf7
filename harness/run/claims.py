"""The paper's claims, decided: their orderings are tested as families, and each claim has one verdict.

A claim is a set of orderings. It holds where enough of them do, at the claim's own level (an intersection-union test,
where all must hold), and fails where so many are reversed that it cannot hold, adjusted within the claim: both are
partial conjunctions (`evals.stats.multiplicity`). The claims of a paper are one family at 5 %, always all of them,
whichever are run: each exhibit has the share of its claims, and Holm's method goes over them. So a claim's verdict is
the same whether its exhibit is run alone or with all others. The orderings are a second such family.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from evals.scoring import measured_difference
from harness.engine.artifacts import Artifact
from harness.engine.store import Store, place
from harness.experiments import Experiment
from harness.papers.claims import EVEN, NO_MODEL, Claim, Comparison
from harness.papers.kinds import AnyExhibit
from harness.papers.loading import load_exhibits
from harness.results.claims import ClaimResult, ComparisonResult

if TYPE_CHECKING:
    from evals.stats.comparison import PairedDifference, TTest
    from evals.stats.power import Power

OrderingKey = tuple[str, frozenset[str], str, str]
"""Base model, the two that are compared, bench, metric: what makes two orderings of an exhibit the same test."""


@dataclass(frozen=True, slots=True)
class Families:
    """The number of claims, and of different orderings, that a paper has in all."""

    claims: int
    orderings: int

    @classmethod
    def of(cls, paper: str) -> "Families":
        """Count those of a paper, over all its exhibits."""
        exhibits = load_exhibits(paper)
        return cls(sum(len(each.claims) for each in exhibits), sum(len(_orderings(each)) for each in exhibits))


def decide_claims(
    experiments: Sequence[Experiment], store: Store, families: Families
) -> tuple[tuple[ClaimResult, ...], int]:
    """Decide the claims of the experiments, as members of their paper's `families`; return them, and how many tests
    they rest on, each counted once."""
    contained = _contained(load_exhibits(experiments[0].exhibit.paper.name))
    claims: list[ClaimResult] = []
    n_tests = 0
    for experiment in experiments:
        orderings = _decided_orderings(experiment, store, families.orderings)
        n_tests += sum(each.test is not None for each in orderings.values())
        claims += _decided_claims(experiment, orderings, families.claims)
    return tuple(replace(claim, contained_in=contained[claim.id]) for claim in claims), n_tests


def _orderings(exhibit: AnyExhibit) -> list[OrderingKey]:
    """Return the different orderings of the exhibit's claims, in order of appearance."""
    return list(dict.fromkeys(_key(model, each) for claim in exhibit.claims for model, each in claim.orderings()))


def _key(model: str, stated: Comparison) -> OrderingKey:
    return model, frozenset((stated.better, stated.worse)), stated.bench, stated.metric


def _contained(exhibits: Sequence[AnyExhibit]) -> dict[str, tuple[str, ...]]:
    """Return, by claim, the claims of the paper that say all that it says, and more."""
    orderings = {
        claim.id: {(model, one.better, one.worse, one.bench, one.metric) for model, one in claim.orderings()}
        for each in exhibits
        for claim in each.claims
    }
    whole = {claim.id for each in exhibits for claim in each.claims if claim.quantifier == "all"}
    return {
        id: tuple(other for other in orderings if other in whole and stated < orderings[other])
        for id, stated in orderings.items()
    }


# The orderings


@dataclass(frozen=True, slots=True)
class _Ordering:
    """One test of an exhibit, by the sides of its `first` statement; `result` is its record, empty where a side is not
    run."""

    first: str
    model: str
    place: str = ""
    """Where its test lies in the store."""
    result: Mapping[str, Any] = field(default_factory=dict)
    difference: "PairedDifference | None" = None
    test: "TTest | None" = None
    p_adjusted: float = 1.0
    power: "Power | None" = None

    @property
    def withheld(self) -> str:
        """Why both sides were run, and yet cannot be compared."""
        return str(self.result.get("withheld", ""))

    @property
    def covers_training_seeds(self) -> bool:
        """Whether its test is on methods."""
        return self.difference is not None and self.difference.covers_training_seeds

    def favours(self, stated: Comparison) -> float:
        """Return the difference, above 0 where the stated ordering is found."""
        assert self.difference is not None
        return self.difference.difference if stated.better == self.first else -self.difference.difference

    def interval(self, stated: Comparison) -> tuple[float, float]:
        """Return the 95 % interval of the difference that `favours` returns."""
        low, high = self.result["ci95"]
        is_reversed = (stated.better == self.first) == (self.first == EVEN)  # a record never has EVEN first
        return (-high, -low) if is_reversed else (low, high)


_Stated = Sequence[tuple[Comparison, _Ordering]]
"""The orderings of a claim, as it states them, with their tests."""


def _decided_orderings(experiment: Experiment, store: Store, family_size: int) -> dict[OrderingKey, _Ordering]:
    """Return all orderings of an exhibit, those that are run with their tests, as a part of the paper's."""
    from evals.stats.comparison import family_tests
    from evals.stats.multiplicity import holm, level_left
    from evals.stats.power import power

    orderings = _measured_orderings(experiment, store)
    run = {key: each for key, each in orderings.items() if each.difference}
    differences = [each.difference for each in run.values() if each.difference]
    tests = family_tests(differences, [_cells(key, each, experiment.exhibit) for key, each in run.items()])
    of = dict(zip(run, tests, strict=True))
    p_values = [of[key].p_value if key in of else 1.0 for key in orderings]
    adjusted = dict(zip(orderings, holm(p_values, family_size), strict=True))
    level = level_left(list(adjusted.values()), family_size)
    for key, difference, test in zip(run, differences, tests, strict=True):
        could = power(difference, test, level)
        orderings[key] = replace(run[key], test=test, p_adjusted=adjusted[key], power=could)
    return orderings


def _measured_orderings(experiment: Experiment, store: Store) -> dict[OrderingKey, _Ordering]:
    found: dict[OrderingKey, _Ordering] = {}
    for claim in experiment.exhibit.claims:
        for model, stated in claim.orderings():
            found.setdefault(_key(model, stated), _measured_ordering(experiment, store, model, stated))
    return found


def _measured_ordering(experiment: Experiment, store: Store, model: str, stated: Comparison) -> _Ordering:
    test = experiment.test(model, stated) if model in (*experiment.models, NO_MODEL) else None
    if test is None:
        return _Ordering(stated.better, model)
    result = store.bind(test).json("comparison.json")[stated.metric]
    place = _place_of(test, experiment, model, stated)
    if "withheld" in result:
        return _Ordering(stated.better, model, place, result)
    difference = measured_difference(result)
    if stated.better == EVEN:
        difference = replace(difference, difference=-difference.difference)
    return _Ordering(stated.better, model, place, result, difference)


def _place_of(test: Artifact, experiment: Experiment, model: str, stated: Comparison) -> str:
    """Return the folder of a test in the store.

    It is one test with its reverse, where an exhibit states it both ways round.
    """
    reverse = experiment.test(model, replace(stated, better=stated.worse, worse=stated.better))
    return min(place(each) for each in (test, reverse) if each is not None)


def _cells(key: OrderingKey, ordering: _Ordering, exhibit: AnyExhibit) -> tuple[tuple[str, ...], ...]:
    """Return the cells of a difference, in the order of its sides; where less is better the first is the worse.

    One that is taken within each training seed has one side, which both names are the cell of.
    """
    model, pair, bench, metric = key
    if EVEN not in pair and ordering.difference and len(ordering.difference.sides) == 1:
        return ((model, *sorted(pair), bench, metric),)
    first, second = ordering.first, next(iter(pair - {ordering.first}))
    names = (second, first) if exhibit.less_is_better else (first, second)
    return tuple((model, name, bench, metric) for name in names if name != EVEN)


# The claims


def _decided_claims(
    experiment: Experiment, orderings: Mapping[OrderingKey, _Ordering], family_size: int
) -> list[ClaimResult]:
    """Decide the claims of one exhibit, as a part of the paper's."""
    from evals.stats.multiplicity import holm

    claims = experiment.exhibit.claims
    stated = [[(each, orderings[_key(model, each)]) for model, each in claim.orderings()] for claim in claims]
    evidence = [_evidence(claim, each) for claim, each in zip(claims, stated, strict=True)]
    adjusted = holm([min(each) if each else 1.0 for each in evidence], family_size)
    return [_decided(experiment, *each) for each in zip(claims, stated, evidence, adjusted, strict=True)]


def _evidence(claim: Claim, stated: _Stated) -> tuple[float, float] | None:
    """Return (p of "it holds", p of "it fails"), two-sided; None where a claim gets no verdict: not all of it was run,
    or with too few training seeds."""
    from evals.stats.multiplicity import evidence

    p_values = [each.test.p_value for _, each in stated if each.test and each.covers_training_seeds]
    if len(p_values) < len(stated):
        return None
    return evidence(p_values, [ordering.favours(each) > 0 for each, ordering in stated], claim.at_least)


def _decided(
    experiment: Experiment, claim: Claim, stated: _Stated, evidence: tuple[float, float] | None, p_adjusted: float
) -> ClaimResult:
    verdict = _verdict([ordering for _, ordering in stated], evidence, p_adjusted)
    rests_on = _rests_on(claim, stated, verdict)
    comparisons = (
        _comparison(each, ordering, verdict if place in rests_on else "")
        for place, (each, ordering) in enumerate(stated)
    )
    return ClaimResult(
        id=claim.id,
        exhibit=experiment.exhibit.name,
        says=claim.says,
        where=claim.where,
        quantifier=claim.quantifier,
        verdict=verdict,
        p_adjusted=p_adjusted if evidence else None,
        only_models=_only_models(claim, experiment),
        comparisons=tuple(comparisons),
    )


def _verdict(orderings: Sequence[_Ordering], evidence: tuple[float, float] | None, p_adjusted: float) -> str:
    from evals.stats.multiplicity import SIGNIFICANCE

    if evidence is None:
        if all(each.difference for each in orderings):
            return "no verdict"
        return "withheld" if all(each.difference or each.withheld for each in orderings) else "not run"
    if p_adjusted >= SIGNIFICANCE:
        return "undecided"
    p_holds, p_fails = evidence
    return "holds" if p_holds < p_fails else "fails"


def _only_models(claim: Claim, experiment: Experiment) -> tuple[str, ...]:
    """Return the base models that a claim about several was run on, where it was not run on all of them."""
    stated = list(dict.fromkeys(model for model, _ in claim.orderings()))
    run = tuple(model for model in stated if model in experiment.models)
    return run if len(run) < len(stated) else ()


def _rests_on(claim: Claim, stated: _Stated, verdict: str) -> set[int]:
    """Return the orderings that are decided with their claim, by place.

    These are all of one that holds with all; of one that fails with any the one that is most clearly reversed. A claim
    of most of them does not tell which.
    """
    if claim.quantifier != "all" or verdict not in ("holds", "fails"):
        return set()
    if verdict == "holds":
        return set(range(len(stated)))
    against = {
        place: ordering.test.p_value
        for place, (each, ordering) in enumerate(stated)
        if ordering.test and ordering.favours(each) < 0
    }
    return {min(against, key=lambda place: against[place])}


def _comparison(stated: Comparison, ordering: _Ordering, with_claim: str) -> ComparisonResult:
    """Test one ordering of a claim; `with_claim` is its verdict where it is decided with the claim."""
    not_tested = ComparisonResult(
        model=ordering.model,
        better=stated.better,
        worse=stated.worse,
        bench=stated.bench,
        metric=stated.metric,
        verdict="withheld" if ordering.withheld else "not run",
        note=ordering.withheld,
        test=ordering.place,
    )
    if ordering.test is None:
        return not_tested
    verdict = with_claim or _verdict_on_ordering(ordering, stated)
    power = asdict(ordering.power) if ordering.power and verdict == "undecided" else {}
    return replace(
        not_tested,
        verdict=verdict,
        difference=ordering.favours(stated),
        ci95=ordering.interval(stated),
        p_value=ordering.test.p_value,
        p_holm=ordering.p_adjusted,
        n_prompts=ordering.result["n_prompts"],
        unit=ordering.result.get("unit", "points"),
        **power,
    )


def _verdict_on_ordering(ordering: _Ordering, stated: Comparison) -> str:
    """Return the verdict on an ordering as one of all; on checkpoints, which of the two is above as far as prompts
    tell."""
    from evals.stats.multiplicity import SIGNIFICANCE

    if ordering.p_adjusted >= SIGNIFICANCE:
        return "undecided"
    if ordering.favours(stated) > 0:
        return "holds" if ordering.covers_training_seeds else "above"
    return "fails" if ordering.covers_training_seeds else "below"
