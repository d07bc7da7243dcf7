"""What a run refers to: models, data sets, and the endpoints of judge and teacher."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.endpoints.judges import load_judge
from harness.endpoints.protocol import CallFailure, ChatRequest
from harness.endpoints.reference import JudgeReference
from harness.engine.artifacts import Artifact
from harness.engine.limits import Limits
from harness.errors import UserError
from harness.models.openai_teacher import OPENAI, TEACHER_OPTIONS, teacher_endpoint
from harness.models.origins import origin
from harness.preflight.check import Check
from harness.preflight.judge_check import check_endpoint
from harness.preflight.subject import Subject, hub_sizes, is_data, works
from harness.records import Message

SEVERITY = ("ok", "warning", "failure")
_QUESTION = ChatRequest((Message("user", "Answer with the one word: ready"),), max_tokens=16, temperature=0.0)


def reference_checks(subject: Subject) -> Iterator[Check]:
    """Whether each model and data set can be had; those that can, in one line of their kind."""
    for kind, wanted in (("model", False), ("data set", True)):
        origins = {each.params["reference"]: each for each in subject.origins() if is_data(each) == wanted}
        there = {name: each for name, each in origins.items() if name not in subject.lacking}
        if there:
            yield _at_hand(f"{kind}s", there)
        for name in origins:
            if name in subject.lacking:
                yield Check("failure", f"{kind} {name}", subject.lacking[name])


def _at_hand(what: str, origins: Mapping[str, Artifact]) -> Check:
    sizes = {name: sum(hub_sizes(each).values()) for name, each in origins.items()}
    said = [f"{name} ({size / 1e9:.1f} GB to fetch)" if size else name for name, size in sizes.items()]
    if any(sizes.values()):
        return Check("warning", what, f"{', '.join(said)}: the run fetches them, or `harness prefetch` before")
    return Check("ok", what, f"at hand: {', '.join(said)}")


def endpoint_checks(subject: Subject, *, asks: bool) -> Iterator[Check]:
    """Whether the endpoints of judge and teacher are there, take the key and serve the model.

    With `asks`, whether they answer, too: for a few tokens each.
    """
    for role, endpoint in endpoints(subject).items():
        found = _served(role, endpoint, subject.limits)
        yield found
        if asks and endpoint is not None and found.state != "failure":
            yield check_answer(role, endpoint, replace(subject.limits, batch=False), subject.aside.kept)


def _served(role: str, endpoint: JudgeReference | None, limits: Limits) -> Check:
    if endpoint is None:
        return Check("ok", role, "no endpoint is asked")
    try:
        found = list(check_endpoint(endpoint, limits.timeout_seconds))
    except UserError as error:
        return Check("failure", role, str(error))
    worst = max(found, key=lambda each: SEVERITY.index(each.state))
    return Check(worst.state, role, found[0].detail if worst.state == "ok" else f"{worst.what}: {worst.detail}")


def endpoints(subject: Subject) -> dict[str, JudgeReference | None]:
    """Those that the run still has something to ask, by role; None for what has no endpoint, or no questions."""
    scale = subject.scale
    asked = works(subject.missing)
    judge = scale.judge.reference() if "asking" in asked else None
    found = {"judge": None if judge is None or judge.is_embedded else judge}
    for role, reference in scale.models.items():
        is_asked = reference.startswith(OPENAI) and _answers(reference, asked.get("generation", []))
        found[role] = teacher_endpoint(reference) if is_asked else None
    return found


def _answers(model: str, generations: Sequence[Artifact]) -> bool:
    return any(model in (origin(each).label, origin(each).params["reference"]) for each in generations)


def check_answer(role: str, endpoint: JudgeReference, limits: Limits, kept: Path) -> Check:
    """Whether an endpoint gives a word for a word."""
    what = f"{role} answers"
    try:
        client = load_judge(endpoint, limits, kept, None if role == "judge" else TEACHER_OPTIONS)
        ((_, reply),) = client.replies([_QUESTION])
    except UserError as error:
        return Check("failure", what, str(error))
    if isinstance(reply, CallFailure) and reply.is_final:  # such as one word's worth of thinking: others may go better
        return Check("warning", what, f"{endpoint} gave no word for a word: {reply.reason}")
    if isinstance(reply, CallFailure):
        return Check("failure", what, f"{endpoint} does not: {reply.reason}; check the server")
    return Check("ok", what, repr(" ".join(reply.text.split())[:40]))
