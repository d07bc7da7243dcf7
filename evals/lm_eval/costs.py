"""The work that tasks take, for `harness plan`: the requests of the tasks that we know, and their lengths."""

from dataclasses import dataclass

from harness.steps.cost import CostContext, Likelihood, RowEstimate, UnknownCost
from harness.steps.estimates import PlanNote

BATCH_SIZE = 64
_SPREAD = 0.3


@dataclass(frozen=True, slots=True)
class TaskWork:
    """The `items` of a task, in so many `parts`, each of so many forward passes of `tokens` with their examples."""

    items: int
    requests: float
    tokens: float
    parts: int = 1


KNOWN = {
    "arc_challenge": TaskWork(1172, 4, 1200),
    "hellaswag": TaskWork(10042, 4, 1050),
    "mmlu": TaskWork(14042, 1, 750, 57),  # whose four answers are one token each, behind one prompt
    "truthfulqa_mc2": TaskWork(817, 7.2, 250),
    "winogrande": TaskWork(1267, 2, 160),
    "gsm8k": TaskWork(1319, 1, 1100),
}
"""The tasks of the Open LLM Leaderboard: items as published; lengths with the board's examples are estimates."""
_NOTE = PlanNote("tasks", "tokens of a request of the Open LLM Leaderboard's tasks, examples included: estimates, ±30%")


def task_rows(context: CostContext) -> RowEstimate:
    """Estimate the requests of a task. Raises UnknownCost for one that we do not know."""
    name, limit = context.artifact.arguments["task"].name, context.artifact.arguments["asking"].limit
    if name not in KNOWN:
        raise UnknownCost(f"it is not known how many items lm-eval's {name} has")
    work = KNOWN[name]
    items = min(work.items, limit * work.parts) if limit else work.items
    count = items * work.requests
    return RowEstimate(count, round(count), work.tokens, 0.0, _SPREAD, frozenset({_NOTE}))


def own_requests(context: CostContext) -> Likelihood:
    """Return the likelihoods of a step's own requests."""
    return Likelihood(context.artifact, BATCH_SIZE)
