"""The models that graphs begin with."""

from harness.backends.models import TEACHER
from harness.backends.openai_teacher import OPENAI
from harness.backends.stored_teacher import STORED
from harness.core.artifacts import Artifact

WITHOUT_WEIGHTS = (TEACHER, STORED, OPENAI)
"""How the references of teachers begin that this machine runs no model for."""


def origin(artifact: Artifact) -> Artifact:
    """The model that the one which a step runs began as, before any training."""
    while trained := artifact.inputs.get("policy") or artifact.inputs.get("model"):
        assert isinstance(trained, Artifact)
        artifact = trained
    return artifact
