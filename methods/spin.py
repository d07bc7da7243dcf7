"""SPIN: self-play fine-tuning (Chen et al. 2024; SGPO's baseline, section 4.2.1), one iteration."""

from dataclasses import replace

from harness.engine.artifacts import Artifact
from harness.steps.data import chosen_responses, preference_pairs
from harness.steps.respond import respond
from harness.steps.train import direct_preference_optimization
from harness.training.settings import PreferenceSettings
from methods.ingredients import Card, Ingredients, Method
from methods.sft import sft


def spin(given: Ingredients) -> Artifact:
    """The initial policy trained to prefer the reference answer to its own."""
    return _spin(given, given.settings.spin)


def spin_own_recipe(given: Ingredients) -> Artifact:
    """The same with the optimisation settings of SPIN's own code, but for what depends on the model's size.

    github.com/uclaml/SPIN, configs/config.yaml at a12ba80: 3 epochs, β = 0.1, RMSprop and a linear schedule. Its rate
    (5e-7) is that of 7B parameters, its batch (64) and lengths those of its data: the scale's stand in for them.
    """
    training = replace(given.settings.spin.training, epochs=3, optimizer="rmsprop", schedule="linear")
    return _spin(given, PreferenceSettings(0.1, training))


def _spin(given: Ingredients, settings: PreferenceSettings) -> Artifact:
    policy = sft(given)
    references = chosen_responses(preference_data=given.preference_data)
    answers = respond(model=policy, prompts=references, sampling=given.sampling, seed=given.seed)
    pairs = preference_pairs(chosen=references, rejected=answers.append_label("SFT's answers"))
    return direct_preference_optimization(
        policy=policy, reference=policy, pairs=pairs, settings=settings, seed=given.seed
    ).append_label("SPIN")


METHOD = Method(
    card=Card(
        summary="reference answer chosen, the initial policy's own answer rejected",
        paper="Chen et al. 2024, as run in SGPO, arXiv 2507.20181",
        section="4.2.1",
        equations="Eq. 6 with the initial policy as reference",
        hyperparameters={
            "beta": "0.5 (section 4.2.1)",
            "learning_rate": "3e-7 for Qwen2.5-Base (7B), 5e-7 for Llama3-Base (8B) (section 4.2.1)",
            "epochs": "not stated; 1, as for the others",
        },
    ),
    build=spin,
)
OWN_RECIPE = Method(
    card=Card(
        summary="SPIN with the epochs, optimizer, schedule and β of its own code",
        paper="Chen et al. 2024, arXiv 2401.01335; pairs as in SGPO, arXiv 2507.20181",
        section="4.2.1; github.com/uclaml/SPIN, configs/config.yaml",
        equations="Eq. 6 of SGPO with the initial policy as reference",
        hyperparameters={
            "beta": "0.1 (config.yaml)",
            "epochs": "3 (config.yaml; scripts/finetune.sh asks for 6)",
            "optimizer": "RMSprop (config.yaml)",
            "schedule": "linear after 10 % warm-up (config.yaml); the share of warm-up is the scale's",
            "learning_rate": "the scale's for SPIN; 5e-7 on a model of 7B parameters (config.yaml)",
        },
    ),
    build=spin_own_recipe,
)
