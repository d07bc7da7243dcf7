"""The diagnostics as graphs: they look at the very sets of responses that methods and experiments make."""

from harness.commands.diagnostics import diagnostics
from harness.engine.artifacts import ancestry
from harness.experiments.response_sets import responses_of
from harness.recipes.loading import load_recipe

RECIPE = load_recipe("mini")
FOUND = diagnostics(RECIPE, "llama", 0)


def test_each_figure_is_of_the_set_that_it_names() -> None:
    found = {name: artifact.inputs["responses"] for name, artifact in FOUND.gold.items()}
    own = responses_of(RECIPE, "llama", 0)
    assert found["SFT's draft, improver data"] == own.all("improver_data", "draft")
    assert found["teacher's improvement, preference data"] == own.all("preference_data", "teacher_improvement")
    for name, method in {"with": "sgpo", "without": "sgpo-no-ref"}.items():
        sets = responses_of(RECIPE, "llama", 0, method)
        for writer, improved in {"θ*": "self_improvement", "SFT": "initial_improvement"}.items():
            expected = sets.all("preference_data", improved)
            assert found[f"{writer}'s improvement of θ*'s draft, {name} reference"] == expected


def test_no_preference_method_is_looked_at() -> None:
    """The world is sized on the initial policy, the teacher and the improver, never on which method wins."""
    steps = [each.step for each in ancestry(FOUND.targets())]
    assert "train_preferences" not in steps
    assert steps.count("train_sft") == 2
    improver = RECIPE.inputs("llama", 0).checkpoint("improver")
    assert improver in ancestry(FOUND.targets())


def test_every_figure_has_its_artifact() -> None:
    with_baselines = [each for each in RECIPE.benches.values() if hasattr(each, "baselines")]
    assert len(FOUND.gold) == 6 + 5 + 2 * len(with_baselines)
    assert len(FOUND.judged) == 4
    assert len(FOUND.perplexities) == 3
