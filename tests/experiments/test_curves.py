"""A tiny run of curves, two training seeds: what the manifest says is what the rows in the store say."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean
from typing import Any

import pytest

from evals.pairwise.bands import bootstrap_band
from harness.engine.artifacts import ancestry
from harness.engine.pipeline import run
from harness.engine.store import Store
from harness.errors import UserError
from harness.experiments import Request
from harness.experiments.build import build_experiments
from harness.experiments.curves import CurvesExperiment, curves
from harness.experiments.interface import Experiment
from harness.papers.claims import EVEN, Claim, Comparison
from harness.papers.curves import Bootstrap, CurveAxis, CurveFigure, CurveLine, CurvePrompts, PrintedMargin
from harness.papers.loading import load_exhibits, load_paper
from harness.recipes.loading import load_recipe
from harness.recipes.recipe import Fast
from harness.records import Judgment, Response, by_prompt, share_of_output
from harness.results.exhibits import CurvesResult

pytestmark = pytest.mark.usefixtures("in_this_process")

SEEDS = (0, 1)
SIZES = {
    **{"summaries": 32, "summary_pairs": 16, "summaries_test": 12, "summaries_distant": 10, "demonstrations": 16},
    **{"preference_data": 16, "arena_hard": 8, "alpaca_farm": 12, "pairwise": 12},
}
RECIPE = replace(load_recipe("mini", paper="srpo"), fast=Fast(("llama",), SIZES)).faster()
PANELS = (
    CurvePrompts("near", "Near", "summaries_test", bench="alpaca_farm"),
    CurvePrompts("far", "Far", "summaries_distant", bench="alpaca_farm"),
)


def figure(name: str = "made-up", **changes: Any) -> CurveFigure:
    """SRPO and DPO without revision and after two, in both distributions."""
    stated = [("srpo/2", "srpo/0", "near"), ("srpo/2", "dpo/2", "near"), ("dpo/0", EVEN, "far")]
    comparisons = tuple(Comparison(*each, "win_rate", ("llama",)) for each in stated)
    fields: dict[str, Any] = {
        "paper": load_paper("srpo"),
        **{"label": name, "caption": "", "where": "", "models": ("llama",), "judge": "", "decimals": 0},
        "x": CurveAxis("revisions", "{x}-rev.", (0, 2)),
        "panels": PANELS,
        "lines": (CurveLine("srpo", "SRPO", "srpo"), CurveLine("dpo", "DPO", "dpo")),
        "bootstrap": Bootstrap(20, 8, 12),
        "margins": (PrintedMargin("far", "srpo/2", "dpo/2", 15, "abstract"),),
        "claims": (Claim("made-up", "", "", comparisons),),
    }
    return CurveFigure(name=name, **{**fields, **changes})


def against(**changes: Any) -> CurveFigure:
    """SRPO against DPO, head to head, as Table 1."""
    lines = (CurveLine("dpo", "SRPO vs. DPO", "srpo", against="dpo"),)
    return figure("head", lines=lines, bootstrap=None, margins=(), claims=(), panels=PANELS[:1], **changes)


def request(*seeds: int) -> Request:
    return Request(RECIPE, seeds or SEEDS)


@dataclass(frozen=True)
class Finished:
    store: Store
    experiments: Sequence[CurvesExperiment]

    def result(self, place: int = 0) -> CurvesResult:
        return self.experiments[place].result(self.store)

    def shares(self, judgments: Any) -> dict[str, float]:
        """The output's mean share of the win, by prompt, naively."""
        rows = by_prompt(self.store.bind(judgments).rows(Judgment))
        return {id: fmean(share or 0.0 for share in map(share_of_output, of)) for id, of in rows.items()}

    def rates(self, id: str, panel: str, place: int = 0) -> list[float]:
        """The win rate of each training seed, in per cent, naively."""
        points = self.experiments[place].points
        [point] = [each for each in points if (f"{each.line.id}/{each.x:g}", each.panel) == (id, panel)]
        return [100 * fmean(self.shares(judged).values()) for judged in point.judgments]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    store = Store(tmp_path_factory.mktemp("run") / "store")
    experiments = [curves(exhibit, request()) for exhibit in (figure(), against())]
    run([target for experiment in experiments for target in experiment.targets()], store)
    return Finished(store, experiments)


def test_win_rates_are_those_of_the_verdicts(finished: Finished) -> None:
    points = finished.result().points
    assert {(each.panel, each.line, each.x) for each in points} == set(
        product(("near", "far"), ("srpo", "dpo"), (0, 2))
    )
    for point in points:
        of_seeds = finished.rates(f"{point.line}/{point.x:g}", point.panel)
        assert point.per_seed == pytest.approx(of_seeds)
        assert point.value == pytest.approx(fmean(of_seeds))
        assert point.n == (12 if point.panel == "near" else 10)
        assert (point.answers, point.unrevised) == (2 * point.n, 0)
        assert 0 <= (point.gold_quality or -1) <= 1


def test_bands_are_of_the_first_prompts(finished: Finished) -> None:
    import numpy as np

    point, made = finished.result().points[0], finished.experiments[0].points[0]
    bands = [
        bootstrap_band(np.array(list(finished.shares(each).values())), resamples=20, size=8, prompts=12)
        for each in made.judgments
    ]
    assert point.band is not None
    assert point.band.mean == pytest.approx(fmean(band.mean for band in bands))
    assert point.band.sd == pytest.approx(fmean(band.sd**2 for band in bands) ** 0.5)


def test_a_revision_is_of_the_answer_before_it(finished: Finished) -> None:
    """Answers to the same prompts, the second revision's made of the first's, with the checkpoint that answered."""
    first, second = (point.answers[0] for point in finished.experiments[0].points[:2])
    assert (first.step, second.step) == ("respond", "revise")
    assert [each.step for each in ancestry([second]) if each.step == "revise"] == ["revise", "revise"]
    assert second.inputs["model"] == first.inputs["model"]
    prompts = [[row.prompt.id for row in finished.store.bind(each).rows(Response)] for each in (first, second)]
    assert sorted(prompts[0]) == sorted(prompts[1])


def test_head_to_head_both_are_revised_as_often(finished: Finished) -> None:
    head = finished.experiments[1]
    near = [point for point in finished.experiments[0].points if point.panel == "near"]
    of_dpo = {point.x: point.answers for point in near if point.line.id == "dpo"}
    for point in head.points:
        for judged, answers in zip(point.judgments, of_dpo[point.x], strict=True):
            baselines = {row.prompt.id: row.text for row in finished.store.bind(answers).rows(Response)}
            rows = finished.store.bind(judged).rows(Judgment)
            assert {row.prompt.id: row.baseline for row in rows} == baselines


def test_two_answers_of_one_checkpoint_are_compared_within_seeds(finished: Finished) -> None:
    steps = {test[1:3]: made.step for test, made in finished.experiments[0].tests.items() if test[3] == "near"}
    assert steps == {
        ("srpo/2", "srpo/0"): "compare_pairwise_within_seeds",
        ("srpo/2", "dpo/2"): "compare_pairwise",
    }
    of_far = {made.step for test, made in finished.experiments[0].tests.items() if test[3] == "far"}
    assert of_far == {"compare_pairwise", "compare_pairwise_with_even"}


def test_differences_are_those_of_the_win_rates(finished: Finished) -> None:
    for (_, better, worse, panel), test in finished.experiments[0].tests.items():
        found = finished.store.bind(test).json("comparison.json")["win_rate"]
        above = 50.0 if worse == EVEN else fmean(finished.rates(worse, panel))
        assert found["difference"] == pytest.approx(fmean(finished.rates(better, panel)) - above)
    [margin] = finished.result().margins
    found_margin = fmean(finished.rates("srpo/2", "far")) - fmean(finished.rates("dpo/2", "far"))
    assert margin.difference == pytest.approx(found_margin)


def test_exhibits_share_their_answers() -> None:
    """Figure 4 at the recipe's own α is SRPO of Figure 3; none of it is made twice."""
    fig3, fig4 = (each for each in load_exhibits("srpo") if each.name in ("fig3", "fig4"))
    assert isinstance(fig3, CurveFigure) and isinstance(fig4, CurveFigure)
    of_fig3, of_fig4 = (curves(each, request(0)) for each in (fig3, fig4))
    srpo = {point.score for point in of_fig3.points if point.line.id == "srpo"}
    assert srpo == {point.score for point in of_fig4.points if point.x == 0.5}
    assert len(of_fig4.points) == 2 * 6 * 5


def test_every_claim_and_every_printed_difference_has_a_test() -> None:
    for exhibit in load_exhibits("srpo"):
        if isinstance(exhibit, CurveFigure):
            experiment = curves(exhibit, request(0))
            orderings = [each for claim in exhibit.claims for each in claim.orderings()]
            assert all(experiment.test(model, stated) for model, stated in orderings)
            assert len(experiment.tests) >= len(exhibit.margins)


def test_a_baseline_answers_where_the_scale_has_it() -> None:
    arena = CurvePrompts("arena", "Arena", "arena_hard", baseline="instruct")
    of_data = curves(figure(panels=(arena,), claims=(), margins=()), request(0))
    scale = replace(RECIPE, models={"instruct": "mini:llama"})
    of_model = curves(figure(panels=(arena,), claims=(), margins=()), Request(scale, (0,)))
    [data, answered] = [each.points[0].judgments[0].inputs["baselines"] for each in (of_data, of_model)]
    assert [each.step for each in (data, answered) if not isinstance(each, tuple)] == ["load_data", "respond"]


def test_a_bench_of_other_verdicts_is_refused() -> None:
    arena = CurvePrompts("arena", "Arena", "arena_hard", bench="arena_hard")
    with pytest.raises(UserError, match="panel 'arena' needs a bench of pairs in both orders, such as pairwise"):
        curves(figure(panels=(arena,), claims=(), margins=()), request(0))


def bandit_seeds(experiments: list[Experiment]) -> tuple[int, ...]:
    """The data sets that bandits are trained on."""
    targets = [target for each in experiments for target in each.targets()]
    [seeds] = {target.arguments["seeds"] for target in targets if target.step == "train_bandit"}
    return tuple(seeds)


def test_in_a_run_of_all_an_exhibit_keeps_its_own_number_of_training_seeds() -> None:
    usual = build_experiments("srpo/all", replace(request(3), are_seeds_usual=True))
    own = {each.exhibit.name: each.seeds for each in usual}
    assert own.pop("fig2") == tuple(range(3, 13))
    assert set(own.values()) == {()}
    asked = build_experiments("srpo/all", request(3, 4))
    assert {each.exhibit.name: each.seeds for each in asked if each.seeds} == {"fig2": tuple(range(3, 13))}
    assert bandit_seeds(asked) == tuple(range(3, 13))
    assert bandit_seeds(build_experiments("srpo/fig2", request(3, 4))) == (3, 4)
    assert bandit_seeds(build_experiments("srpo/all", request(*range(12)))) == tuple(range(12))


def test_alpha_outside_its_interval_is_refused() -> None:
    axis = CurveAxis("α", "α = {x}", (0, 1.5), setting="alpha")
    with pytest.raises(UserError, match="alpha"):
        curves(figure(x=axis, lines=(CurveLine("a", "", "srpo"),), claims=(), margins=()), request(0))
