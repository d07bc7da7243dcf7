"""The diagnostics as graphs: they look at the very sets of responses that methods and experiments make."""

from harness.commands.diagnostics import diagnostics
from harness.engine.artifacts import ancestry
from harness.experiments.response_sets import response_set
from harness.recipes.registries import load_method
from harness.recipes.scales import load_scale
from methods.sgpo import Variant

SCALE = load_scale("mini")
GIVEN = SCALE.ingredients("llama", 0)
FOUND = diagnostics(SCALE, "llama", 0)


def test_each_figure_is_of_the_set_that_it_names() -> None:
    shown = {name: artifact.inputs["responses"] for name, artifact in FOUND.gold.items()}
    assert shown["SFT's draft, improver data"] == response_set(GIVEN, "improver_data", "draft")
    assert shown["teacher's improvement, preference data"] == response_set(
        GIVEN, "preference_data", "teacher_improvement"
    )
    for name, variant in {"with": Variant(), "without": Variant(reference_in_refining=False)}.items():
        own, initial = (
            response_set(GIVEN, "preference_data", each, variant)
            for each in ("self_improvement", "initial_improvement")
        )
        assert shown[f"θ*'s improvement of θ*'s draft, {name} reference"] == own
        assert shown[f"SFT's improvement of θ*'s draft, {name} reference"] == initial


def test_no_preference_method_is_looked_at() -> None:
    """The world is sized on the initial policy, the teacher and the improver, never on which method wins."""
    steps = [each.step for each in ancestry(FOUND.targets())]
    assert "train_dpo" not in steps
    assert steps.count("train_sft") == 2
    improver = load_method("improver").build(GIVEN)
    assert improver in ancestry(FOUND.targets())


def test_every_figure_has_its_artifact() -> None:
    assert len(FOUND.gold) == 6 + 5 + 2 * len(SCALE.benches)
    assert len(FOUND.judged) == 4
    assert list(FOUND.perplexities) == ["SFT's draft", "teacher's improvement", "reference"]
