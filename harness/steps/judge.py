"""Judging: pairs of outputs shown to a judge, its replies kept and read."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from harness.backends.interfaces import Judge
from harness.core.artifacts import Artifact, Output, step
from harness.core.records import Judgment, Order, Prompt, Response, State

Protocol = Literal["alpaca_eval2", "arena_hard"]

PARSER_VERSION = 2
ROWS_AT_ONCE = 100
_VERDICT = re.compile(r"\[\[(A>>B|A>B|A=B|B>A|B>>A)\]\]")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reply says: its label in the judge's own frame, and AlpacaEval's preference for the first output."""

    state: State
    verdict: str = ""
    first_preference: float | None = None


@step(version=2, resumable=True)
def judge_pairs(
    out: Output, *, judge: Artifact, template: str, protocol: Protocol, outputs: Artifact, baselines: Artifact
) -> None:
    """`Judgment` rows: `outputs` against `baselines`, joined by prompt.

    AlpacaEval 2.0 asks once a prompt, in an order fixed by the prompt's text alone, so that every model is shown in the
    same order; Arena-Hard asks twice, the baseline first and then second.
    """
    from harness.backends.models import load_judge, resolve

    asked = load_judge(resolve(judge.folder))
    log = out.append_rows(Judgment, key=lambda row: (row.prompt.id, row.order))
    output_by_prompt = {row.prompt.id: row.text for row in outputs.rows(Response)}
    games = [
        (row, order)
        for row in baselines.rows(Response)
        if row.prompt.id in output_by_prompt
        for order in orders(protocol, row.prompt)
        if (row.prompt.id, order) not in log.done
    ]
    progress = out.track(len(games) + len(log.done), "verdicts", done=len(log.done))
    for start in range(0, len(games), ROWS_AT_ONCE):
        chunk = games[start : start + ROWS_AT_ONCE]
        log.append(
            [
                _ask(asked, template, protocol, baseline, output_by_prompt[baseline.prompt.id], order)
                for baseline, order in chunk
            ]
        )
        progress.advance(len(chunk))
    out.counts["failed"] = sum(row.state != "ok" for row in log.done.values())
    out.counts["without_output"] = len(baselines.rows(Response)) - len({row.prompt for row in log.done.values()})


def orders(protocol: Protocol, prompt: Prompt) -> Iterator[Order]:
    """The orders in which a prompt's two outputs are shown."""
    if protocol == "arena_hard":
        yield from ("baseline_first", "output_first")
    else:
        yield "output_first" if sha256(prompt.text.encode()).digest()[0] % 2 else "baseline_first"


def render_pair(template: str, prompt: Prompt, baseline: str, output: str, order: Order) -> str:
    """The judging prompt; `template` has the fields {request}, {first} and {second}."""
    first, second = (baseline, output) if order == "baseline_first" else (output, baseline)
    return template.format(request=prompt.text, first=first, second=second)


def read_reply(protocol: Protocol, reply: str, log_probabilities: Mapping[str, float] | None) -> Reading:
    """The verdict in a judge's reply; state "parse_failed" where there is none."""
    return _read_verdict(reply) if protocol == "arena_hard" else _read_identifier(reply, log_probabilities)


def _read_identifier(reply: str, log_probabilities: Mapping[str, float] | None) -> Reading:
    """AlpacaEval 2.0: the share of probability that identifier m (the first output) has beside M."""
    label = reply.strip()
    if log_probabilities and {"m", "M"} & log_probabilities.keys():
        first, second = (log_probabilities.get(identifier, -math.inf) for identifier in "mM")
        return Reading("ok", label, 0.5 * (1 + math.tanh((first - second) / 2)))
    if label in ("m", "M"):
        return Reading("ok", label, float(label == "m"))
    return Reading("parse_failed")


def _read_verdict(reply: str) -> Reading:
    """Arena-Hard v0.1: the one label in double brackets; two different ones are no verdict."""
    labels = set(_VERDICT.findall(reply))
    return Reading("ok", labels.pop()) if len(labels) == 1 else Reading("parse_failed")


def _ask(judge: Judge, template: str, protocol: Protocol, baseline: Response, output: str, order: Order) -> Judgment:
    """One game: the prompt rendered, the judge asked, its reply read."""
    message = render_pair(template, baseline.prompt, baseline.text, output, order)
    reply, log_probabilities = judge.reply(message)
    reading = read_reply(protocol, reply, log_probabilities)
    preference = reading.first_preference
    if preference is not None and order == "baseline_first":
        preference = 1 - preference
    return Judgment(baseline.prompt, baseline.text, output, order, reply, reading.verdict, preference, reading.state)


def judge_fingerprint(judge: Artifact, template: str, protocol: Protocol) -> str:
    """Twelve hex digits that differ whenever the judge, its prompt, its protocol or the parser does."""
    identity = {"judge": judge.key, "template": template, "protocol": protocol, "parser": PARSER_VERSION}
    return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
