"""What a run refers to: models, data sets, and the endpoints of judge and teacher."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.backends.interfaces import CallFailure, ChatRequest
from harness.backends.judges import JudgeReference, load_judge
from harness.backends.openai_teacher import OPENAI, teacher_endpoint
from harness.core.artifacts import Artifact
from harness.core.check import Check
from harness.core.errors import UserError
from harness.core.limits import Limits
from harness.core.records import Message
from harness.judge_check import check_endpoint
from harness.preflight.subject import Subject, origin, works

SEVERITY = ("ok", "warning", "failure")
_QUESTION = ChatRequest((Message("user", "Answer with the one word: ready"),), max_tokens=16, temperature=0.0)


def reference_checks(subject: Subject) -> Iterator[Check]:
    """Whether each model and data set is at hand; those that are, in one line of their kind."""
    origins = subject.origins()
    for kind, is_kind in (("models", _is_model), ("data sets", lambda each: not _is_model(each))):
        references = dict.fromkeys(each.params["reference"] for each in origins if is_kind(each))
        there = [reference for reference in references if subject.is_at_hand(reference)]
        if there:
            yield Check("ok", kind, f"{len(there)} at hand: {', '.join(there)}")
        for reference in references:
            if not subject.is_at_hand(reference):
                yield Check("failure", f"{kind[:-1]} {reference}", subject.unresolved[reference])


def _is_model(origin: Artifact) -> bool:
    return "model" in origin.step


def endpoint_checks(subject: Subject) -> Iterator[Check]:
    """Whether the endpoints of judge and teacher are there, take the key and serve the model; nothing is asked."""
    for role, endpoint in endpoints(subject).items():
        if endpoint is None:
            yield Check("ok", role, "no endpoint is asked")
            continue
        try:
            found = list(check_endpoint(endpoint, subject.limits.timeout_seconds))
        except UserError as error:
            yield Check("failure", role, str(error))
            continue
        worst = max(found, key=lambda each: SEVERITY.index(each.state))
        detail = worst.detail if worst.state == "ok" else f"{worst.what}: {worst.detail}"
        yield Check(worst.state, role, found[0].detail if worst.state == "ok" else detail)


def answer_checks(subject: Subject) -> Iterator[Check]:
    """Whether the endpoints of judge and teacher answer; for a few tokens each."""
    for role, endpoint in endpoints(subject).items():
        if endpoint is not None:
            yield check_answer(role, endpoint, replace(subject.limits, batch=False), subject.aside.kept)


def endpoints(subject: Subject) -> dict[str, JudgeReference | None]:
    """Those that the run still has something to ask, by role; None for what has no endpoint, or no questions."""
    scale = subject.scale
    asked = works(subject.missing)
    judge = scale.judge.reference() if "asking" in asked else None
    teacher = teacher_endpoint(scale.teacher) if scale.teacher.startswith(OPENAI) else None
    return {
        "judge": None if judge is None or judge.is_embedded else judge,
        "teacher": teacher if _is_asked(scale.teacher, asked.get("generation", [])) else None,
    }


def _is_asked(teacher: str, generations: Sequence[Artifact]) -> bool:
    return any(origin(each).label == teacher or origin(each).params["reference"] == teacher for each in generations)


def check_answer(role: str, endpoint: JudgeReference, limits: Limits, kept: Path) -> Check:
    """Whether an endpoint gives a word for a word."""
    what = f"{role} answers"
    try:
        client = load_judge(endpoint, limits, kept)
        ((_, reply),) = client.replies([_QUESTION])
    except UserError as error:
        return Check("failure", what, str(error))
    if isinstance(reply, CallFailure):
        return Check("failure", what, f"{endpoint} does not: {reply.reason}; check the server")
    return Check("ok", what, repr(" ".join(reply.text.split())[:40]))
