"""The verdicts of a manifest: all tests of a report are one family. The comparisons are made up."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.bench import COMPARISON_RESAMPLES
from evals.stats.power import SIGNIFICANCE, minimum_detectable_effect, prompts_needed
from harness.core.papers import Claim, Comparison, exhibit_names, load_exhibit
from harness.core.store import Store
from harness.experiments import Experiment
from harness.experiments.scores import Cell, Scores
from harness.manifest import _claim, _test_name, decided, holm_adjusted

METHODS = ("a", "b", "c", "d", "e", "f")


def a_test(better: str, worse: str, p_value: float, alone: str = "holds", **place: str) -> dict[str, Any]:
    where = {"model": "llama", "bench": "alpaca_eval2", "metric": "win_rate", **place}
    figures = {"difference": 1.0, "prompt_error": 1.0, "seed_error": 0.0, "n_prompts": 100}
    where.setdefault("test", "/".join((where["model"], where["bench"], *sorted((better, worse)))))
    return {**where, **figures, "better": better, "worse": worse, "p_value": p_value, "verdict_alone": alone}


def not_run(better: str, worse: str) -> dict[str, Any]:
    return {"model": "llama", "bench": "alpaca_eval2", "metric": "win_rate", "better": better, "worse": worse}


def claim(*comparisons: dict[str, Any]) -> dict[str, Any]:
    return {"id": "made-up", "says": "", "where": "", "comparisons": list(comparisons)}


def judged(*claims: dict[str, Any]) -> list[dict[str, Any]]:
    adjusted = holm_adjusted(each for one in claims for each in one["comparisons"])
    return [decided(one, adjusted) for one in claims]


def rejected_by_holm(p_values: list[float]) -> set[int]:
    """Holm's procedure as he states it: from the smallest p-value on, stop at the first above 5 % / (tests left)."""
    rejected: set[int] = set()
    for index in sorted(range(len(p_values)), key=p_values.__getitem__):
        if p_values[index] >= SIGNIFICANCE / (len(p_values) - len(rejected)):
            break
        rejected.add(index)
    return rejected


@given(st.lists(st.floats(1e-6, 0.2), min_size=1, max_size=len(METHODS)), st.integers(1, len(METHODS)))
def test_the_verdicts_over_all_claims_are_those_of_holms_procedure(p_values: list[float], first_claim: int) -> None:
    comparisons = [
        a_test("x", method, p, "holds" if p < SIGNIFICANCE else "undecided")
        for method, p in zip(METHODS, p_values, strict=False)
    ]
    claims = judged(claim(*comparisons[:first_claim]), claim(*comparisons[first_claim:]))
    verdicts = [each["verdict"] for one in claims for each in one["comparisons"]]
    assert {index for index, verdict in enumerate(verdicts) if verdict == "holds"} == rejected_by_holm(p_values)
    assert set(verdicts) <= {"holds", "undecided"}


def test_the_same_test_in_two_claims_counts_once_whichever_way_round_it_is_stated() -> None:
    claims = judged(claim(a_test("a", "b", 0.02)), claim(a_test("a", "b", 0.02), a_test("b", "a", 0.02, "fails")))
    assert [each["p_holm"] for one in claims for each in one["comparisons"]] == [0.02] * 3
    assert [each["verdict"] for one in claims for each in one["comparisons"]] == ["holds", "holds", "fails"]


@pytest.mark.parametrize("place", [{"test": "compare/another"}, {"metric": "score"}])
def test_another_artifact_of_the_same_names_or_another_metric_is_another_test(place: dict[str, str]) -> None:
    adjusted = holm_adjusted([a_test("a", "b", 0.02), a_test("a", "b", 0.02, **place)])
    assert list(adjusted.values()) == [0.04, 0.04]


def test_what_was_not_run_is_not_in_the_family() -> None:
    (one,) = judged(claim(a_test("a", "b", 0.04), not_run("a", "c"), not_run("a", "d")))
    assert [each["verdict"] for each in one["comparisons"]] == ["holds", "not run", "not run"]
    assert one["comparisons"][0]["p_holm"] == 0.04
    assert "p_holm" not in one["comparisons"][1]


def test_a_claim_is_decided_by_the_adjusted_p_values() -> None:
    alone = (a_test("a", "b", 0.03), a_test("a", "c", 0.04))
    (one,) = judged(claim(*alone))
    assert {each["p_holm"] for each in one["comparisons"]} == {0.06}
    assert one["verdict"] == "undecided"
    (failing,) = judged(claim(a_test("a", "b", 0.01), a_test("a", "c", 0.001, "fails")))
    assert failing["verdict"] == "fails"


def test_the_resamples_are_enough_to_decide_every_test_of_all_exhibits() -> None:
    exhibits = [load_exhibit(paper, name) for name, paper in exhibit_names().items()]
    family = holm_adjusted(
        a_test(
            each.better, each.worse, 2 / (COMPARISON_RESAMPLES + 1), model=model, bench=each.bench, metric=each.metric
        )
        for exhibit in exhibits
        for one in exhibit.claims
        for each in one.comparisons
        for model in each.models
    )
    assert len(family) > 50
    assert all(p < SIGNIFICANCE for p in family.values())


class FakeStore:
    """Holds one file's content, whatever it is asked for."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def bind(self, artifact: object) -> "FakeStore":
        return self

    def json(self, name: str) -> dict[str, Any]:
        return self.content


RESULT = {
    "difference": 1.5,
    "ci95": [-0.5, 3.5],
    "p_value": 0.2,
    "verdict": "undecided",
    "prompt_error": 0.8,
    "seed_error": 0.6,
    "n_prompts": 805,
}


def stated(result: dict[str, Any], tests: dict[tuple[str, str], str], *pairs: tuple[str, str]) -> list[dict[str, Any]]:
    """The comparisons of a claim about `pairs`, in an experiment with `tests`: pair -> key of its artifact."""
    made_up = Claim("", "", "", tuple(Comparison(*pair, "alpaca_eval2", "win_rate", ("llama",)) for pair in pairs))

    def test(_: str, one: Comparison) -> SimpleNamespace | None:
        key = tests.get((one.better, one.worse))
        return SimpleNamespace(step="compare", key=key) if key else None

    experiment = SimpleNamespace(exhibit=SimpleNamespace(name="table3"), models=("llama",), test=test)
    claim = _claim(made_up, cast(Experiment, experiment), cast(Store, FakeStore({"win_rate": result})))
    return cast(list[dict[str, Any]], claim["comparisons"])


def compared(result: dict[str, Any]) -> dict[str, Any]:
    (comparison,) = stated(result, {("a", "b"): "key"}, ("a", "b"))
    return comparison


def test_a_test_is_known_by_its_artifact() -> None:
    """One artifact is one test wherever it is stated; two are two, though the sides have the same names."""
    here = stated(RESULT, {("a", "b"): "key"}, ("a", "b"))
    again = stated(RESULT, {("a", "b"): "key"}, ("a", "b"), ("a", "b"))
    elsewhere = stated(RESULT, {("a", "b"): "another"}, ("a", "b"))
    assert list(holm_adjusted([*here, *again])) == [("compare/key", "win_rate")]
    assert len(holm_adjusted([*here, *again, *elsewhere])) == 2


def test_a_test_and_its_reverse_are_one() -> None:
    both = {("a", "b"): "one", ("b", "a"): "other", ("a", "c"): "third"}
    comparisons = stated(RESULT, both, ("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"))
    assert [each.get("test") for each in comparisons] == ["compare/one", "compare/one", "compare/third", None]
    assert len(holm_adjusted(comparisons)) == 2


def test_an_undecided_comparison_carries_what_it_could_have_found() -> None:
    """At 5 % over the two tests that are undecided; a decided one carries nothing of the kind."""
    comparison = compared(RESULT)
    undecided = {
        ("compare/a", ""): 0.3,
        ("compare/b", ""): 0.4,
        ("compare/c", ""): 0,
    }
    adjusted = {**undecided, _test_name(comparison): 0.4}
    [shown] = decided({"comparisons": [comparison]}, adjusted)["comparisons"]
    level = 0.05 / 3
    assert shown["minimum_detectable_effect"] == pytest.approx(minimum_detectable_effect(1.0, level))
    assert shown["n_needed"] == prompts_needed(1.5, 805, prompt_error=0.8, seed_error=0.6, significance=level)
    [sure] = decided({"comparisons": [comparison]}, {_test_name(comparison): 0.01})["comparisons"]
    assert "n_needed" not in sure


def test_a_comparison_carries_its_test() -> None:
    comparison = compared(RESULT)
    assert (comparison["p_value"], comparison["ci95"], comparison["verdict_alone"]) == (0.2, [-0.5, 3.5], "undecided")


def test_a_withheld_comparison_has_its_reason_and_no_p_value() -> None:
    comparison = compared({"verdict": "withheld", "withheld": "too few prompts", "n_prompts": 7})
    assert comparison["note"] == "withheld: too few prompts"
    assert holm_adjusted([comparison]) == {}


def entry(**changes: Any) -> dict[str, Any]:
    metrics = {"win_rate": 40.0, "length_controlled_winrate": 35.0}
    parts = {"prompts": 1.0, "judge": None, "training_seeds": 0.5, "total": 1.118}
    scores = {
        "mean": metrics,
        "ci95": {name: [30.0, 45.0] for name in metrics},
        "per_seed": {name: [value, value] for name, value in metrics.items()},
        "uncertainty": dict.fromkeys(metrics, parts),
        "n_asked": 1610,
        "n_missing": 3,
        "withheld": None,
        "length_controlled_withheld": None,
        **changes,
    }
    bench = "alpaca_eval2"
    cell = Cell("llama", "a", bench, (), cast(Any, SimpleNamespace(step="score", key="k")), ())
    columns = [SimpleNamespace(bench=bench, metric="win_rate")]
    scale = SimpleNamespace(benches={bench: SimpleNamespace(baselines=SimpleNamespace(size=805))})
    exhibit = cast(Any, SimpleNamespace(name="table3", columns=columns, rows=()))
    table = Scores(exhibit, cast(Any, scale), ("llama",), ("a",), {}, (cell,), {}, {bench: "print"})
    (made,) = table.part(cast(Store, FakeStore(scores)))["cells"]
    return made


def test_a_cell_counts_its_verdicts_over_all_seeds_and_says_where_its_uncertainty_comes_from() -> None:
    cell = entry()
    assert (cell["n"], cell["n_asked"], cell["n_missing"], cell["note"]) == (805, 1610, 3, "")
    assert cell["uncertainty"]["training_seeds"] == 0.5
    assert entry(uncertainty={})["uncertainty"] is None


def test_a_withheld_cell_has_its_reason_and_no_figures() -> None:
    nothing = {"win_rate": None, "length_controlled_winrate": None}
    cell = entry(mean=nothing, ci95=nothing, per_seed=nothing, withheld="only 700 of 805 verdicts are there")
    assert (cell["value"], cell["ci95"], cell["uncertainty"]) == (None, None, None)
    assert cell["note"] == "withheld: only 700 of 805 verdicts are there"
