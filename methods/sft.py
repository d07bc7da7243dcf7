"""Supervised fine-tuning: the initial policy π_θ0 of every other method (SGPO, section 4.2)."""

from harness.engine.artifacts import Artifact
from harness.steps.train import train_sft
from methods.ingredients import Card, Ingredients, Method


def sft(given: Ingredients) -> Artifact:
    """π_θ0: the base model trained on the demonstrations."""
    return train_sft(
        model=given.base, examples=given.demonstrations, settings=given.settings.sft, seed=given.seed
    ).append_label("SFT")


METHOD = Method(
    card=Card(
        summary="supervised fine-tuning on demonstrations",
        paper="SGPO, arXiv 2507.20181",
        section="4.2",
        hyperparameters={
            "learning_rate": "2e-5 (section 4.2)",
            "epochs": "1; 3 for Qwen2-Base (1.5B) (section 4.2)",
            "batch_size": "128 (section 4.2)",
            "max_length": "2048 (section 4.2)",
            "scheduler": "cosine (section 4.2)",
        },
    ),
    build=sft,
)
