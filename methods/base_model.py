"""The base model as it is: a row of tables that show what training starts from."""

from dataclasses import dataclass
from typing import ClassVar

from harness.engine.artifacts import Artifact
from methods.base import Card, Inputs, Needs


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """The base model, not trained at all."""

    card: ClassVar = Card(summary="the base model as it is", paper="none", section="none")
    needs: ClassVar = Needs()

    def build(self, inputs: Inputs) -> Artifact:
        """Return the base model."""
        return inputs.base
