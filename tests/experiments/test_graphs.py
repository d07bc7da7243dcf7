"""What experiments have in common is the same artifact: nothing is made twice, whichever exhibit is made first."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest

from harness.engine.artifacts import Artifact, ancestry
from harness.errors import UserError
from harness.experiments import Experiment, Request
from harness.experiments.build import BUILDERS
from harness.papers.claims import EVEN
from harness.papers.kinds import AnyExhibit
from harness.papers.loading import load_exhibit
from harness.papers.scores import ScoreTable
from harness.papers.win_rates import Match
from harness.recipes.loading import load_recipe
from tests.experiments.exhibits import (
    PAPER,
    SCALE,
    claims,
    distance_figure,
    filter_figure,
    likelihood_figure,
    ordering,
    request,
    sample_table,
    settings_table,
    win_rate_table,
)


def built(exhibit: AnyExhibit, asked: Request | None = None) -> Experiment:
    return BUILDERS[type(exhibit)](exhibit, asked or request())


def new(experiment: Experiment, others: Iterable[Experiment]) -> Counter[str]:
    """How many artifacts of each step the experiment needs that the others do not."""
    there = {artifact.key for other in others for artifact in ancestry(other.targets())}
    return Counter(each.step for each in ancestry(experiment.targets()) if each.key not in there)


@pytest.fixture(scope="module")
def table3() -> Experiment:
    table = load_exhibit("sgpo", "table3")
    assert isinstance(table, ScoreTable)
    return built(table)


def test_after_table_3_the_win_rates_of_the_self_improver_need_judging_and_the_initial_policys_refining(
    table3: Experiment,
) -> None:
    """Figure 8."""
    figure = win_rate_table()
    assert new(built(replace(figure, matches=figure.matches[:2])), [table3]) == {
        "refine": 1,
        "drawn_responses": 2,
        "judge_pairs": 2,
        "score_pairwise": 2,
        "compare_pairwise": 1,
        "compare_pairwise_with_even": 2,
    }


def test_after_table_3_table_1_needs_the_teachers_improvements_on_the_preference_data_alone(
    table3: Experiment,
) -> None:
    table = win_rate_table(prompts=None, claims=())
    assert new(built(replace(table, matches=table.matches[2:])), [table3]) == {
        "refine": 1,
        "judge_pairs": 2,
        "score_pairwise": 2,
    }


def test_after_table_3_distances_and_likelihoods_need_no_model_but_to_measure(table3: Experiment) -> None:
    """Figures 4 and 9, the latter beside figure 8."""
    assert new(built(distance_figure()), [table3]) == {
        "drawn_responses": 3,
        "edit_distance": 2,
        "compare_measurements": 1,
    }
    beside = [table3, built(win_rate_table())]
    assert new(built(likelihood_figure()), beside) == {
        "drawn_responses": 3,
        "perplexity": 3,
        "compare_measurements": 2,
    }


def test_after_table_3_the_filter_and_the_settings_are_all_there(table3: Experiment) -> None:
    """Figure 5 shows exactly what the improver was trained on."""
    assert not new(built(filter_figure()), [table3])
    assert not new(built(settings_table()), [table3])


def test_after_table_3_samples_are_what_it_judges(table3: Experiment) -> None:
    assert not new(built(sample_table("sgpo")), [table3])
    judged = {parent for each in table3.targets() if each.step == "judge_pairs" for parent in each.parents()}
    shown = built(sample_table("sgpo")).targets()
    answers = [each for each in shown if each.step == "respond" and each.inputs["model"].step == "train_dpo"]  # type: ignore[union-attr]
    assert len(answers) == 1
    assert set(answers) <= judged


def test_the_same_match_of_two_exhibits_is_judged_once() -> None:
    """Figures 8 and 10 on one base model, by other ids; another number of prompts is another match."""
    first, again = (
        win_rate_table(matches=(Match(id, "", "preference_data", "self_improvement", "reference"),), claims=())
        for id in ("one", "two")
    )
    assert not new(built(again), [built(first)])
    assert new(built(replace(again, prompts=21)), [built(first)]) == {
        "drawn_responses": 1,
        "judge_pairs": 1,
        "score_pairwise": 1,
    }


def test_every_training_seed_and_model_is_played_and_tested() -> None:
    experiment = built(win_rate_table(), Request(SCALE, (0, 1, 2), ("llama", "qwen")))
    steps = Counter(each.step for each in experiment.targets())
    assert steps == {"judge_pairs": 24, "score_pairwise": 8, "compare_pairwise_with_even": 4, "compare_pairwise": 2}
    for comparison in experiment.exhibit.claims[0].comparisons:
        for model in ("llama", "qwen"):
            test = experiment.test(model, comparison)
            assert test is not None
            verdicts = [each for each in test.parents() if each.step == "judge_pairs"]
            assert len(verdicts) == (3 if EVEN in (comparison.better, comparison.worse) else 6)
    other = ordering("self-reference", "self-initial", "pairwise", "win_rate")
    assert experiment.test("llama", other) is None


def test_above_and_below_an_even_win_rate_are_one_test() -> None:
    """Whether a match is said to be above an even win rate or below it."""
    sides = (("self-reference", EVEN), (EVEN, "self-reference"))
    above, below = (ordering(*each, "pairwise", "win_rate") for each in sides)
    experiment = built(win_rate_table(claims=claims(above, below)))
    [test] = {experiment.test("llama", each) for each in (above, below)}
    assert test is not None and test.step == "compare_pairwise_with_even"
    assert {each for each in experiment.targets() if each.step == "compare_pairwise_with_even"} == {test}


def seeds_behind(artifact: Artifact) -> set[int]:
    return {each.arguments["seed"] for each in ancestry([artifact]) if each.step == "train_sft"}


def test_both_sides_of_a_match_are_of_the_same_training_seed() -> None:
    experiment = built(win_rate_table(), request(0, 1))
    for judged in (each for each in experiment.targets() if each.step == "judge_pairs"):
        assert len({frozenset(seeds_behind(parent)) for parent in judged.parents() if seeds_behind(parent)}) == 1


def test_histograms_are_of_the_first_seed_and_their_tests_of_all() -> None:
    experiment = built(distance_figure(), request(3, 4))
    [test] = [each for each in experiment.targets() if each.step == "compare_measurements"]
    better, worse = (test.inputs[side] for side in ("better", "worse"))
    assert isinstance(better, tuple)
    assert isinstance(worse, tuple)
    for side, name in ((better, "teacher_improvement"), (worse, "reference")):
        assert [each.label.rsplit(" ", 1)[-1] for each in side] == [name] * 2
        assert [seeds_behind(each) for each in side] == [{3}, {4}]


def test_a_claim_on_a_filtered_set_and_a_set_that_is_never_filtered_are_refused() -> None:
    stated = claims(ordering("improved-after", "improved-before", "perplexity", "log_perplexity"))
    with pytest.raises(UserError, match="whole sets, not the filtered 'improved-after'"):
        built(filter_figure(claims=stated))
    with pytest.raises(UserError, match="unknown data role of the filtered sets of sgpo: 'preference_data'"):
        built(filter_figure(data="preference_data", panels=filter_figure().panels[:1]))


def test_only_the_groups_of_selected_models_are_shown() -> None:
    assert [each["group"] for each in _groups(built(sample_table()))] == [1, 2]
    everything = built(sample_table(), Request(load_recipe("mini"), (0,)))
    assert [each["group"] for each in _groups(everything)] == [0, 1, 2]
    assert set(built(sample_table()).checkpoints) == {("llama", "sft", 0), ("llama", "improver", 0)}
    made = SCALE.inputs("llama", 0).checkpoint("improver")
    assert built(sample_table()).checkpoints["llama", "improver", 0] == made


def _groups(experiment: Experiment) -> list[dict[str, int]]:
    return [{"group": each.number} for each in experiment.groups]  # type: ignore[attr-defined]


def test_a_bench_that_the_scale_lacks_is_an_error() -> None:
    with pytest.raises(UserError, match="bench"):
        built(settings_table("alpaca_eval2", "mt_bench"))


def test_every_exhibit_of_the_paper_can_be_built() -> None:
    assert PAPER.name == "sgpo"
    for kind in ("table1", "table2", "fig3", "fig4", "fig5", "fig8", "fig9", "fig10", "samples"):
        exhibit = load_exhibit("sgpo", kind)
        experiment = built(exhibit, Request(load_recipe("mini"), (0,)))
        for claim in exhibit.claims:
            for comparison in claim.comparisons:
                assert all(experiment.test(model, comparison) for model in comparison.models)
