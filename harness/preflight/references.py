"""What a run refers to: models, data sets, and the endpoints of judge and teacher."""

from collections.abc import Iterator

from harness.backends.interfaces import CallFailure, ChatRequest
from harness.backends.judges import JudgeReference, load_judge
from harness.core.artifacts import Artifact
from harness.core.check import Check
from harness.core.errors import UserError
from harness.core.limits import Limits
from harness.core.records import Message
from harness.judge_check import check_endpoint
from harness.preflight.subject import Subject, works

ANSWER_SECONDS = 60.0
"""How long an endpoint may take for a word."""

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


def endpoint_checks(subject: Subject, *, asks: bool) -> Iterator[Check]:
    """Whether the judge's endpoint is there, takes the key and serves the model; with `asks`, whether it answers too.

    An answer is a few tokens.
    """
    judge = subject.scale.judge.reference()
    if judge.is_embedded:
        yield Check("ok", "judge", f"{judge} is part of the package")
    elif "asking" not in works(subject.missing):
        yield Check("ok", "judge", "every verdict is there")
    else:
        yield from _endpoint("judge", judge, subject, asks=asks)


def _endpoint(role: str, reference: JudgeReference, subject: Subject, *, asks: bool) -> Iterator[Check]:
    """Of one endpoint, in one line."""
    try:
        found = list(check_endpoint(reference, ANSWER_SECONDS))
        answered = _answer(role, reference, subject) if asks else None
    except UserError as error:
        yield Check("failure", role, str(error))
        return
    worst = next((each for state in ("failure", "warning") for each in found if each.state == state), None)
    if answered is not None and answered.state != "ok":
        yield answered
    elif worst is not None:
        yield Check(worst.state, role, f"{worst.what}: {worst.detail}")
    else:
        said = f", and answers {answered.detail}" if answered else ""
        yield Check("ok", role, f"{reference.base_url} serves {reference.model}{said}")


def _answer(role: str, reference: JudgeReference, subject: Subject) -> Check:
    """Raises UserError where the endpoint refuses to answer for good."""
    client = load_judge(reference, Limits(timeout_seconds=ANSWER_SECONDS), subject.aside.kept)
    ((_, reply),) = client.replies([_QUESTION])
    if isinstance(reply, CallFailure):
        return Check("failure", role, f"{reference} does not answer: {reply.reason}; check the server")
    return Check("ok", role, repr(" ".join(reply.text.split())[:40]))
