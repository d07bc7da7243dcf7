"""The models that graphs begin with."""

from harness.engine.artifacts import Artifact
from harness.models.openai_teacher import OPENAI
from harness.models.references import TEACHER
from harness.models.stored_teacher import STORED

WITHOUT_WEIGHTS = (TEACHER, STORED, OPENAI)
"""How the references of teachers begin that this machine runs no model for."""


def origin(artifact: Artifact) -> Artifact:
    """Return the model that a step's model was before any training."""
    while trained := artifact.inputs.get("policy") or artifact.inputs.get("model"):
        assert isinstance(trained, Artifact)
        artifact = trained
    return artifact
