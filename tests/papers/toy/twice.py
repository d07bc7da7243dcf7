"""Twice: a second supervised fine-tuning, on chosen answers (arXiv 0000.00000, section 3)."""

from harness.engine.artifacts import Artifact
from harness.steps.data import chosen_responses
from harness.steps.train import train_sft
from methods.ingredients import Card, Ingredients, Method
from methods.sft import sft


def twice(given: Ingredients) -> Artifact:
    """The policy of supervised fine-tuning, trained once more."""
    chosen = chosen_responses(preference_data=given.preference_data)
    second = train_sft(model=sft(given), examples=chosen, settings=given.settings.sft, seed=given.seed)
    return second.append_label("second stage")


METHOD = Method(
    card=Card(
        summary="a second supervised fine-tuning, on chosen answers",
        paper="Twice, arXiv 0000.00000",
        section="3",
        hyperparameters={"epochs": "3 (section 4)"},
    ),
    build=twice,
)
