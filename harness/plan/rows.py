"""The number and length of each step's rows: counted where they are there, else followed from the data."""

import json
from dataclasses import replace
from itertools import islice

from harness.engine.artifacts import Artifact, find_step
from harness.engine.graph import short_label
from harness.engine.store import Store
from harness.records import ROWS
from harness.steps.cost import COUNTED_ROWS, Cost, CostContext, RowEstimate, UnknownCost, counted_rows, is_embedded


class GraphEstimates:
    """Rows and costs that the steps of a graph declare of their artifacts."""

    def __init__(self, store: Store | None) -> None:
        """Count in `store` the rows that are there already; None for a store that does not exist."""
        self._store = store
        self._found: dict[tuple[str, str], RowEstimate] = {}

    def rows(self, artifact: Artifact) -> RowEstimate:
        """Return the rows that `artifact` has or is expected to have. Raises UnknownCost."""
        place = artifact.key, artifact.label  # what rows are called depends on who asks for them
        if place not in self._found:
            declared = find_step(artifact).rows
            if declared is None:
                raise UnknownCost(f"it is not known how many rows {artifact.step} makes")
            rows: RowEstimate = declared(CostContext(artifact, self.rows))
            content = rows.content or short_label(artifact).partition("@")[0]
            self._found[place] = replace(self._count(artifact) or rows, content=content)
        return self._found[place]

    def most_rows(self, artifact: Artifact) -> int | None:
        """Return how many rows `artifact` has at most; None where it cannot be told."""
        try:
            return self.rows(artifact).most
        except UnknownCost:
            return None

    def cost(self, artifact: Artifact) -> Cost | None:
        """Return what making `artifact` takes; None for next to nothing. Raises UnknownCost."""
        step = find_step(artifact)
        if step.cost is None and step.work_of(artifact) != "light":
            raise UnknownCost("its step declares no cost")
        found: Cost | None = step.cost(CostContext(artifact, self.rows)) if step.cost else None
        return found

    def known_cost(self, artifact: Artifact) -> Cost | None:
        """Return `cost`; None where it cannot be told."""
        try:
            return self.cost(artifact)
        except UnknownCost:
            return None

    def _count(self, artifact: Artifact) -> RowEstimate | None:
        """Count rows that are in the store; None for those that are not."""
        if self._store is None or not self._store.has(artifact):
            return None
        path = self._store.folder(artifact) / ROWS
        count = self._store.record(artifact)["counts"].get("rows")
        if count is None or not path.is_file():
            return None
        with path.open(encoding="utf-8") as lines:
            sample = [json.loads(line) for line in islice(lines, COUNTED_ROWS)]
        return counted_rows(sample, int(count), in_words=is_embedded(artifact))
