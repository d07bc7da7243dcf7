"""The orderings behind claims as one family, and those against an even win rate; the comparisons are made up."""

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.stats.comparison import PairedDifference, SeedSpread, interval
from evals.stats.multiplicity import SIGNIFICANCE
from harness.papers.claims import EVEN
from tests import test_claims_decided as made_up
from tests.test_claims_decided import claim, decided, exhibit

METHODS = ("b", "c", "d", "e", "f", "g")


def rejected_by_holm(p_values: list[float], family_size: int) -> set[int]:
    """Holm's procedure as he states it, at the part's share of 5 %: from the smallest p-value on, stop at the first
    that is not below the level over the tests left."""
    level = SIGNIFICANCE * len(p_values) / family_size
    rejected: set[int] = set()
    for index in sorted(range(len(p_values)), key=p_values.__getitem__):
        if p_values[index] >= level / (len(p_values) - len(rejected)):
            break
        rejected.add(index)
    return rejected


@given(
    st.lists(st.floats(-8, 8).filter(lambda errors: abs(errors) > 0.01), min_size=1, max_size=len(METHODS)),
    st.integers(0, 6),
)
def test_orderings_of_a_claim_that_says_most_are_decided_by_holms_procedure(errors: list[float], others: int) -> None:
    """As a part of all orderings of the paper; which of them make up the "most" the claim does not tell."""
    pairs = [("a", method) for method, _ in zip(METHODS, errors, strict=False)]
    here = exhibit(claim("here", *pairs, models=("llama",), quantifier="most"))
    elsewhere = exhibit(claim("there", *(("a", f"o{i}") for i in range(others)), models=("llama",)), name="table2")
    found = {("llama", *pair): each for pair, each in zip(pairs, errors, strict=True)}
    with pytest.MonkeyPatch.context() as patch:
        content = decided(patch, [here], found, paper=[elsewhere], models=("llama",))
    assert content.n_orderings == len(errors) + others
    [one] = content.claims
    p_values = [each.p_value for each in one.comparisons]
    expected = rejected_by_holm(p_values, content.n_orderings)
    for place, (each, error) in enumerate(zip(one.comparisons, errors, strict=True)):
        assert each.verdict == ("undecided" if place not in expected else "holds" if error > 0 else "fails")
        assert (each.p_holm < SIGNIFICANCE) == (place in expected)


def test_what_was_not_run_counts_in_the_family_and_has_no_p_value(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, beside = exhibit(claim("one", ("a", "b"))), exhibit(claim("one", ("a", "b")), claim("two", ("a", "c")))
    found = made_up.both("a", "b", 2.9, 2.9)
    [one] = decided(monkeypatch, [alone], found).claims
    content = decided(monkeypatch, [beside], found)
    assert (content.n_tests, content.n_orderings) == (2, 4)
    first, *_ = content.claims[0].comparisons
    assert first.p_holm == pytest.approx(2 * one.comparisons[0].p_holm)
    assert all(each.verdict == "not run" and each.p_value is None for each in content.claims[1].comparisons)


def test_on_another_base_model_it_is_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    table = exhibit(claim("both bases", ("a", "b")), claim("one base", ("a", "b"), models=("llama",)))
    content = decided(monkeypatch, [table], made_up.both("a", "b", 9, 0.1))
    assert (content.n_tests, content.n_orderings) == (2, 2)
    assert [each.verdict for each in content.claims] == ["undecided", "holds"]


def against_even(difference: float) -> dict[str, Any]:
    """A win rate less 50, which is what such a comparison always holds."""
    side = SeedSpread(5, 1.0, 0.5, 4)
    measured = PairedDifference(difference, 400, side, None, by_prompts=0.2)
    figures = {"difference": difference, "ci95": list(interval(measured)), "n_prompts": 400}
    return {"win_rate": {**figures, "measured": asdict(measured)}}


@pytest.mark.parametrize("win_rate", [-9.0, 9.0])
def test_below_an_even_win_rate_is_above_it_with_the_sign_changed(
    monkeypatch: pytest.MonkeyPatch, win_rate: float
) -> None:
    monkeypatch.setattr(made_up, "measured", lambda errors, _: against_even(errors))
    above, below = claim("above", ("x", EVEN), models=("llama",)), claim("below", (EVEN, "x"), models=("llama",))
    found = {("llama", "x", EVEN): win_rate, ("llama", EVEN, "x"): win_rate}
    for stated in ((above, below), (below, above)):
        content = decided(monkeypatch, [exhibit(*stated)], found, models=("llama",))
        by_id = {each.id: each for each in content.claims}
        assert content.n_tests == content.n_orderings == 1
        assert by_id["above"].verdict == ("holds" if win_rate > 0 else "fails")
        assert by_id["below"].verdict == ("fails" if win_rate > 0 else "holds")
        [up], [down] = by_id["above"].comparisons, by_id["below"].comparisons
        assert up.difference == -down.difference == win_rate
        assert up.ci95 and up.ci95[0] < win_rate < up.ci95[1]
        assert down.ci95 == tuple(-end for end in reversed(up.ci95))
        assert (up.p_value, up.test) == (down.p_value, down.test)
