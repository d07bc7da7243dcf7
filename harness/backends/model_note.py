"""What the user hears of an endpoint that lets another model answer than was asked."""

from collections.abc import Callable

from harness.backends.judge_models import is_same_model
from harness.backends.judges import JudgeReference


class ModelNote:
    """Tells `note` once of each other model that an endpoint says has answered."""

    def __init__(self, reference: JudgeReference, note: Callable[[str], None]) -> None:
        self._reference, self._note = reference, note
        self._told: set[str] = set()

    def hear(self, served: str) -> None:
        """Hear which model the endpoint says has answered; "" where it does not say."""
        if served and served not in self._told and not is_same_model(self._reference.model, served):
            self._told.add(served)
            self._note(f"{self._reference} says that another model answers: {' '.join(served.split())}")
