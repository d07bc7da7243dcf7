"""SRPO's methods: what Algorithm 1 is composed of, and its baselines as recipe entries of one trainer."""

import pytest

from harness.engine.artifacts import Artifact, ancestry
from harness.errors import UserError
from harness.experiments.revisions import revisions
from harness.recipes.loading import load_recipe
from harness.training.losses import Dpo, Ipo, PreferenceLoss, Rpo, SimPo, Srpo
from tests.command import Harness

MINI = load_recipe("mini", paper="srpo")
SUMMARIES: dict[str, PreferenceLoss] = {
    "srpo": Srpo(beta=0.01, alpha=0.5),
    "ipo": Ipo(beta=0.01),
    "dpo": Dpo(beta=0.1),
}
CHAT: dict[str, PreferenceLoss] = {
    "srpo": Srpo(beta=1.3, alpha=0.5, average=True),
    "ipo": Ipo(beta=1.0, average=True),
    "dpo": Dpo(beta=10, average=True),
    "rpo": Rpo(beta=10, nll_weight=1e-5 * 10, average=True),
    "simpo": SimPo(beta=50, gamma=25),
}


def built(model: str, method: str) -> Artifact:
    return MINI.inputs(model, 0).checkpoint(method)


def read_by(step: Artifact, name: str) -> str:
    [found] = [each for each in ancestry([step.inputs[name]]) if "reference" in each.params]  # type: ignore[list-item]
    return str(found.params["reference"])


@pytest.mark.parametrize(
    ("model", "method", "loss"),
    [*(("llama", *each) for each in SUMMARIES.items()), *(("llama3", *each) for each in CHAT.items())],
)
def test_each_method_is_its_loss_on_the_same_pairs_from_the_same_initial_policy(
    model: str, method: str, loss: PreferenceLoss
) -> None:
    last, initial = built(model, method), built(model, "sft")
    demonstrations, pairs = {
        "llama": ("mini:summaries", "mini:summary_pairs"),
        "llama3": ("mini:demonstrations", "mini:preference_data"),
    }[model]
    assert (last.step, last.arguments["loss"]) == ("train_preferences", loss)
    assert last.inputs["policy"] == initial
    assert (read_by(initial, "examples"), read_by(last, "pairs")) == (demonstrations, pairs)
    references = last.inputs.get("references")
    if method == "simpo":
        assert references is None
    else:
        assert isinstance(references, Artifact) and references.inputs["model"] == initial


def test_srpo_sees_both_answers_after_the_prompt_and_after_either_of_them() -> None:
    last = built("llama", "srpo")
    references = last.inputs["references"]
    assert isinstance(references, Artifact)
    prompt = MINI.prompt_set().methods["revision"]
    assert last.arguments["revision_prompt"] == references.arguments["revision_prompt"] == prompt
    assert references.arguments["sequences"] == Srpo.sequences
    assert (
        "revision_prompt" not in built("llama", "dpo").inputs and not built("llama", "dpo").arguments["revision_prompt"]
    )


def test_it_is_trained_and_asked_with_the_same_revision_prompt() -> None:
    inputs = MINI.inputs("llama", 0)
    chain = revisions(
        inputs.checkpoint("srpo"),
        inputs.data("summaries_test"),
        template=inputs.prompt("revision"),
        sampling=inputs.sampling,
        seed=0,
        count=1,
    )
    assert chain[1].arguments["template"] == inputs.checkpoint("srpo").arguments["revision_prompt"]


@pytest.mark.parametrize("alpha", [0, 0.25, 0.5, 0.75, 1])
def test_alpha_is_a_row_of_its_own(alpha: float) -> None:
    last = built("llama", f"srpo:alpha={alpha}")
    assert last.arguments["loss"] == Srpo(beta=0.01, alpha=alpha)
    assert (last == built("llama", "srpo")) == (alpha == 0.5)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("methods.srpo.alpha=1.5", "--set methods.srpo: loss: alpha must be from 0 to 1, not 1.5"),
        ("methods.srpo.alpha=-0.1", "--set methods.srpo: loss: alpha must be from 0 to 1, not -0.1"),
        ("methods.srpo.alpha=some", "--set methods.srpo: loss.alpha: expected a number"),
        ("methods.srpo.loss={kind: dpo, beta: 0.1}", "--set methods.srpo: loss must be of the kind srpo, not dpo"),
        ("methods.srpo.beta=0", "--set methods.srpo: loss: beta must be above 0, not 0"),
    ],
)
def test_a_setting_that_srpo_cannot_have_is_one_line(harness: Harness, setting: str, said: str) -> None:
    refused = harness("reproduce", "srpo/fig2", "--set", setting)
    assert refused.exit_code == 2 and refused.err.count("\n") == 1
    assert refused.err.startswith(f"error: {said}")


def test_sums_or_means_are_a_setting() -> None:
    assert built("llama", "srpo:average=true").arguments["loss"] == Srpo(beta=0.01, alpha=0.5, average=True)


def test_a_role_that_there_is_not_is_one_line() -> None:
    with pytest.raises(UserError, match=r"unknown data role in .*'summarie'.*did you mean 'summaries'"):
        MINI.inputs("llama", 0).data("summarie")
