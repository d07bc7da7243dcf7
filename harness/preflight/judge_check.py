"""The checks of a judge before it is paid for: `harness judge check`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, NamedTuple

from harness.endpoints.endpoint import CannotList, served_models
from harness.endpoints.judges import load_judge
from harness.endpoints.known_models import is_local, shutdown_date
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest, Judge
from harness.endpoints.reference import EndpointReference
from harness.endpoints.reply_faults import cut_off, is_cut_off
from harness.engine.limits import Limits
from harness.engine.scratch import temporary_folder
from harness.errors import UserError, nearest
from harness.preflight.check import Check
from harness.records import Judgment, Prompt
from harness.steps.judge import OrderedPair, Protocol, by_reason, play
from harness.steps.judge_prompt import official_prompt

NOTICE = timedelta(days=60)
"""How long before a model is shut down there is a warning: long enough to finish a comparison with it."""

MAX_REPLY = 1024
"""Tokens: enough for a verdict on short answers, and an end to a judge that rambles."""

PROTOCOLS: tuple[Protocol, ...] = ("alpaca_eval2", "arena_hard")

_NAMED_MODELS = 10


class ObviousPair(NamedTuple):
    """A request with a right answer and one that nobody would prefer."""

    request: str
    right: str
    wrong: str


OBVIOUS_PAIRS = (
    ObviousPair(
        "What is the capital of France?",
        "The capital of France is Paris.",
        "The capital of France is Berlin, a city on the Danube in the south of Spain.",
    ),
    ObviousPair(
        "A train covers 120 km in 2 hours. What is its average speed?",
        "Its average speed is 120 km / 2 h = 60 km/h.",
        "Speed is distance times time, so its average speed is 120 * 2 = 240 litres.",
    ),
    ObviousPair("Translate into Spanish: good morning", "Buenos días", "Banana"),
    ObviousPair(
        "Write a Python function `total` that returns the sum of a list of numbers.",
        "def total(numbers):\n    return sum(numbers)",
        "I am sorry, Python is a snake, and snakes cannot add numbers, whatever is in your list.",
    ),
    ObviousPair(
        "Name the three states of matter that water takes in everyday life.",
        "Water is everyday met as a solid (ice), a liquid (water) and a gas (water vapour).",
        "asdf asdf asdf jkl jkl jkl asdf asdf asdf jkl jkl jkl",
    ),
)
"""The right answer is the longer one in two pairs and the shorter one in three: length alone does not find it."""


def check_judge(reference: EndpointReference, limits: Limits, today: date | None = None) -> Iterator[Check]:
    """Check the judge; yield each check as it is made.

    Asks at most 20 questions anew, whatever replies are on record, and second attempts where Arena-Hard makes them.
    Raises UserError where the endpoint does not serve the model (before any completion is asked for), refuses to, or
    is not there; and for the embedded judge, which has no endpoint.
    """
    if reference.is_embedded:
        raise UserError(f"{reference.model} has no endpoint to check: pass --judge-model, and perhaps --judge-base-url")
    yield from check_endpoint(reference, limits.timeout_seconds, today)
    with temporary_folder() as folder:
        judge = load_judge(reference, replace(limits, batch=False), folder)
        for protocol in PROTOCOLS:
            yield from _check_protocol(reference, judge, protocol)


def check_endpoint(reference: EndpointReference, timeout_seconds: float, today: date | None = None) -> Iterator[Check]:
    """Check that the endpoint serves the model, and until when; no completion is asked for.

    Raises UserError where it does not serve it, refuses the key, or is not there.
    """
    try:
        models = served_models(reference, timeout_seconds)
    except CannotList as reason:
        models = {}
        yield Check("warning", "model", f"{reference.base_url} cannot list its models ({reason})")
    else:
        if reference.model not in models:
            raise UserError(_not_served(reference, sorted(models)))
        yield Check("ok", "model", f"{reference.base_url} serves {reference.model}")
    yield _check_shutdown(reference, models.get(reference.model, {}), today or date.today())


def _not_served(reference: EndpointReference, models: Sequence[str]) -> str:
    guess = nearest(reference.model, models)
    hint = f"; did you mean {guess!r}?" if guess else ""
    ended = shutdown_date(reference)
    gone = f" (the vendor announced to shut it down on {ended})" if ended else ""
    named = ", ".join(models[:_NAMED_MODELS]) + (", …" if len(models) > _NAMED_MODELS else "")
    return f"{reference.base_url} does not serve {reference.model!r}{gone}{hint} (it serves: {named or 'nothing'})"


def _check_shutdown(reference: EndpointReference, served: Mapping[str, Any], today: date) -> Check:
    """Check the shutdown date; the server's own goes before the one in configs/judges.yaml."""
    announced = None
    with suppress(ValueError):
        announced = date.fromisoformat(str(served.get("shutdown_date")))
    ends = announced or shutdown_date(reference)
    if ends is None:
        return Check("ok", "shutdown", "none is known to be announced")
    if ends <= today and announced is None and is_local(reference):  # it can be another model under that name
        return Check("warning", "shutdown", f"announced for {ends}, which is past, if this is a proxy to the vendor")
    if ends <= today:
        return Check("failure", "shutdown", f"announced for {ends}, which is past: choose another judge")
    if ends - today <= NOTICE:
        left = (ends - today).days
        return Check("warning", "shutdown", f"announced for {ends}, in {left} days: finish your comparisons by then")
    return Check("ok", "shutdown", f"announced for {ends}")


def _check_protocol(reference: EndpointReference, judge: Judge, protocol: Protocol) -> Iterator[Check]:
    """Check that the judge answers `protocol`'s question, with log-probabilities if they are asked for, and rightly."""
    try:
        official = official_prompt(protocol)
    except UserError as missing:
        yield Check("warning", protocol, f"not checked: {missing}")
        return
    prompt = replace(official, max_tokens=min(official.max_tokens, MAX_REPLY))
    games = [  # each pair in both orders, the right answer as output and the wrong one as baseline
        OrderedPair(Prompt(str(number), pair.request), pair.wrong, pair.right, order)
        for number, pair in enumerate(OBVIOUS_PAIRS)
        for order in ("baseline_first", "output_first")
    ]
    first = games[0].request(prompt)
    ((_, reply),) = judge.replies([first])
    if isinstance(reply, CallFailure) or not reply.text.strip():
        yield Check("failure", f"{protocol} answers", f"no: {_why_nothing(reference, first, reply)}")
        return
    yield Check("ok", f"{protocol} answers", repr(reply.text if len(reply.text) <= 40 else reply.text[:40] + "…"))
    if first.top_logprobs:
        yield _check_log_probabilities(protocol, reply)
    yield _check_verdicts(protocol, play(games, judge, prompt, protocol, lambda: None))


def _why_nothing(reference: EndpointReference, request: ChatRequest, reply: ChatReply | CallFailure) -> str:
    if isinstance(reply, ChatReply):
        return cut_off(reference, request) if is_cut_off(reply) else "the reply is empty; choose another judge"
    return reply.reason if reply.is_final else f"{reply.reason}; check the server"


def _check_log_probabilities(protocol: Protocol, reply: ChatReply) -> Check:
    """Check the log-probabilities; a reply without them is a failed call, and reported as such."""
    what = f"{protocol} log-probabilities"
    if not reply.log_probabilities:
        fall_back = "verdicts are sampled identifiers, 0 or 1, instead of probabilities"
        return Check("warning", what, f"not asked for, since the endpoint refuses them: {fall_back}")
    tokens = ", ".join(repr(token) for token in list(reply.log_probabilities)[:5])
    return Check("ok", what, f"of {len(reply.log_probabilities)} tokens ({tokens})")


def _check_verdicts(protocol: Protocol, judgments: Sequence[Judgment]) -> Check:
    """Check the verdicts: a coin gets 9 or more of 10 right once in 93 times, and 8 or more once in 18."""
    finds = [_finds_output_better(judgment) for judgment in judgments]
    right, readable = sum(found is True for found in finds), sum(found is not None for found in finds)
    same = sum(first is not None and first == second for first, second in zip(finds[::2], finds[1::2], strict=True))
    detail = f"{right} of {len(finds)} obvious verdicts right, {same} of {len(finds) // 2} pairs alike in both orders"
    if readable < len(finds):
        detail += f", {len(finds) - readable} undecided or unreadable"
    if without_reply := [judgment for judgment in judgments if judgment.error]:
        detail += f" ({len(without_reply)} for {next(iter(by_reason(without_reply)))})"
    if right >= len(finds) - 1:
        return Check("ok", f"{protocol} verdicts", detail)
    if right == len(finds) - 2:
        return Check("warning", f"{protocol} verdicts", f"{detail}: compare it with another judge before you trust it")
    return Check("failure", f"{protocol} verdicts", f"{detail}: choose a stronger judge")


def _finds_output_better(judgment: Judgment) -> bool | None:
    """Return whether the judge prefers the output; None for a tie, and for a reply without a verdict."""
    if judgment.state != "ok":
        return None
    if judgment.preference is not None:
        return None if judgment.preference == 0.5 else judgment.preference > 0.5
    if judgment.verdict == "A=B":
        return None
    return (judgment.order == "output_first") == judgment.verdict.startswith("A")
