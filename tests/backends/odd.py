"""A judge that is asked once, a good answer, and all the ways in which an answer can be odd."""

import html
import json
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.backends.interfaces import CallFailure, ChatReply, ChatRequest, Message
from harness.backends.judges import JudgeReference
from harness.backends.openai_api import OpenAIJudge
from harness.backends.pace import Retries
from harness.core.limits import Limits

KEY = "sk-pl/anted&0123456789abcdef"
ONE = ChatRequest((Message("user", "which one?"),), 1, 0.0, 5)
ONCE = Retries(attempts=1, first_delay=0.01, longest_delay=0.02)
STUBBORN = replace(ONCE, attempts=6)


def judge(base_url: str, kept: Path, limits: Limits | None = None, retries: Retries = ONCE, **also: Any) -> OpenAIJudge:
    return OpenAIJudge(JudgeReference("judge-1", base_url), limits or Limits(run_id="run"), kept, retries, **also)


def only(asked: OpenAIJudge, request: ChatRequest = ONE) -> ChatReply | CallFailure:
    ((_, reply),) = asked.replies([request])
    return reply


def good_answer() -> dict[str, Any]:
    entries = [{"token": token, "logprob": value, "bytes": [109]} for token, value in (("m", -0.1), ("M", -2.5))]
    message = {"role": "assistant", "content": "m", "refusal": None}
    logprobs = {"content": [{**entries[0], "top_logprobs": entries}], "refusal": None}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": logprobs}
    usage = {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13, "prompt_tokens_details": {"cached": 0}}
    return {"id": "x", "object": "chat.completion", "model": "judge-1", "choices": [choice], "usage": usage}


def deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


ODD = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2.5,
    1e308,
    float("nan"),
    float("inf"),
    10**400,
    -(10**400),
    "",
    "x",
    "12",
    "\ud83d",
]
ODD += ["\0\x1b]0;title\a", [], [[]], [None], [{}], {}, {"": None}, {"content": 1}, {"error": {"code": 400}}, deep(400)]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values within a JSON value."""
    yield at
    for name in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[name], (*at, name))


def mutated(value: Any, at: Sequence[Any], put: Any) -> Any:
    """The value with `put` in the place `at`."""
    if not at:
        return put
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = mutated(value[at[0]], at[1:], put)
    return copy


MUTATIONS = [mutated(good_answer(), at, put) for at in places(good_answer()) for put in ODD]


SPELLINGS = {
    "as it is": KEY,
    "json": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "numbers": "".join(f"\\u{ord(letter):04X}" for letter in KEY),
    "json in json": json.dumps(json.dumps({"key": KEY}).replace("/", "\\/")),
    "json in json in json": json.dumps(json.dumps(json.dumps({"key": KEY}).replace("/", "\\/"))),
    "url": urllib.parse.quote(KEY, safe=""),
    "url twice": urllib.parse.quote(urllib.parse.quote(KEY, safe="")),
    "page": html.escape(KEY),
    "page numbers": "".join(f"&#x{ord(letter):x};" for letter in KEY),
}


def as_bytes(answer: Any) -> bytes:
    return json.dumps(answer).encode() if not isinstance(answer, bytes) else answer


NOT_JSON = [
    b"",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"1" * 5000,
    b"nul",
    b'{"choices": [}',
    b"data: {}\n\n",
]
NOT_JSON += [as_bytes(good_answer()) * 2, as_bytes(good_answer())[:-3], b"\xef\xbb\xbf" + as_bytes(3)]
