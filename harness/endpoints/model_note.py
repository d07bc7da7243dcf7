"""The models that answer, and a note where an endpoint lets another one answer than was asked."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from harness.endpoints.known_models import is_same_model
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest, Judge
from harness.endpoints.reference import EndpointReference


class ModelNote:
    """Tells `note` once of each other model that an endpoint says has answered."""

    def __init__(self, reference: EndpointReference, note: Callable[[str], None]) -> None:
        self._reference, self._note = reference, note
        self._reported: set[str] = set()

    def hear(self, served: str) -> None:
        """Hear which model the endpoint says has answered; "" where it does not say."""
        if served and served not in self._reported and not is_same_model(self._reference.model, served):
            self._reported.add(served)
            self._note(f"{self._reference} says that another model answers: {' '.join(served.split())}")


class CountedJudge:
    """A judge of which is counted, in `served`, how many replies come of which model; "" where none is named."""

    def __init__(self, judge: Judge) -> None:
        self._judge, self.name = judge, judge.name
        self.served: Counter[str] = Counter()

    def replies(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatReply | CallFailure]]:
        """Implement `Judge.replies`."""
        for place, reply in self._judge.replies(requests):
            if isinstance(reply, ChatReply):
                self.served[reply.served_model] += 1
            yield place, reply

    def reject(self, request: ChatRequest) -> None:
        """Implement `Judge.reject`."""
        self._judge.reject(request)

    def others(self, reference: EndpointReference) -> dict[str, int]:
        """Return how many replies came of which models, but for the one that was asked."""
        return {name: count for name, count in self.served.items() if name and not is_same_model(reference.model, name)}
