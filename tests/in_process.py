"""Steps that run in the test's own process, for tests whose subject is not the worker processes."""

import gc
from collections.abc import Iterator, Sequence

from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute
from harness.engine.executor import Done, Executor, Failed, StepMessage
from harness.engine.limits import Limits
from harness.engine.store import Store
from harness.errors import UserError


class InThisProcess(Executor):
    """An executor that makes one step after the other here: a worker would spend six seconds on importing torch."""

    def __init__(self, store: Store, jobs: int, limits: Limits, compute: Compute) -> None:
        self._store, self._limits, self._compute = store, limits, compute
        self._told: list[tuple[Artifact, StepMessage]] = []

    def __exit__(self, *_: object) -> None:
        gc.collect()  # models lie in reference cycles

    def prepare(self, steps: Sequence[Artifact]) -> float:
        return 1.0

    def pick(self, ready: Sequence[Artifact]) -> Artifact | None:
        return ready[0] if ready and not self._told else None

    def start(self, artifact: Artifact) -> None:
        self._told.append((artifact, self._made(artifact)))

    def messages(self, timeout: float) -> Iterator[tuple[Artifact, StepMessage]]:
        while self._told:
            yield self._told.pop(0)

    def _made(self, artifact: Artifact) -> Done | Failed:
        def report(event: StepMessage) -> None:
            self._told.append((artifact, event))

        try:
            built = self._store.build(artifact, report, self._limits, self._compute)  # type: ignore[arg-type]
            return Done(built, self._store.record(artifact)["seconds"])
        except UserError as error:
            return Failed(str(error), by_user=True)
