"""The checks of a run's references: models, data sets, and the endpoints of judge and teacher."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.endpoints.judges import load_judge
from harness.endpoints.protocol import CallFailure, ChatRequest
from harness.endpoints.reference import EndpointReference
from harness.engine.limits import Limits
from harness.errors import UserError
from harness.models.openai_teacher import TEACHER_OPTIONS
from harness.preflight.check import Check
from harness.preflight.context import PreflightContext, hub_sizes, is_data
from harness.preflight.judge_check import check_endpoint
from harness.records import Message
from harness.steps.cost import Asking

SEVERITY = ("ok", "warning", "failure")
_QUESTION = ChatRequest((Message("user", "Answer with the one word: ready"),), max_tokens=16, temperature=0.0)


def reference_checks(context: PreflightContext) -> Iterator[Check]:
    """Check that each model and data set is available; those that are share a line by their kind."""
    for kind, wanted in (("model", False), ("data set", True)):
        origins = {each.params["reference"]: each for each in context.origins() if is_data(each) == wanted}
        sizes = {name: sum(hub_sizes(each).values()) for name, each in origins.items() if name not in context.lacking}
        available = ", ".join(
            f"{name} ({size / 1e9:.1f} GB to fetch)" if size else name for name, size in sizes.items()
        )
        if any(sizes.values()):
            yield Check("warning", f"{kind}s", f"{available}: the run fetches them, or `harness prefetch` before")
        elif sizes:
            yield Check("ok", f"{kind}s", f"available: {available}")
        for name in (name for name in origins if name in context.lacking):
            yield Check("failure", f"{kind} {name}", context.lacking[name])


def endpoint_checks(context: PreflightContext, *, asks: bool) -> Iterator[Check]:
    """Check that the endpoints of judge and teacher are there, take the key and serve the model.

    With `asks`, whether they answer, too: for a few tokens each.
    """
    for role, endpoint in endpoints(context).items():
        if endpoint is None:
            yield Check("ok", role, "no endpoint is asked")
            continue
        found = _served(role, endpoint, context.limits)
        yield found
        if asks and found.state != "failure":
            yield check_answer(role, endpoint, replace(context.limits, batch=False), context.aside.reply_cache)


def _served(role: str, endpoint: EndpointReference, limits: Limits) -> Check:
    try:
        found = list(check_endpoint(endpoint, limits.timeout_seconds))
    except UserError as error:
        return Check("failure", role, str(error))
    worst = max(found, key=lambda each: SEVERITY.index(each.state))
    return Check(worst.state, role, found[0].detail if worst.state == "ok" else f"{worst.what}: {worst.detail}")


def endpoints(context: PreflightContext) -> dict[str, EndpointReference | None]:
    """Return by role the endpoints that the run still has something to ask; None for a role that has none."""
    declared = map(context.graph.known_cost, context.missing)
    asked = {str(cost.role): cost.endpoint for cost in declared if isinstance(cost, Asking)}
    return {role: asked.get(role) for role in ("judge", *context.recipe.models)}


def check_answer(role: str, endpoint: EndpointReference, limits: Limits, reply_cache: Path) -> Check:
    """Check that an endpoint gives a word for a word."""
    what = f"{role} answers"
    try:
        client = load_judge(endpoint, limits, reply_cache, None if role == "judge" else TEACHER_OPTIONS)
        ((_, reply),) = client.replies([_QUESTION])
    except UserError as error:
        return Check("failure", what, str(error))
    if isinstance(reply, CallFailure) and reply.is_final:  # such as one word's worth of thinking: others may go better
        return Check("warning", what, f"{endpoint} gave no usable reply to a test request: {reply.reason}")
    if isinstance(reply, CallFailure):
        return Check("failure", what, f"{endpoint} does not: {reply.reason}; check the server")
    return Check("ok", what, repr(" ".join(reply.text.split())[:40]))
