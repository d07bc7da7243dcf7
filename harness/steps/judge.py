"""Judging: pairs of outputs shown to a judge, its replies kept and read."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Literal

from harness.endpoints.cost import TYPICAL_REPLY_TOKENS
from harness.endpoints.credentials import require_no_key_in
from harness.endpoints.judges import load_judge
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest, Judge
from harness.endpoints.reference import EndpointReference, endpoint_reference
from harness.engine.artifacts import Artifact, Output, step
from harness.errors import UserError
from harness.records import CUT_OFF, Judgment, Order, Prompt, Response
from harness.steps.cost import Asking, CostContext, Range, about, chat_tokens
from harness.steps.judge_prompt import JudgePrompt, official_order
from harness.steps.verdicts import (
    EMBEDDED_PARSER_VERSION,
    PARSER_VERSION,
    Reading,
    read_identifier,
    read_label,
    read_last_label,
    read_ranking,
)

Protocol = Literal["alpaca_eval2", "arena_hard", "pairwise", "alpaca_farm", "arena_hard_v2"]

SHORT_REPLY = 10
"""Tokens; a judge that may reply with more is taken to explain itself."""

MIN_SHARE, MAX_SHARE = 0.7, 2.0
"""Of `TYPICAL_REPLY_TOKENS`, what replies that explain themselves may take on average."""

_EXCERPT = 80
"""Characters of a reply that an error shows."""

DRAW = Reading("ok", first_preference=0.5)

_EMPTY = ("the reply is empty", "the reply was cut off while thinking, before its first word")
"""Why a reply without a word has no verdict: by itself, and where it ended at the limit of tokens."""

_OTHER_TOKEN = (
    "the log-probabilities given are of another token than the reply's, such as the first of its thinking: pass"
    " --judge-without logprobs"
)

_NO_RANKING = "the reply is no ranking [{'model': 'model_1', 'rank': 1}, ...], as this bench's judge is asked for"

_WITH_DIGITS = re.compile(r"\w*\d\w*")
"""Counts, sizes and the endpoint's numbers for requests."""

FAILURES = "failures.json"
"""In a judging artifact, how many verdicts failed for which reason; absent where none did."""

OTHER_MODELS = "other_models.json"
"""In a judging artifact, how many replies came of which models that were not asked; absent where none did."""


@dataclass(frozen=True, slots=True)
class OrderedPair:
    """Two answers to one prompt, shown in one order; `repeat` counts how often the judge is asked about it."""

    prompt: Prompt
    baseline: str
    output: str
    order: Order
    repeat: int = 0

    def request(self, prompt: JudgePrompt) -> ChatRequest:
        """Return what the judge is asked."""
        first, second = (self.baseline, self.output) if self.order == "baseline_first" else (self.output, self.baseline)
        return prompt.of(self.prompt.id).request(self.prompt.conversation, first, second, self.repeat)

    def judgment(self, reply: str, reading: Reading, error: str = "") -> Judgment:
        """Return the row of a judge that replied so, or could not be asked because of `error`."""
        preference = reading.first_preference
        if preference is not None and self.order == "baseline_first":
            preference = 1 - preference
        return Judgment(
            self.prompt,
            self.baseline,
            self.output,
            self.order,
            reply,
            reading.verdict,
            preference,
            reading.state,
            self.repeat,
            error,
        )


def judge(model: str, base_url: str | None = None, without: tuple[str, ...] = ()) -> EndpointReference:
    """Return the judge `model`, "mini:judge" or one at `base_url`, its replies read as `harness.steps.verdicts` does.

    Raises UserError for a judge that cannot be (see `endpoint_reference`), and for one whose name holds the API key.
    """
    reference = require_no_key_in(endpoint_reference(model, base_url, without))
    return replace(reference, parser_version=EMBEDDED_PARSER_VERSION if reference.is_embedded else PARSER_VERSION)


def _judging_cost(context: CostContext) -> Asking | None:
    """Forecast the requests: prompts of the judge's own words, the request and both answers."""
    judge, prompt = context.artifact.arguments["judge"], context.artifact.arguments["prompt"]
    outputs, baselines = context.rows("outputs"), context.rows("baselines")
    if judge.is_embedded:
        return None
    games = order_count(context.params["protocol"]) * context.params["repeats"]
    calls = min(outputs.most, baselines.most) * games
    tokens = chat_tokens(prompt.request("", "", "").messages) + baselines.tokens + outputs.answer
    return Asking(
        endpoint=judge,
        role="judge",
        purpose=context.params["protocol"],
        calls=calls,
        prompt_tokens=about(calls * tokens, outputs.spread * outputs.answer / tokens),
        completion_tokens=reply_tokens(prompt.max_tokens, calls),
        explains=prompt.max_tokens > SHORT_REPLY,
        assumptions=outputs.assumptions,
    )


def reply_tokens(limit: int, calls: int) -> Range:
    """Estimate the tokens of all replies, each of at most `limit`: those that explain themselves vary in length."""
    typical = min(limit, TYPICAL_REPLY_TOKENS) * calls
    shortest = MIN_SHARE if limit > SHORT_REPLY else 1.0
    return Range(typical * shortest, typical, min(limit, TYPICAL_REPLY_TOKENS * MAX_SHARE) * calls)


@step(version=5, work="asking", cost=_judging_cost)
def judge_pairs(
    out: Output,
    *,
    judge: EndpointReference,
    prompt: JudgePrompt,
    protocol: Protocol,
    outputs: Artifact,
    baselines: Artifact,
    repeats: int = 1,
) -> None:
    """Judge `outputs` against `baselines`, joined by prompt, each pair `repeats` times in each order: `Judgment` rows.

    Replies that cost something are kept beside the artifacts as they come, so that a killed run pays for none twice.
    Failed verdicts are rows too, and the next run asks for them again; ``failures.json`` counts them by reason. Raises
    UserError where the judge was asked and no verdict came of it, or nearly none of the first ones did.
    """
    answered, baseline_rows = outputs.rows(Response), baselines.rows(Response)
    games = list(pair_up(protocol, answered, baseline_rows, repeats))
    asked = sum(needs_judge(protocol, game) for game in games)
    progress = out.track(asked, "verdicts")
    asking = load_judge(judge, out.limits, out.reply_cache, note=out.note)
    rows = play(games, asking, prompt, protocol, progress.advance)
    if asking.others:
        out.write_json(OTHER_MODELS, asking.others)
    failed = [row for row in rows if row.state != "ok"]
    if failed:
        if len(failed) == asked:
            raise UserError(_no_verdicts(judge, failed))
        out.write_json(FAILURES, {reason: len(rows) for reason, rows in by_reason(failed).items()})
    out.counts["failed"] = len(failed)
    out.counts["without_output"] = len(baseline_rows) - len({row.prompt for row in rows})
    out.retry = bool(failed)
    out.write_rows(rows)


def pair_up(
    protocol: Protocol, outputs: Sequence[Response], baselines: Sequence[Response], repeats: int = 1
) -> Iterator[OrderedPair]:
    """Yield the games to be judged, in the order of `baselines`; a prompt without an output has none."""
    output_by_prompt = {row.prompt.id: row.text for row in outputs}
    for row in baselines:
        if row.prompt.id in output_by_prompt:
            for order in orders(protocol, row.prompt):
                for repeat in range(repeats):
                    yield OrderedPair(row.prompt, row.text, output_by_prompt[row.prompt.id], order, repeat)


def orders(protocol: Protocol, prompt: Prompt) -> Iterator[Order]:
    """Yield the orders in which a prompt's two answers are shown.

    AlpacaEval 2.0 asks once, in an order drawn by the prompt's text alone, so that every model is shown in the same
    order, and the same as alpaca_eval would show it; the others ask twice, the baseline first and then second.
    """
    if protocol == "alpaca_eval2":
        yield official_order(prompt.text)
    else:
        yield from ("baseline_first", "output_first")


def order_count(protocol: Protocol) -> int:
    """Count the orders in which each pair is shown."""
    return len(list(orders(protocol, Prompt("0", "any"))))


def needs_judge(protocol: Protocol, game: OrderedPair) -> bool:
    """Return False for equal answers in AlpacaEval 2.0: alpaca_eval calls that a draw and does not ask."""
    return protocol != "alpaca_eval2" or game.baseline != game.output


def play(
    games: Sequence[OrderedPair], judge: Judge, prompt: JudgePrompt, protocol: Protocol, advance: Callable[[], None]
) -> list[Judgment]:
    """Return the verdict on each game, in their order; `advance` is called as first replies come.

    Where a reply has no label and `prompt` has words for it, the judge is asked once more, as Arena-Hard does.
    """
    requests = {at: game.request(prompt) for at, game in enumerate(games) if needs_judge(protocol, game)}
    first = _ask(judge, requests, advance)
    again = {
        at: prompt.again(requests[at], reply.text)
        for at, reply in sorted(first.items())
        if prompt.second_attempt and isinstance(reply, ChatReply) and _asks_again(protocol, reply)
    }
    second = _ask(judge, again)
    rows = [
        _judgment(game, protocol, first[at], second.get(at)) if at in first else game.judgment("", DRAW)
        for at, game in enumerate(games)
    ]
    for at, row in enumerate(rows):
        if row.state != "ok" and not _is_retryable(second.get(at, first[at])):
            for request in filter(None, (requests[at], again.get(at))):
                judge.reject(request)
    return rows


def _asks_again(protocol: Protocol, reply: ChatReply) -> bool:
    """Tell whether a second attempt is due; not after an empty reply, which many endpoints refuse as a turn."""
    return bool(reply.text.strip()) and read_reply(protocol, reply).asks_again


def _is_retryable(last: ChatReply | CallFailure) -> bool:
    """Tell whether a verdict failed for want of a reply: what was said before it is still of use to the next run."""
    return isinstance(last, CallFailure) and not last.is_final


def _ask(
    judge: Judge, requests: Mapping[int, ChatRequest], advance: Callable[[], None] = lambda: None
) -> dict[int, ChatReply | CallFailure]:
    places = list(requests)
    replies = {}
    for position, reply in judge.replies(list(requests.values())):
        replies[places[position]] = reply
        advance()
    return replies


def _judgment(
    game: OrderedPair,
    protocol: Protocol,
    first: ChatReply | CallFailure,
    second: ChatReply | CallFailure | None,
) -> Judgment:
    """Return the verdict of the last attempt; the row keeps what was said in all."""
    attempts = [reply for reply in (first, second) if reply is not None]
    replies = "\n".join(reply.text for reply in attempts if isinstance(reply, ChatReply))
    last = attempts[-1]
    if isinstance(last, CallFailure):
        return game.judgment(replies, Reading("api_failed"), error=last.reason)
    reading = read_reply(protocol, last)
    return game.judgment(replies, reading, error="" if reading.state == "ok" else _why_unread(protocol, last))


def _why_unread(protocol: Protocol, reply: ChatReply) -> str:
    """Say why there is no verdict in a reply, where more is known than that."""
    if not reply.text.strip():
        return _EMPTY[reply.finish_reason == CUT_OFF]
    if protocol == "alpaca_eval2" and read_identifier(reply.text, None).state == "ok":
        return _OTHER_TOKEN
    return _NO_RANKING if protocol == "alpaca_farm" else ""


def _no_verdicts(judge: EndpointReference, failed: Sequence[Judgment]) -> str:
    """Say why all verdicts failed: the commonest reason, with an example where it is in the reply."""
    reason, alike = next(iter(by_reason(failed).items()))
    count, example = len(alike), "" if alike[0].error else alike[0].reply
    example_text = f", such as {example[:_EXCERPT]!r}" if example else ""
    return (
        f"{judge} gave no verdict on any of {len(failed)} questions; the commonest reason ({count} of {len(failed)}):"
        f" {reason}{example_text}; `harness judge check` tells whether it can judge"
    )


def by_reason(failed: Iterable[Judgment]) -> dict[str, list[Judgment]]:
    """Group failed verdicts by their reason, the commonest first; reasons that differ in numbers alone are one."""
    alike: dict[str, list[Judgment]] = {}
    for row in failed:
        alike.setdefault(_WITH_DIGITS.sub("#", _reason(row)), []).append(row)
    return {_reason(rows[0]): rows for rows in sorted(alike.values(), key=len, reverse=True)}


def _reason(row: Judgment) -> str:
    """Say why a verdict failed."""
    return row.error or "the reply has no verdict"


def by_repeat(judgments: Iterable[Judgment]) -> list[list[Judgment]]:
    """Return the judgments of each repeat, in order."""
    repeats: dict[int, list[Judgment]] = {}
    for row in judgments:
        repeats.setdefault(row.repeat, []).append(row)
    return [repeats[number] for number in sorted(repeats)]


def read_reply(protocol: Protocol, reply: ChatReply) -> Reading:
    """Read the verdict in a judge's reply; state "parse_failed" where there is none."""
    if protocol == "alpaca_eval2":
        return read_identifier(reply.text, reply.log_probabilities)
    if protocol == "arena_hard_v2":
        return read_last_label(reply.text)
    return read_ranking(reply.text) if protocol == "alpaca_farm" else read_label(reply.text)


def judge_fingerprint(judge: EndpointReference, prompt: JudgePrompt, protocol: Protocol) -> str:
    """Return twelve hex digits that differ whenever the judge, what it is asked, how, or how its reply is read does."""
    identity = {"judge": asdict(judge), "prompt": asdict(prompt), "protocol": protocol}
    return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
