"""The paper's claims decided, from made-up tests of a made-up paper's exhibits."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from evals.stats.comparison import PairedDifference, SeedSpread, interval, welch_test
from harness.engine.store import Store
from harness.experiments import Experiment
from harness.papers.claims import Claim, Comparison
from harness.papers.loading import load_exhibits
from harness.results.claims import ClaimsResult
from harness.run import claims
from harness.run.claims import Families, decide_claims

MODELS = ("llama", "qwen")
Found = Mapping[tuple[str, str, str], float]
"""(base model, better, worse) -> difference in standard errors."""


def claim(id: str, *pairs: tuple[str, str], models: tuple[str, ...] = MODELS, quantifier: Any = "all") -> Claim:
    comparisons = tuple(Comparison(*pair, "alpaca_eval2", "win_rate", models) for pair in pairs)
    return Claim(id, f"{id} says", "section 1", comparisons, quantifier)


def measured(errors: float, n_seeds: int = 5) -> dict[str, Any]:
    """A comparison of two methods whose difference is so many standard errors."""
    side = SeedSpread(n_seeds, 1.0, 0.5, n_seeds - 1)
    of_one = PairedDifference(errors, 400, side, side, by_prompts=0.2 + 1.0 / n_seeds)
    difference = replace(of_one, difference=errors * welch_test(of_one).standard_error)
    return {
        "win_rate": {
            "difference": difference.difference,
            "ci95": list(interval(difference)),
            "n_prompts": 400,
            "measured": asdict(difference),
        }
    }


class FakeStore:
    """Holds a comparison under the key of each test."""

    def __init__(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        self.results = results

    def bind(self, artifact: SimpleNamespace) -> SimpleNamespace:
        return SimpleNamespace(json=lambda _: self.results[artifact.key])


def exhibit(*of: Claim, name: str = "table1") -> SimpleNamespace:
    return SimpleNamespace(name=name, claims=of, less_is_better=False, paper=SimpleNamespace(name="made-up"))


def decided(
    monkeypatch: pytest.MonkeyPatch,
    run: Sequence[SimpleNamespace],
    found: Found,
    *,
    paper: Sequence[SimpleNamespace] = (),
    models: Sequence[str] = MODELS,
    n_seeds: int = 5,
) -> ClaimsResult:
    """The claims of the exhibits that are `run`, of a `paper` with further ones."""
    monkeypatch.setattr(claims, "load_exhibits", lambda _: (*run, *paper))
    results = {"/".join(place): measured(errors, n_seeds) for place, errors in found.items()}

    def test(model: str, one: Comparison) -> SimpleNamespace | None:
        key = "/".join((model, one.better, one.worse))
        return SimpleNamespace(step="compare", key=key) if key in results else None

    experiments = [SimpleNamespace(exhibit=each, models=models, test=test) for each in run]
    return decide_claims(cast(list[Experiment], experiments), cast(Store, FakeStore(results)))


def verdicts(content: ClaimsResult) -> dict[str, str]:
    return {each.id: each.verdict for each in content.claims}


def both(better: str, worse: str, *errors: float) -> dict[tuple[str, str, str], float]:
    return {(model, better, worse): each for model, each in zip(MODELS, errors, strict=True)}


def test_all_orderings_must_hold_and_one_that_is_reversed_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    table = exhibit(claim("clear", ("a", "b")), claim("open", ("a", "c")), claim("against", ("a", "d")))
    found = {**both("a", "b", 9, 9), **both("a", "c", 9, 0.5), **both("a", "d", 9, -9)}
    content = decided(monkeypatch, [table], found)
    assert verdicts(content) == {"clear": "holds", "open": "undecided", "against": "fails"}
    of_orderings = {each.id: [one.verdict for one in each.comparisons] for each in content.claims}
    assert of_orderings == {
        "clear": ["holds", "holds"],
        "open": ["holds", "undecided"],
        "against": ["holds", "fails"],
    }


def test_holding_takes_each_ordering_at_the_claims_own_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty orderings at p = 0.02 each hold together: an intersection-union test pays nothing for their number."""
    table = exhibit(claim("many", *(("a", f"m{i}") for i in range(30)), models=("llama",)))
    found = {("llama", "a", f"m{i}"): 3.0 for i in range(30)}
    content = decided(monkeypatch, [table], found, models=("llama",))
    assert verdicts(content) == {"many": "holds"}
    assert {each.verdict for each in content.claims[0].comparisons} == {"holds"}
    assert min(each.p_holm for each in content.claims[0].comparisons) > 0.05
    against = {place: -3.0 if place[2] == "m7" else 3.0 for place in found}
    assert verdicts(decided(monkeypatch, [table], against, models=("llama",))) == {"many": "undecided"}


def test_most_is_more_than_half(monkeypatch: pytest.MonkeyPatch) -> None:
    table = exhibit(claim("most", ("a", "b"), ("a", "c"), quantifier="most"))
    assert verdicts(decided(monkeypatch, [table], {**both("a", "b", 9, 9), **both("a", "c", 9, -9)})) == {
        "most": "holds"
    }
    assert verdicts(decided(monkeypatch, [table], {**both("a", "b", 9, 9), **both("a", "c", -9, -9)})) == {
        "most": "fails"
    }
    assert verdicts(decided(monkeypatch, [table], {**both("a", "b", 9, 9), **both("a", "c", 0, -9)})) == {
        "most": "undecided"
    }


def test_a_claim_has_one_verdict_whatever_else_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others may all be decided: in an ordinary step-down this one would be, too."""
    here = exhibit(claim("here", ("a", "b"), models=("llama",)), name="table1")
    others = [exhibit(claim(f"there{i}", ("a", f"o{i}"), models=("llama",)), name=f"table{2 + i}") for i in range(19)]
    found = {("llama", "a", "b"): 3.4, **{("llama", "a", f"o{i}"): 40.0 for i in range(19)}}
    alone = decided(monkeypatch, [here], found, paper=others, models=("llama",))
    together = decided(monkeypatch, [here, *others], found, models=("llama",))
    assert verdicts(together)["there7"] == "holds"
    assert alone.claims[0] == together.claims[0]
    assert (alone.n_claims, alone.n_orderings) == (together.n_claims, together.n_orderings) == (20, 20)
    assert alone.claims[0].comparisons[0].p_value < 0.05 / 10
    assert verdicts(alone)["here"] == "undecided"


def test_what_was_not_run_is_not_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    table = exhibit(claim("two bases", ("a", "b")), claim("one base", ("a", "b"), models=("llama",)))
    content = decided(monkeypatch, [table], {("llama", "a", "b"): 9.0}, models=("llama",))
    assert verdicts(content) == {"two bases": "not run", "one base": "holds"}
    assert [each.only_models for each in content.claims] == [("llama",), ()]
    assert [each.verdict for each in content.claims[0].comparisons] == ["holds", "not run"]


def test_a_method_that_was_not_run_leaves_its_claims_open(monkeypatch: pytest.MonkeyPatch) -> None:
    table = exhibit(claim("of both", ("a", "b"), ("a", "c")), claim("of one", ("a", "b")))
    content = decided(monkeypatch, [table], both("a", "b", 9, 9))
    assert verdicts(content) == {"of both": "not run", "of one": "holds"}
    assert content.claims[0].only_models == ()


@pytest.mark.parametrize("n_seeds", [1, 2, 4])
def test_with_few_seeds_there_is_no_verdict_on_methods(monkeypatch: pytest.MonkeyPatch, n_seeds: int) -> None:
    table = exhibit(claim("clear", ("a", "b"), ("c", "a")))
    found = {**both("a", "b", 40, 40), **both("c", "a", -40, 0.1)}
    content = decided(monkeypatch, [table], found, n_seeds=n_seeds)
    assert verdicts(content) == {"clear": "no verdict"}
    assert [each.verdict for each in content.claims[0].comparisons] == ["above", "above", "below", "undecided"]
    assert content.seeds_for_verdict == 5


def test_the_same_test_counts_once_whichever_way_round_it_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    table = exhibit(claim("one way", ("a", "b")), claim("and back", ("b", "a")), claim("again", ("a", "b")))
    content = decided(monkeypatch, [table], {**both("a", "b", 9, 2), **both("b", "a", -9, -2)})
    assert (content.n_tests, content.n_orderings, content.n_claims) == (2, 2, 3)
    assert verdicts(content)["and back"] == "fails"
    one, back, _ = (each.comparisons[1] for each in content.claims)
    assert back.difference == -one.difference
    assert one.ci95 and back.ci95 == tuple(-end for end in reversed(one.ci95))
    assert (back.p_value, back.p_holm) == (one.p_value, one.p_holm)
    assert content.claims[0].contained_in == ()  # "again" says no more than "one way"


def test_an_undecided_ordering_says_what_it_could_have_found(monkeypatch: pytest.MonkeyPatch) -> None:
    table = exhibit(claim("open", ("a", "b")))
    content = decided(monkeypatch, [table], both("a", "b", 1.8, 9))
    undecided, sure = content.claims[0].comparisons
    assert undecided.minimum_detectable_effect > undecided.difference
    assert (undecided.prompts_needed or undecided.seeds_needed) and undecided.needed
    assert sure.needed == "" and sure.minimum_detectable_effect is None


def test_a_withheld_comparison_has_its_reason_and_is_not_said_to_be_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        f"{__name__}.measured", lambda *_: {"win_rate": {"withheld": "too few prompts", "n_prompts": 7}}
    )
    content = decided(monkeypatch, [exhibit(claim("held", ("a", "b")))], both("a", "b", 1, 1))
    assert verdicts(content) == {"held": "withheld"}
    [held] = {(each.verdict, each.note) for each in content.claims[0].comparisons}
    assert held == ("withheld", "too few prompts")


def test_claims_contained_in_another_are_known() -> None:
    """Table 3's first claim says all that the four after it say, and more."""
    found = claims._contained(load_exhibits("sgpo"))
    inside = {id for id, containing in found.items() if "sgpo-highest" in containing}
    assert inside == {"sgpo-above-dpo", "sgpo-above-spin", "sgpo-above-variants-qwen", "sgpo-above-variants-llama"}
    assert found["sgpo-highest"] == found["others-above-sft"] == ()


def test_the_family_is_the_papers() -> None:
    families = Families.of("sgpo")
    exhibits = load_exhibits("sgpo")
    assert families.claims == sum(len(each.claims) for each in exhibits)
    assert families.orderings == len(
        {
            (each.name, model, frozenset((stated.better, stated.worse)), stated.bench, stated.metric)
            for each in exhibits
            for one in each.claims
            for model, stated in one.orderings()
        }
    )
