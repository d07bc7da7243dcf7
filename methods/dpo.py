"""Direct preference optimization on given preference data (Rafailov et al. 2023; SGPO's baseline, section 4.2.1)."""

from harness.engine.artifacts import Artifact
from harness.steps.train import direct_preference_optimization
from methods.ingredients import Card, Ingredients, Method
from methods.sft import sft


def dpo(given: Ingredients) -> Artifact:
    """The initial policy trained to prefer the data's chosen answers to its rejected ones."""
    policy = sft(given)
    return direct_preference_optimization(
        policy=policy, reference=policy, pairs=given.preference_data, settings=given.settings.dpo, seed=given.seed
    ).append_label("DPO")


METHOD = Method(
    card=Card(
        summary="DPO on the chosen and rejected answers of the preference data",
        paper="Rafailov et al. 2023, as run in SGPO, arXiv 2507.20181",
        section="4.2.1",
        equations="Eq. 6 with the initial policy as reference",
        hyperparameters={
            "beta": "0.01 (section 4.2.1)",
            "learning_rate": "5e-7 (section 4.2.1)",
            "epochs": "1 (section 4.2.1)",
        },
    ),
    build=dpo,
)
